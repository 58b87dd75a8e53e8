"""Measure the memory of the stages as the data grows.

    make scale ROWS="10000 1000000"

Made-up texts of about 1 kB pass through data, tokenize and the first 200 steps of train, with the default encoder. Each
stage runs as a process of its own in a clone of the last commit, in a temporary folder. The folder takes about 4 kB of
disk a text; TMPDIR in the environment sets its parent.

Memory is sampled every 20 ms. Resident memory is all memory of the process that is in RAM, pages of mapped files
included. The system can reclaim these pages for other programs. Private memory is resident memory without these pages.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import psutil
import typer

from benchmarks.record import Record

ROOT = Path(__file__).parent.parent

WHAT = (
    "Peak memory of data, tokenize and the first 200 steps of train for made-up texts of about 1 kB; "
    "resident memory includes pages of mapped files, private memory does not."
)
FORMATS = {"texts": ",.0f", "stage": "", "resident GB": ".2f", "private GB": ".2f", "seconds": ",.0f"}
MODULES = {"data": "stages.data", "tokenize": "stages.tokenize", "train": "benchmarks.first_steps"}
# Overrides as `dvc exp run -S` takes them. Half of the texts have each label; the held-out splits are the default's.
OVERRIDES = [
    "dataset=scale",
    "train.short_epoch=null",  # the batches of the short epoch are small
    "+datasets.scale={source:{train:scale.jsonl},labels:[no,yes],train:null,validation:1000,test:5000}",
]


def make_clone(folder: Path, rows: int) -> None:
    """Make a clone of this repository that selects a file of made-up texts and has the encoder in models/base/."""
    from dvc.utils.hydra import apply_overrides

    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", folder], check=True)
    apply_overrides(folder / "params.yaml", OVERRIDES)
    subprocess.run([sys.executable, "-m", "stages.base_model"], cwd=folder, check=True)
    write_texts(folder / "data/local/scale.jsonl", rows, folder / "models/base/vocab.txt")


def write_texts(path: Path, rows: int, vocabulary: Path) -> None:
    """Write made-up texts of 60 to 280 words as JSON Lines.

    Each text is a part of one long text. Its words are drawn from the encoder's vocabulary, which is sorted by
    frequency, with the frequency that a word of this rank has in English. A number at the start makes each text unique.
    """
    words = [word for word in vocabulary.read_text(encoding="utf-8").split() if word.isascii() and word.isalpha()]
    shares = 1 / np.arange(1, len(words) + 1)
    rng = np.random.default_rng(0)
    drawn = rng.choice(words, size=1_000_000, p=shares / shares.sum()).tolist()
    with path.open("w", encoding="utf-8") as file:
        for row in range(rows):
            start, length = rng.integers(len(drawn) - 280), rng.integers(60, 281)
            text = " ".join([str(row), *drawn[start : start + length]])
            file.write(json.dumps({"text": text, "label": ("no", "yes")[row % 2]}) + "\n")


def measure_process(command: list[str], folder: Path) -> dict[str, float]:
    """Run a command; return the peak memory of its process, in GB, and its time in seconds."""
    started, resident, private = time.monotonic(), 0, 0
    process = psutil.Popen(command, cwd=folder)
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):  # the process ended after poll()
            memory = process.memory_info()
            resident = max(resident, memory.rss)
            private = max(private, memory.rss - getattr(memory, "shared", 0))  # only Linux counts shared pages
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: failed, see above")
    return {"resident GB": resident / 1e9, "private GB": private / 1e9, "seconds": time.monotonic() - started}


def main(
    sizes: Annotated[list[int], typer.Argument(min=7000, help="Numbers of texts, of which 6,000 are held out.")],
) -> None:
    """Show the memory that data, tokenize and the first 200 steps of train need for made-up texts of 1 kB."""
    record, rows = Record("scale", WHAT), []
    for size in sizes:
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "project"
            make_clone(folder, size)
            for stage, module in MODULES.items():
                measured = measure_process([sys.executable, "-m", module], folder)
                rows.append({"texts": size, "stage": stage} | measured)
                print(rows[-1], flush=True)
    record.write(pd.DataFrame(rows), FORMATS)


if __name__ == "__main__":
    typer.run(main)
