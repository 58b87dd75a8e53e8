"""Measure what a rerun costs.

    make reruns          # after `dvc repro`

A `dvc repro` that runs nothing is compared with DVC's own time for as many stages. A `dvc repro` of `infer` alone is
compared with loading the model.
"""

import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.record import Record, in_turn, ratios, seconds_of
from classifier.runner.params import STAGES

WHAT = (
    "Time of two reruns beside the least that each could take: DVC alone with as many stages, and loading the model; "
    "the medians, and the lowest and highest ratio of the pairs."
)
FORMATS = {
    **{"what": "", "seconds": ".2f", "compared with": "", "its seconds": ".2f", "times that": ".2f"},
    **{"lowest": ".2f", "highest": ".2f", "least seconds more": ".1f", "most seconds more": ".1f"},
}
LOAD_MODEL = [sys.executable, "-c", "from classifier.model.loading import load_classifier; load_classifier()"]


def run_command(command: list[str], folder: Path = Path()) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def make_smallest_pipeline(folder: Path) -> None:
    """Make, run and commit a pipeline with as many stages as ours, each of which copies a file of one line."""
    run_command(["git", "init", "--quiet"], folder)
    run_command(["dvc", "init", "--quiet"], folder)
    (folder / "f0").write_text("one line\n")
    stages = "".join(
        f"  {name}:\n    cmd: cp f{number} f{number + 1}\n    deps: [f{number}]\n    outs: [f{number + 1}]\n"
        for number, name in enumerate(STAGES)
    )
    (folder / "dvc.yaml").write_text(f"stages:\n{stages}")
    run_command(["dvc", "repro"], folder)
    run_command(["git", "add", "--all"], folder)
    run_command(["git", "-c", "user.name=bench", "-c", "user.email=", "commit", "--quiet", "-m", "finished"], folder)


def compare_commands(what: str, ours: partial, beside: str, theirs: partial, pairs: int) -> dict[str, str | float]:
    """Time two commands in turn; return a row of the table."""
    ours()  # once before the timing, so that DVC and the system have cached the same for both
    theirs()
    times, reference = in_turn(pairs, partial(seconds_of, ours), partial(seconds_of, theirs))
    more = [time - other for time, other in zip(times, reference, strict=True)]
    return {
        "what": what,
        "seconds": statistics.median(times),
        "compared with": beside,
        "its seconds": statistics.median(reference),
        **ratios("times that", times, reference),
        "least seconds more": min(more),
        "most seconds more": max(more),
    }


def main(pairs: Annotated[int, typer.Option(min=1, help="Runs of each command, in turn.")] = 5) -> None:
    """Time two kinds of reruns beside the least that each could take."""
    record, repro = Record("reruns", WHAT), partial(run_command, ["dvc", "repro"])
    repro()
    with tempfile.TemporaryDirectory() as folder:
        make_smallest_pipeline(Path(folder))
        dvc_alone = partial(run_command, ["dvc", "repro"], Path(folder))
        infer = partial(run_command, ["dvc", "repro", "-fs", "infer"])
        table = [
            compare_commands("dvc repro that runs nothing", repro, "DVC alone", dvc_alone, pairs),
            compare_commands("dvc repro of infer", infer, "loading the model", partial(run_command, LOAD_MODEL), pairs),
        ]
    record.write(pd.DataFrame(table), FORMATS)


if __name__ == "__main__":
    typer.run(main)
