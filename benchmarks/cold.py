"""The whole pipeline from nothing at two commits, in turn: the time of `dvc repro` and the most memory of a process.

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

from benchmarks.record import in_turn, ratios, record
from benchmarks.scale import ROOT
from stages.files import read_json


def short(commit: str) -> str:
    return subprocess.check_output(["git", "rev-parse", "--short", commit], text=True).strip()


def make_clone(folder: Path, commit: str, command: list[str]) -> None:
    """With that commit checked out and its environment set up by the command."""
    subprocess.run(["git", "clone", "--quiet", f"file://{ROOT}", folder], check=True)
    subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=folder, check=True)
    subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)


def cold_run(folder: Path, peaks: list[int]) -> float:
    """Seconds of `dvc repro` without a cache and outputs; adds the most bytes that one of its processes had."""
    subprocess.run(["git", "clean", "-dffxq", "--exclude=.venv"], cwd=folder, check=True)
    started = time.perf_counter()
    environment = os.environ | {"PATH": f"{folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(["dvc", "repro"], cwd=folder, env=environment, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - started
    if status:
        raise SystemExit(f"{folder}: dvc repro failed, see above")
    peaks.append(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    return taken


def main(
    than: Annotated[str, typer.Option(help="The other commit.")],
    pairs: Annotated[int, typer.Option(min=1)] = 2,
    setup: Annotated[str, typer.Option(help="What sets .venv up in a clone.")] = "make env",
) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as parent:
        folders = {"HEAD": Path(parent) / "ours", than: Path(parent) / "theirs"}
        peaks = {commit: [] for commit in folders}
        for commit, folder in folders.items():
            make_clone(folder, commit, setup.split())
        times = in_turn(pairs, *(partial(cold_run, folder, peaks[commit]) for commit, folder in folders.items()))
        table = []
        for (commit, folder), taken in zip(folders.items(), times, strict=True):
            accuracy = read_json(folder / "metrics/evaluate.json")["accuracy"]
            table.append(
                {"dvc repro": f"at commit {short(commit)}", "minutes": statistics.median(taken) / 60}
                | {"memory, GB": max(peaks[commit]) / 1e9, "accuracy": accuracy}
                | ratios(times[1], taken)
            )
    record("cold", pd.DataFrame(table), ("", ".1f", ".2f", ".3f", ".2f"))


if __name__ == "__main__":
    typer.run(main)
