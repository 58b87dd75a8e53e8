"""What a benchmark found, printed, and kept where docs/performance.md and a reader find it.

MACHINE=epyc-2-cores make speed     # keeps it as benchmarks/results/epyc-2-cores/speed.md
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


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def in_turn(pairs: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """What the two return, called so many times each, in turn the first."""
    found = {ours: [], theirs: []}
    for number in range(pairs):
        for call in (ours, theirs) if number % 2 == 0 else (theirs, ours):
            found[call].append(call())
    return found[ours], found[theirs]


def ratios(name: str, times: list[float], others: list[float]) -> dict[str, str | float]:
    """Two columns of a table: times over others, by the medians, under that name; and in the extreme pairs."""
    each = [own / other for own, other in zip(times, others, strict=True)]
    return {
        name: statistics.median(times) / statistics.median(others),
        "in each pair": f"{min(each):.2f} to {max(each):.2f}",
    }


def matrix_rate(dtype: torch.dtype = torch.float32) -> float:
    """Floating-point operations a second of a product of two matrices of the default encoder's sizes."""
    tokens, weights = (torch.randn(size, device=device()).to(dtype) for size in ((4096, 384), (384, 1536)))
    product = Timer("tokens @ weights", globals=locals(), num_threads=torch.get_num_threads())
    return 2 * 4096 * 384 * 1536 / product.blocked_autorange(min_run_time=0.5).median


def commit() -> str:
    """The last one; with a + if what a result may depend on has been edited since."""
    at = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    on = ["stages", "benchmarks/*.py", "dvc.yaml", PARAMS, VERSIONS]
    return f"{at}+" if subprocess.check_output(["git", "status", "--porcelain", *on]) else at


class Record:
    """A benchmark's table, and what it was made with. Made at the benchmark's start: the commit is that of then."""

    def __init__(self, name: str):
        self.name, self.commit = name, commit()

    def write(self, table: pd.DataFrame, floatfmt: str | tuple[str, ...] = ".2f") -> None:
        """Print the table under a line that says how it was made; keep both if MACHINE in the environment names the
        machine.
        """
        command = " ".join(["python -m", f"benchmarks.{self.name}", *sys.argv[1:]])
        rates = [f"{matrix_rate(kind) / 1e9:.0f} GFLOP/s in {kind}" for kind in (torch.float32, torch.bfloat16)]
        made = (
            f"`{command}` at commit {self.commit}, on {device().type} with {torch.get_num_threads()} threads; a "
            f"product of matrices: {', '.join(rates).replace('torch.', '')}; "
            f"{', '.join(f'{library} {version(library)}' for library in LIBRARIES)}."
        )
        shown = table.to_markdown(index=False, floatfmt=floatfmt)
        print(f"{made}\n\n{shown}", flush=True)
        if machine := os.environ.get("MACHINE"):
            path = RESULTS / machine / f"{self.name}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{made}\n\n{shown}\n")
