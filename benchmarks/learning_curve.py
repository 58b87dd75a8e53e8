"""Would more labels help, and how many are needed? Accuracy and log loss against the number of labels, beside TF-IDF.

    make learning-curve
    make learning-curve SIZES="100 200 500" DRAWS=3 SET="model=mpnet datasets.imdb-wheel.test=1000"
    python -m benchmarks.learning_curve draw minilm.csv mpnet.csv --out curve.png

Each run is one DVC experiment: the pipeline up to `evaluate`. DVC's queue runs it in a folder of its own, so the files
here stay as they are. Labels are those of train and validation together; the largest size is both as params.yaml has
them. A size below 1,000 is drawn several times, with other seeds of the splits and of the training. An experiment's
name ends in a digest of what it depends on: one that is there is not run again, so a curve that was stopped goes on.
"""

import itertools
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import typer
from pydantic import BaseModel

from apps.revisions import losses, predictions, refused
from benchmarks.record import RESULTS, commit
from benchmarks.settings import precision
from classifier.dataset.selection import read_source
from classifier.dataset.splitting import choose, validation_size
from classifier.errors import InputError
from classifier.evaluation.figures import new_figure, save_figure
from classifier.evaluation.intervals import wilson_interval
from classifier.files.digests import digest_of
from classifier.files.formats import read_table, write_csv
from classifier.files.places import BASELINE, LOCAL
from classifier.runner.inputs import code_paths, pipeline
from classifier.runner.params import PARAMS, arguments, load_params, select, stage_function
from classifier.runner.versions import VERSIONS

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
STAGES = ("data", "base_model", "tokenize", "baseline", "train", "evaluate")  # of a run
ONCE = 1000  # labels from which on a size is drawn once
PICTURES = Path("dvc_plots")  # takes curve and picture, unless MACHINE names a folder of benchmarks/results/
BOUNDS = {"accuracy": (0, 1), "tfidf": (0, 1), "log_loss": (0, np.inf), "gain": (-100, 100)}  # what a mean can be
STOPPED = "learning-curve: stopped; what DVC has begun goes on (`dvc queue status`), or `dvc queue stop --kill` ends it"
LINES = [("o-", "black"), ("s--", "tab:blue"), ("D-.", "tab:red")]  # told apart in grey, too


class Run(NamedTuple):
    """One experiment: so many labels, drawn with a seed."""

    name: str
    seed: int
    labels: int
    train: int
    validation: int
    options: list[str]  # of `dvc exp run`


def git(*args: str) -> list[str]:
    """The lines that a command of Git's prints; none if it fails."""
    return subprocess.run(["git", *args], capture_output=True, text=True).stdout.splitlines()


def check_git() -> None:
    """Raise InputError if an experiment would have no commit to start from, or not all the code that is here."""
    if not git("rev-parse", "--verify", "HEAD"):
        raise InputError("Git has no commit here, and an experiment starts from one; `git commit` this folder first")
    code = ("stages", "classifier", "dvc.yaml", str(PARAMS), str(VERSIONS))
    if unknown := git("ls-files", "--others", "--exclude-standard", *code):
        raise InputError(f"{unknown[0]}: Git does not track it, so an experiment would lack it; `git add` it")


def params_with(overrides: list[str]) -> BaseModel:
    """params.yaml as `dvc exp run -S` would change it. Raises InputError."""
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides
    from ruamel.yaml.error import YAMLError

    load_params()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(PARAMS, folder))
        try:
            apply_overrides(path, overrides)
            return load_params(path)
        except (DvcException, YAMLError) as error:  # the latter for a range, which is of several experiments
            why = str(error.__cause__ or error).splitlines()[0].rstrip(".")
            raise InputError(f"SET: {why}; write NAME=VALUE, with one value, as `dvc exp run -S` takes it") from None
        except InputError as error:
            raise InputError(str(error).replace(str(path), str(PARAMS))) from None


def default_sizes(limit: int) -> list[int]:
    """100, 200, 500, 1,000 and so on up to three quarters of all labels, and all; of less than 1,000 from 50 on."""
    steps = (digit * 10**power for power in range(1, 10) for digit in (1, 2, 5))
    return [*(size for size in steps if (50 if limit < 1000 else 100) <= size <= 0.75 * limit), limit]


def digest(params: BaseModel, local: list[Path]) -> str:
    """Of all that a run depends on: settings, dvc.yaml, code, libraries, the precision here, files of data/local/.

    It may change where DVC would run no stage again, as for a comment in dvc.yaml: the run is then short.
    """
    stages = pipeline()
    files = {path for name in STAGES for path in code_paths(stages[name]["deps"])}
    settings = {name: arguments(stage_function(name), params) for name in STAGES} | {"precision": precision(params)}
    return digest_of(settings, [Path("dvc.yaml"), VERSIONS, *files, *local])[:8]


def plan(overrides: list[str], sizes: list[int], draws: int) -> list[Run]:
    """The runs, by size; without sizes, of default ones, but for those that the data set's rows are too few for.

    Raises InputError for what a run would refuse of its settings or rows. The stage `data` chooses the test split first
    and by its seed, so all sizes of one seed have the same test texts.
    """
    check_git()
    params = params_with(overrides)
    dataset, key = select(params, "dataset"), f"datasets.{params.dataset}"
    source = read_source(dataset)
    local = [path for path in source.mtimes if path.is_relative_to(LOCAL)]
    copied = [
        part for path in local if not git("--literal-pathspecs", "ls-files", str(path)) for part in ("-C", str(path))
    ]
    whole = {name: len(split) for name, split in choose(source.splits, dataset, params.data.seed).items()}
    limit, runs = whole["train"] + whole["validation"], []
    if sizes and max(sizes) > limit:
        raise InputError(
            f"SIZES: {max(sizes):,} is above the {limit:,} labels that {key} has for train and validation; lower it, "
            f"or raise {key}.train if the source has more"
        )
    for labels in sorted(set(sizes)) or default_sizes(limit):
        changes, of_size = [*overrides, "evaluate.explained=0"], []
        if labels < limit:
            held_out = validation_size(labels, len(dataset.labels))
            if "validation" in source.splits:  # a file of its own, which may have fewer, as train may
                held_out = min(max(held_out, labels - whole["train"]), whole["validation"])
            changes += [f"{key}.train={labels - held_out}", f"{key}.validation={held_out}"]
        try:
            for number in range(draws if labels < ONCE else 1):
                seed, train_seed = params.data.seed + number, params.train.seed + number
                of_run = [*changes, f"data.seed={seed}", f"train.seed={train_seed}"]
                settings = params_with(of_run)
                splits = choose(source.splits, select(settings, "dataset"), seed)
                name = f"labels-{labels}-seed-{seed}-{digest(settings, local)}"
                options = [*copied, *(part for change in of_run for part in ("-S", change))]
                of_size.append(Run(name, seed, labels, len(splits["train"]), len(splits["validation"]), options))
        except InputError as error:
            if sizes:
                raise InputError(f"{labels:,} labels: {error}") from None
            print(f"{labels:,} labels are left out: {error}")
        else:
            runs += of_size
    return runs


def missing(runs: list[Run]) -> list[Run]:
    """Those of which there is no experiment, whichever commit it started from."""
    there = git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps/*/*/labels-*")
    return [run for run in runs if run.name not in there]


def dvc(*args: str) -> int:
    """The exit status. Ctrl-C reaches DVC, too, which first puts this folder back as it was; so it is waited for."""
    process = subprocess.Popen(["dvc", *args])
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


def execute(runs: list[Run]) -> None:
    """Queue the runs, but for those that are in the queue already, and wait until all in the queue have ended."""
    from dvc.repo import Repo

    queue = Repo().experiments.celery_queue
    while (workers := queue.worker_status()) and not any(queue.iter_active()):
        time.sleep(1)  # an idle worker ends within seconds, and would leave what is queued in the last of them
    if not workers and (dead := [entry.name for entry in queue.iter_active()]):  # their worker was killed
        dvc("queue", "kill", *dead)
    waiting = {entry.name for entry in (*queue.iter_active(), *queue.iter_queued())}
    for run in runs:
        if run.name not in waiting and dvc("exp", "run", "--queue", "--name", run.name, *run.options, "evaluate"):
            raise SystemExit(f"learning-curve: {run.name} could not be queued, see above")
    dvc("exp", "run", "--run-all")


def scores(name: str) -> pd.DataFrame:
    """Of an experiment, a row for each test text, by text: label; whether the classifier is right, and its log loss;
    whether TF-IDF is right, and learned anything.
    """
    from dvc.api import DVCFileSystem

    table = predictions(name, "test")
    with refused(name) as rev:
        baseline, metadata = read_table(DVCFileSystem(rev=rev).open(BASELINE.as_posix()))
    right = {"accuracy": table["predicted"] == table["label"], "tfidf": baseline["predicted"] == table["label"]}
    columns = {"label": table["label"], **right, "log_loss": losses(table), "learned": metadata["learned"]}
    return pd.DataFrame(columns).astype(float).set_index(table["text"])


def mean_with_interval(draws: list[pd.Series], least: float, most: float) -> tuple[float, float, float]:
    """(mean, low, high), 95%, of a value that each text has in each draw, by text. least, most: what a mean can be.

    Half the interval is the root of the sum of two squares: of the t-interval of the draws' means, and of that of the
    texts, in which a text of several draws counts once. So draws and texts both count, also where all draws have the
    same texts. Of a share, from 0 to 1, it is Wilson's in one draw, and in several at least that of all their texts.
    """
    from scipy.stats import t

    means = np.array([values.mean() for values in draws])
    texts = pd.concat([values - values.mean() for values in draws]).groupby(level=0).sum()
    spread = np.sqrt((texts**2).sum() * len(texts) / (len(texts) - 1)) / sum(map(len, draws))
    half = t.ppf(0.975, len(texts) - 1) * spread
    if len(draws) > 1:
        half = np.hypot(half, t.ppf(0.975, len(draws) - 1) * means.std(ddof=1) / np.sqrt(len(draws)))
    mean, low, high = means.mean(), max(least, means.mean() - half), min(most, means.mean() + half)
    if (least, most) == (0, 1):
        ends = wilson_interval(round(mean * len(texts)), len(texts))
        low, high = ends if len(draws) == 1 else (min(low, ends[0]), max(high, ends[1]))
    return mean, low, high


def summary(runs: list[Run]) -> pd.DataFrame:
    """The curve: a row for each size. gain: points of accuracy over the size before, paired on the same test texts in
    the draws that both sizes have.
    """
    rows, before = [], {}
    for labels, group in itertools.groupby(runs, key=lambda run: run.labels):
        of_size = list(group)
        drawn = {run.seed: scores(run.name) for run in of_size}
        pairs = [(before[seed], table) for seed, table in drawn.items() if seed in before]
        if any(not fewer["label"].equals(more["label"]) for fewer, more in pairs):
            raise SystemExit(f"{labels:,} labels: other test texts than with fewer, so no difference can be paired")
        row = {
            "labels": labels,
            "train": of_size[0].train,
            "validation": of_size[0].validation,
            "test": len(drawn[of_size[0].seed]),
            "draws": len(drawn),
            "gain_draws": len(pairs),
            "tfidf_learned": sum(table["learned"].all() for table in drawn.values()),
        }
        values = {name: [table[name] for table in drawn.values()] for name in ("accuracy", "tfidf", "log_loss")}
        values["gain"] = [100 * (more["accuracy"] - fewer["accuracy"]) for fewer, more in pairs]
        for name, of_draws in values.items():
            found = mean_with_interval(of_draws, *BOUNDS[name]) if of_draws else [np.nan] * 3
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
        rows.append(row)
        before = drawn
    return pd.DataFrame(rows)


def table(curve: pd.DataFrame) -> str:
    """The curve in Markdown."""

    def cells(name: str, form: str, times: int = 1) -> list[str]:
        values = times * curve[[name, f"{name}_low", f"{name}_high"]]
        return ["" if np.isnan(row[0]) else form.format(*row) for row in values.to_numpy()]

    percent, guessed = "{:.1f}% ({:.1f} to {:.1f})", curve["tfidf_learned"] < curve["draws"]
    columns = {
        **{name: curve[name].map("{:,}".format) for name in ("labels", "train", "validation", "draws")},
        "accuracy": cells("accuracy", percent, 100),
        "TF-IDF": [cell + "*" * star for cell, star in zip(cells("tfidf", percent, 100), guessed, strict=True)],
        "log loss": cells("log_loss", "{:.3f} ({:.3f} to {:.3f})"),
        "points over the row above": cells("gain", "{:+.1f} ({:+.1f} to {:+.1f})"),
        "95% intervals count": np.where(curve["draws"] > 1, "draws and texts", "texts"),
    }
    shown = pd.DataFrame(columns).to_markdown(index=False, disable_numparse=True, colalign=["right"] * len(columns))
    note = "\n\n\\* In a draw or more TF-IDF learned nothing, and gives each text the commonest label of train."
    return shown + (note if guessed.any() else "")


def conclusion(curve: pd.DataFrame) -> str:
    """What the two largest sizes say."""
    last, fewer = curve.iloc[-1], curve.iloc[:-1]["labels"].max()
    change, low, high = last[["gain", "gain_low", "gain_high"]]
    if np.isnan(change):
        return "Two sizes with a draw in common are needed to say whether more labels help."
    verdict = "holds 0: this does not show that more labels help"
    if low > 0:
        verdict = "is above 0: more labels helped"
    if high < 0:
        verdict = "is below 0: more labels did harm"
    draws = "one draw" if last["gain_draws"] == 1 else f"each of {last['gain_draws']} draws"
    moved = f"{'fell' if change < 0 else 'rose'} by {abs(change):.1f} points"
    return (
        f"From {fewer:,} to {last['labels']:,} labels accuracy {moved} (95% interval of the change {low:.1f} to "
        f"{high:.1f}, on the same {last['test']:,} test texts in {draws}). The interval {verdict}."
    )


def picture(curves: list[pd.DataFrame], path: Path) -> None:
    """Accuracy and, beside it, log loss with their intervals against the number of labels."""
    fig, panels = new_figure(9, 3.8, columns=2)
    lines = [(curves[0], "tfidf", "TF-IDF", "^:", "0.5")]
    for curve, line in zip(curves, itertools.cycle(LINES), strict=False):
        label = f"{curve['model'].iloc[0]}, {curve['method'].iloc[0]}"
        lines += [(curve, name, label, *line) for name in ("accuracy", "log_loss")]
    for curve, name, label, line, color in lines:
        gaps = [curve[name] - curve[f"{name}_low"], curve[f"{name}_high"] - curve[name]]
        axes = panels[int(name == "log_loss")]
        axes.errorbar(curve["labels"], curve[name], gaps, fmt=line, color=color, capsize=3, label=label)
    ticks = sorted({labels for curve in curves for labels in curve["labels"]})
    for axes, name in zip(panels, ("accuracy", "log loss"), strict=True):
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{labels:,}" for labels in ticks], rotation=45, ha="right", rotation_mode="anchor")
        axes.minorticks_off()
        axes.set(xlabel="labels (train and validation)", ylabel=name, title=f"{name.capitalize()}, test split")
        axes.grid(alpha=0.3)
    panels[0].yaxis.set_major_formatter("{x:.0%}")
    panels[0].legend(frameon=False)
    save_figure(fig, path)


def numbers(name: str, given: str) -> list[int]:
    """Raises InputError for what is no whole number above 0."""
    if odd := [word for word in given.split() if not word.isdecimal() or int(word) == 0]:
        raise InputError(f"{name}: {odd[0]!r} is not a whole number above 0")
    return [int(word) for word in given.split()]


@app.command()
def measure(
    sizes: Annotated[str, typer.Option(help="Numbers of labels; none: some that suit the data set.")] = "",
    draws: Annotated[str, typer.Option(help="How often a size below 1,000 is drawn.")] = "3",
    settings: Annotated[str, typer.Option("--set", help="More settings, as `dvc exp run -S` takes them.")] = "",
) -> None:
    """Run what has not been run, print table and conclusion, write the curve as CSV and PNG."""
    try:
        overrides = shlex.split(settings)
    except ValueError as error:  # a quotation mark that stands alone
        raise SystemExit(f"learning-curve: SET: {error}") from None
    try:
        if len(times := numbers("DRAWS", draws)) != 1:
            raise InputError(f"DRAWS: one number is needed, got {draws!r}")
        runs, at = plan(overrides, numbers("SIZES", sizes), *times), commit()
        params = params_with(overrides)
        todo = missing(runs)
        print(f"{len(todo)} of {len(runs)} runs to make", *(run.name for run in todo), sep="\n  ", flush=True)
        if todo:
            execute(todo)
    except InputError as error:
        raise SystemExit(f"learning-curve: {' '.join(str(error).split())}") from None
    except KeyboardInterrupt:
        raise SystemExit(STOPPED) from None
    failed = missing(todo)
    for run in failed:
        print(f"{run.labels:,} labels, seed {run.seed}: failed; `dvc queue logs {run.name}` says why")
    if done := [run for run in runs if run not in failed]:
        names = {kind: getattr(params, kind) for kind in ("dataset", "model", "method")}
        curve = summary(done).assign(**names, precision=precision(params), commit=at)
        machine = os.environ.get("MACHINE")
        path = (RESULTS / machine if machine else PICTURES) / f"learning_curve-{'-'.join(names.values())}.csv"
        write_csv(path, curve)
        picture([curve], path.with_suffix(".png"))
        print("", table(curve), conclusion(curve), f"{path}\n{path.with_suffix('.png')}", sep="\n\n")
    if failed:
        raise SystemExit(
            f"learning-curve: {len(failed)} of {len(runs)} runs failed; started again, it runs those again"
        )


@app.command()
def draw(curves: list[Path], out: Annotated[Path, typer.Option(help="The picture, a PNG.")]) -> None:
    """Draw several curves, such as those of two encoders, into one picture. TF-IDF's curve is the first file's."""
    try:
        picture([pd.read_csv(path) for path in curves], out)
    except (OSError, ValueError, KeyError) as error:
        why = " ".join(str(error).split())
        raise SystemExit(f"learning-curve: {why}; CSV files that `make learning-curve` wrote are needed") from None


if __name__ == "__main__":
    app()
