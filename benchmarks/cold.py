"""Run the whole pipeline from nothing at two commits, in turn; compare time and peak memory.

    make cold THAN=4108176          # 30 to 90 minutes on two cores

Each commit is checked out in a clone with its own .venv, in a temporary folder. Setting up the .venv by `make env` is
not timed, and neither are downloads that pip has cached.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.record import Record, in_turn, ratios
from benchmarks.scale import ROOT
from classifier.files.formats import read_json

# A program that runs a command and prints the peak memory of the largest process. It imports no large library, because
# the peak of a child process is at least the memory that its parent had at the start of the child.
PEAK = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=sys.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


WHAT = (
    "Time and peak memory of all stages from nothing, at two commits; "
    "the medians, and the lowest and highest ratio of the pairs."
)
FORMATS = {
    **{"commit": "", "minutes": ".1f", "resident GB": ".2f", "accuracy": ".1%"},
    **{"times the other": ".2f", "lowest": ".2f", "highest": ".2f"},
}


def short_hash(commit: str) -> str:
    return subprocess.check_output(["git", "rev-parse", "--short", commit], text=True).strip()


def make_clone(folder: Path, commit: str, setup: list[str]) -> None:
    """Check out a commit in a new clone, and set up its environment by the command `setup`."""
    subprocess.run(["git", "clone", "--quiet", f"file://{ROOT}", folder], check=True)
    subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=folder, check=True)
    subprocess.run(setup, cwd=folder, check=True, stdout=sys.stderr)


def cold_run(folder: Path, peaks: list[int]) -> float:
    """Run all stages without a cache; return the seconds, and append the bytes of the largest process to `peaks`."""
    subprocess.run(["git", "reset", "--quiet", "--hard"], cwd=folder, check=True)
    subprocess.run(["git", "clean", "-dffxq", "--exclude=.venv"], cwd=folder, check=True)
    environment = os.environ | {"PATH": f"{folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-c", PEAK, "dvc", "repro", "--force"]
    started = time.perf_counter()
    run = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE)
    seconds = time.perf_counter() - started
    if run.returncode:
        raise SystemExit(f"{folder}: dvc repro failed, see above")
    peaks.append(int(run.stdout) * (1 if sys.platform == "darwin" else 1024))
    return seconds


def main(
    than: Annotated[str, typer.Option(help="The commit to compare HEAD with.")],
    pairs: Annotated[int, typer.Option(min=1, help="Runs of each commit, in turn.")] = 2,
    setup: Annotated[str, typer.Option(help="The command that sets up .venv in a clone.")] = "make env",
) -> None:
    """Compare a run of the whole pipeline from nothing at HEAD with one at another commit."""
    record, commits = Record("cold", WHAT), (short_hash("HEAD"), short_hash(than))
    with tempfile.TemporaryDirectory() as parent:
        folders, peaks, table = [Path(parent, name) for name in ("ours", "theirs")], ([], []), []
        for folder, commit in zip(folders, commits, strict=True):
            make_clone(folder, commit, setup.split())
        ours, theirs = (partial(cold_run, *clone) for clone in zip(folders, peaks, strict=True))
        times = in_turn(pairs, ours, theirs)
        for folder, commit, seconds, peak in zip(folders, commits, times, peaks, strict=True):
            table.append(
                {
                    "commit": commit,
                    "minutes": statistics.median(seconds) / 60,
                    "resident GB": max(peak) / 1e9,
                    "accuracy": read_json(folder / "metrics/evaluate.json")["accuracy"],
                    **ratios("times the other", seconds, times[1]),
                }
            )
    record.write(pd.DataFrame(table), FORMATS)


if __name__ == "__main__":
    typer.run(main)
