"""The whole pipeline from nothing at two commits, in turn: its time and the most memory of a process.

    make cold THAN=4108176          # hours

Each commit has a clone of its own with its own .venv, in a temporary folder; `make env`, which sets it up, is not
timed, nor is what pip has fetched already.
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

# Prints the most memory that a process of the command had; small itself, since they begin with its own peak.
PEAK = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=sys.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


def short(commit: str) -> str:
    return subprocess.check_output(["git", "rev-parse", "--short", commit], text=True).strip()


def make_clone(folder: Path, commit: str, command: list[str]) -> None:
    """With that commit checked out and its environment set up by the command."""
    subprocess.run(["git", "clone", "--quiet", f"file://{ROOT}", folder], check=True)
    subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=folder, check=True)
    subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)


def cold_run(folder: Path, peaks: list[int]) -> float:
    """Seconds of all stages without a cache; adds the most bytes that one of their processes had."""
    subprocess.run(["git", "reset", "--quiet", "--hard"], cwd=folder, check=True)
    subprocess.run(["git", "clean", "-dffxq", "--exclude=.venv"], cwd=folder, check=True)
    environment = os.environ | {"PATH": f"{folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-c", PEAK, "dvc", "repro", "--force"]
    started = time.perf_counter()
    run = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE)
    taken = time.perf_counter() - started
    if run.returncode:
        raise SystemExit(f"{folder}: dvc repro failed, see above")
    peaks.append(int(run.stdout) * (1 if sys.platform == "darwin" else 1024))
    return taken


def main(
    than: Annotated[str, typer.Option(help="The other commit.")],
    pairs: Annotated[int, typer.Option(min=1)] = 2,
    setup: Annotated[str, typer.Option(help="What sets .venv up in a clone.")] = "make env",
) -> None:
    """Print the table."""
    record, commits = Record("cold"), (short("HEAD"), short(than))
    with tempfile.TemporaryDirectory() as parent:
        folders, peaks, table = (Path(parent) / "ours", Path(parent) / "theirs"), ([], []), []
        for folder, commit in zip(folders, commits, strict=True):
            make_clone(folder, commit, setup.split())
        times = in_turn(pairs, *map(partial, [cold_run] * 2, folders, peaks))
        for folder, commit, taken, peak in zip(folders, commits, times, peaks, strict=True):
            table.append(
                {"all stages": f"at commit {commit}", "minutes": statistics.median(taken) / 60}
                | {"resident GB": max(peak) / 1e9, "accuracy": read_json(folder / "metrics/evaluate.json")["accuracy"]}
                | ratios("of the other's time", taken, times[1])
            )
    record.write(pd.DataFrame(table), ("", ".1f", ".2f", ".3f", ".2f"))


if __name__ == "__main__":
    typer.run(main)
