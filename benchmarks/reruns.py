"""What a rerun costs: of a `dvc repro` that runs nothing, beside DVC's own time for as many stages; of infer alone,
beside loading the model.

    make reruns          # after `dvc repro`
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

from benchmarks.record import Record, in_turn, ratios, seconds
from classifier.runner.params import STAGES

LOAD = [sys.executable, "-c", "from classifier.model.loading import load_classifier; load_classifier()"]


def run(command: list[str], folder: Path = Path()) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def make_floor(folder: Path) -> None:
    """A finished and committed pipeline of as many stages, each of which copies a file of one line."""
    run(["git", "init", "--quiet"], folder)
    run(["dvc", "init", "--quiet"], folder)
    (folder / "f0").write_text("one line\n")
    stages = "".join(
        f"  {name}:\n    cmd: cp f{number} f{number + 1}\n    deps: [f{number}]\n    outs: [f{number + 1}]\n"
        for number, name in enumerate(STAGES)
    )
    (folder / "dvc.yaml").write_text(f"stages:\n{stages}")
    run(["dvc", "repro"], folder)
    run(["git", "add", "--all"], folder)
    run(["git", "-c", "user.name=bench", "-c", "user.email=", "commit", "--quiet", "-m", "finished"], folder)


def main(pairs: Annotated[int, typer.Option(min=1)] = 5) -> None:
    """Print the table."""
    record = Record("reruns")
    run(["dvc", "repro"])
    with tempfile.TemporaryDirectory() as folder:
        make_floor(Path(folder))
        table = []
        floor = partial(run, ["dvc", "repro"], Path(folder))
        for what, other, ours, theirs in (
            ("dvc repro that runs nothing", "DVC alone", ["dvc", "repro"], floor),
            ("dvc repro of infer", "loading the model", ["dvc", "repro", "-fs", "infer"], partial(run, LOAD)),
        ):
            run(ours)  # once before: what DVC or the system keeps in memory is there for both
            theirs()
            own, others = in_turn(pairs, partial(seconds, partial(run, ours)), partial(seconds, theirs))
            more = [mine - its for mine, its in zip(own, others, strict=True)]
            row = {"what": what, "seconds": statistics.median(own), "beside it": other}
            row |= {"its seconds": statistics.median(others), **ratios("times that", own, others)}
            table.append(row | {"seconds more": f"{min(more):.1f} to {max(more):.1f}"})
    record.write(pd.DataFrame(table))


if __name__ == "__main__":
    typer.run(main)
