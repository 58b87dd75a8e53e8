"""The timing functions that benchmarks share, and the record of a benchmark's table.

MACHINE=epyc-2-cores make speed     # also writes the table to benchmarks/results/epyc-2-cores/speed.md
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from torch.utils.benchmark import Timer

from classifier.distributed.devices import device
from classifier.runner.params import PARAMS
from classifier.runner.versions import VERSIONS

RESULTS = Path(__file__).with_name("results")
LIBRARIES = ("torch", "transformers", "peft", "datasets", "dvc")


def seconds_of(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def in_turn(pairs: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Call both functions once in each pair, ours first in every second pair; return their results."""
    times = {ours: [], theirs: []}
    for number in range(pairs):
        for call in (ours, theirs) if number % 2 == 0 else (theirs, ours):
            times[call].append(call())
    return times[ours], times[theirs]


def ratios(name: str, times: list[float], reference: list[float]) -> dict[str, str | float]:
    """Return two columns of a table: the ratio of the medians, under `name`, and the range of the pairs' ratios."""
    by_pair = [time / other for time, other in zip(times, reference, strict=True)]
    return {
        name: statistics.median(times) / statistics.median(reference),
        "in each pair": f"{min(by_pair):.2f} to {max(by_pair):.2f}",
    }


def matrix_rate(dtype: torch.dtype = torch.float32) -> float:
    """Measure the floating-point operations a second of a matrix product with the default encoder's sizes."""
    tokens, weights = (torch.randn(size, device=device()).to(dtype) for size in ((4096, 384), (384, 1536)))
    product = Timer("tokens @ weights", globals=locals(), num_threads=torch.get_num_threads())
    return 2 * 4096 * 384 * 1536 / product.blocked_autorange(min_run_time=0.5).median


def current_commit() -> str:
    """Return the short hash of the last commit, followed by + if files that shape a result have been edited since."""
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    shaping = ["stages", "classifier", "apps", "benchmarks/*.py", "dvc.yaml", PARAMS, VERSIONS]
    return f"{commit}+" if subprocess.check_output(["git", "status", "--porcelain", *shaping]) else commit


class Record:
    """A benchmark's table and the conditions of its measurement.

    Create the record when the benchmark starts: it notes the commit of that moment.
    """

    def __init__(self, name: str):
        self.name, self.commit = name, current_commit()

    def write(self, table: pd.DataFrame, floatfmt: str | tuple[str, ...] = ".2f") -> None:
        """Print the table in Markdown, below a line with the command, commit, device, matrix rates and versions.

        If MACHINE in the environment names the machine, write both to benchmarks/results/MACHINE/NAME.md as well.
        """
        command = " ".join(["python -m", f"benchmarks.{self.name}", *sys.argv[1:]])
        rates = [f"{matrix_rate(kind) / 1e9:.0f} GFLOP/s in {kind}" for kind in (torch.float32, torch.bfloat16)]
        conditions = (
            f"`{command}` at commit {self.commit}, on {device().type} with {torch.get_num_threads()} threads; a "
            f"product of matrices: {', '.join(rates).replace('torch.', '')}; "
            f"{', '.join(f'{library} {version(library)}' for library in LIBRARIES)}."
        )
        report = f"{conditions}\n\n{table.to_markdown(index=False, floatfmt=floatfmt)}"
        print(report, flush=True)
        if machine := os.environ.get("MACHINE"):
            path = RESULTS / machine / f"{self.name}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{report}\n")
