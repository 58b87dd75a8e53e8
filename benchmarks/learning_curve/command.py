"""Would more labels help, and how many are needed? Accuracy and log loss against the number of labels, beside TF-IDF.

    make learning-curve
    make learning-curve SIZES="100 200 500" DRAWS=3 SET="model=mpnet datasets.imdb-wheel.test=1000"
    python -m benchmarks.learning_curve draw minilm.csv mpnet.csv --out curve.png

Each run is one DVC experiment: the pipeline up to `evaluate`. DVC's queue runs it in a temporary folder, so the files
here stay as they are. The labels are those of train and validation together. The largest size is all labels that
params.yaml gives to both. A size below 1,000 labels is drawn several times, with other seeds of the splits and of the
training. An experiment's name ends in a digest of everything that the run depends on. A run whose experiment exists is
not run again, so a stopped curve goes on where it was.
"""

import os
import shlex
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.learning_curve.curve import make_curve
from benchmarks.learning_curve.plan import missing_runs, plan
from benchmarks.learning_curve.queue import execute
from benchmarks.learning_curve.report import conclusion, curve_table, draw_curves
from benchmarks.overrides import params_with
from benchmarks.record import RESULTS, current_commit
from benchmarks.settings import precision
from classifier.errors import InputError
from classifier.files.formats import write_csv

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
PICTURES = Path("dvc_plots")  # for curve and picture, unless MACHINE names a folder of benchmarks/results/
STOPPED = (
    "learning-curve: stopped; DVC finishes the runs that have begun (`dvc queue status` shows them); "
    "`dvc queue stop --kill` ends them"
)


def whole_numbers(name: str, words: str) -> list[int]:
    """Return the numbers of an option. Raises InputError for a word that is no whole number above 0."""
    if wrong := [word for word in words.split() if not word.isdecimal() or int(word) == 0]:
        raise InputError(f"{name}: {wrong[0]!r} is not a whole number above 0")
    return [int(word) for word in words.split()]


def shell_words(name: str, words: str) -> list[str]:
    """Split an option as the shell does. Raises InputError for a quotation mark that is not closed."""
    try:
        return shlex.split(words)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None


@app.command()
def measure(
    sizes: Annotated[str, typer.Option(help="Numbers of labels.  [default: sizes that suit the data set]")] = "",
    draws: Annotated[str, typer.Option(help="How often a size below 1,000 labels is drawn.")] = "3",
    settings: Annotated[str, typer.Option("--set", help="More settings, as `dvc exp run -S` takes them.")] = "",
) -> None:
    """Run the experiments that are missing, print the curve and its conclusion, write the curve as CSV and PNG."""
    try:
        overrides = shell_words("SET", settings)
        if len(times := whole_numbers("DRAWS", draws)) != 1:
            raise InputError(f"DRAWS: one number is needed, got {draws!r}")
        runs, commit = plan(overrides, whole_numbers("SIZES", sizes), *times), current_commit()
        params = params_with(overrides)
        missing = missing_runs(runs)
        print(f"{len(missing)} of {len(runs)} runs to make", *(run.name for run in missing), sep="\n  ", flush=True)
        if missing:
            execute(missing)
    except InputError as error:
        raise SystemExit(f"learning-curve: {' '.join(str(error).split())}") from None
    except KeyboardInterrupt:
        raise SystemExit(STOPPED) from None
    failed = missing_runs(missing)
    for run in failed:
        print(f"{run.labels:,} labels, seed {run.seed}: failed; `dvc queue logs {run.name}` says why")
    if finished := [run for run in runs if run not in failed]:
        names = {kind: getattr(params, kind) for kind in ("dataset", "model", "method")}
        curve = make_curve(finished).assign(**names, precision=precision(params), commit=commit)
        machine = os.environ.get("MACHINE")
        path = (RESULTS / machine if machine else PICTURES) / f"learning_curve-{'-'.join(names.values())}.csv"
        write_csv(path, curve)
        draw_curves([curve], path.with_suffix(".png"))
        print("", curve_table(curve), conclusion(curve), f"{path}\n{path.with_suffix('.png')}", sep="\n\n")
    if failed:
        raise SystemExit(f"learning-curve: {len(failed)} of {len(runs)} runs failed; the same command runs them again")


@app.command()
def draw(
    curves: Annotated[list[Path], typer.Argument(help="CSV files that `make learning-curve` wrote.")],
    out: Annotated[Path, typer.Option(help="The picture, a PNG.")],
) -> None:
    """Draw several curves into one picture, such as those of two encoders. TF-IDF's curve is the first file's."""
    try:
        draw_curves([pd.read_csv(path) for path in curves], out)
    except (OSError, ValueError, KeyError) as error:
        why = " ".join(str(error).split())
        raise SystemExit(f"learning-curve: {why}; CSV files that `make learning-curve` wrote are needed") from None
