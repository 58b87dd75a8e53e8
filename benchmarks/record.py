"""The timing functions that benchmarks share, and the record of a benchmark's results.

    MACHINE=epyc-2-cores make speed     # also writes the results to benchmarks/results/epyc-2-cores/speed.json

A result file is a JSON object with the keys `what` (what was measured, a sentence), `command`, `commit`, `machine` (a
sentence), `versions` (version by library), `columns` (Python format by column) and `rows` (a list of objects).
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from classifier.distributed.devices import device
from classifier.files.formats import write_json
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


def ratios(name: str, times: list[float], reference: list[float]) -> dict[str, float]:
    """Return three columns: the ratio of the medians, under `name`, and the lowest and highest ratio of a pair."""
    by_pair = [time / other for time, other in zip(times, reference, strict=True)]
    median = statistics.median(times) / statistics.median(reference)
    return {name: median, "lowest": min(by_pair), "highest": max(by_pair)}


def matrix_rate(dtype=None) -> float:
    """Measure the floating-point operations a second of a matrix product with the default encoder's sizes.

    The product is that of the linear layers: by oneDNN in fp32 on an x86 processor, and else by torch.

    dtype: torch dtype of the matrices (default: torch.float32).
    """
    import torch
    from torch.utils.benchmark import Timer

    from classifier.model.fast.linear import linear

    sizes = ((4096, 384), (1536, 384))
    tokens, weights = (torch.randn(size, device=device()).to(dtype or torch.float32) for size in sizes)
    names = {"linear": linear, "tokens": tokens, "weights": weights}
    product = Timer("linear(tokens, weights)", globals=names, num_threads=torch.get_num_threads())
    return 2 * 4096 * 384 * 1536 / product.blocked_autorange(min_run_time=0.5).median


def current_commit() -> str:
    """Return the short hash of the last commit, followed by + if files that shape a result have been edited since."""
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    shaping = ["stages", "classifier", "apps", "benchmarks/*.py", "dvc.yaml", PARAMS, VERSIONS]
    return f"{commit}+" if subprocess.check_output(["git", "status", "--porcelain", *shaping]) else commit


def this_machine() -> str:
    """Describe the machine: its kind, device and threads, and the rates at which it multiplies matrices.

    The kind is MACHINE_KIND in the environment, such as "one H200 with 16 CPU cores", or else MACHINE.
    """
    import torch

    kind = os.environ.get("MACHINE_KIND") or os.environ.get("MACHINE") or "a machine"
    rates = [f"{matrix_rate(dtype) / 1e9:.0f} GFLOP/s in {dtype}" for dtype in (torch.float32, torch.bfloat16)]
    conditions = f"{kind} ({device().type}, {torch.get_num_threads()} threads)"
    return f"{conditions}; matrix products: {', '.join(rates).replace('torch.', '')}"


def table(result: dict) -> str:
    """Return the rows of a result as a table in Markdown.

    Args:
        result: A result, as the docstring of this file describes it. A column with a format is aligned to the right.
            If a row lacks a column, the cell is empty. Values of a row that are in no column are not shown.
    """
    columns = result["columns"]
    cells = [
        ["" if row.get(name) is None else format(row[name], spec) for name, spec in columns.items()]
        for row in result["rows"]
    ]
    return pd.DataFrame(cells, columns=list(columns)).to_markdown(
        index=False, disable_numparse=True, colalign=["right" if spec else "left" for spec in columns.values()]
    )


class Record:
    """A benchmark's results and the conditions of its measurement.

    Create the record when the benchmark starts: it notes the commit of that moment.

    Args:
        name: name of the benchmark's module.
        what: what is measured, a sentence.
        file: name of the result file without .json. None: that of the module.
    """

    def __init__(self, name: str, what: str, file: str | None = None):
        self.name, self.what, self.file, self.commit = name, what, file or name, current_commit()

    def write(self, rows: pd.DataFrame, columns: dict[str, str]) -> None:
        """Print the rows as a table in Markdown, below the conditions of the measurement.

        If MACHINE in the environment names the machine, write benchmarks/results/MACHINE/FILE.json as well.

        Args:
            rows: the results. A missing value is an empty cell.
            columns: the columns in their order, and the Python format of each; "" for text.
        """
        result = {
            "what": self.what,
            "command": " ".join(["python -m", f"benchmarks.{self.name}", *sys.argv[1:]]),
            "commit": self.commit,
            "machine": this_machine(),
            "versions": {library: version(library) for library in LIBRARIES},
            "columns": columns,
            "rows": json.loads(rows[list(columns)].to_json(orient="records")),
        }
        versions = ", ".join(map(" ".join, result["versions"].items()))
        print(f"`{result['command']}` at commit {self.commit}, on {result['machine']}; {versions}.", flush=True)
        print(f"\n{table(result)}", flush=True)
        if machine := os.environ.get("MACHINE"):
            write_json(RESULTS / machine / f"{self.file}.json", result)
