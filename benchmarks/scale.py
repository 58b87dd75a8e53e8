"""What memory the stages need as the data grows: made-up texts of about 1 kB through data, tokenize and train's first
200 steps, with the default encoder.

    make scale ROWS="10000 1000000"

Each stage is a process of its own in a clone of the last commit, in a temporary folder (about 4 kB of disk a text;
TMPDIR says where). Its memory is looked at every 20 ms. Resident is what the system counts, pages of mapped files
among it, which it takes back when others need room. Private is what is left without them.
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
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
MODULES = {"data": "stages.data", "tokenize": "stages.tokenize", "train": "benchmarks.first_steps"}
# What `dvc exp run -S` would take: half of the texts bear each label, those held out are as many as the default's.
OVERRIDES = [
    "dataset=scale",
    "train.short_epoch=null",  # whose batches are small
    "+datasets.scale={source:{train:scale.jsonl},labels:[no,yes],train:null,validation:1000,test:5000}",
]


def make_project(folder: Path, rows: int) -> None:
    """A clone of this repository that selects a file of made-up texts, with the encoder in models/base/."""
    from dvc.utils.hydra import apply_overrides

    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", folder], check=True)
    apply_overrides(folder / "params.yaml", OVERRIDES)
    subprocess.run([sys.executable, "-m", "stages.base_model"], cwd=folder, check=True)
    write_texts(folder / "data/local/scale.jsonl", rows, folder / "models/base/vocab.txt")


def write_texts(path: Path, rows: int, vocabulary: Path) -> None:
    """JSON Lines of texts of 60 to 280 words: stretches of one long text, whose words are as frequent as their rank in
    the encoder's vocabulary, which is sorted so, makes them in English. A number makes each different.
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


def command(stage: str) -> list[str]:
    """What measures a stage, in the environment that dvc.yaml gives it."""
    *environment, _, _, _ = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"][stage]["cmd"].split()
    return ["env", *environment, sys.executable, "-m", MODULES[stage]]


def measure(command: list[str], folder: Path) -> dict[str, float]:
    """The most memory, in GB, that a command's process has while it runs, and its time."""
    started, resident, private = time.monotonic(), 0, 0
    process = psutil.Popen(command, cwd=folder)
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile
            memory = process.memory_info()
            resident = max(resident, memory.rss)
            private = max(private, memory.rss - getattr(memory, "shared", 0))  # which Linux alone counts
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: failed, see above")
    return {"resident GB": resident / 1e9, "private GB": private / 1e9, "seconds": time.monotonic() - started}


def main(
    sizes: Annotated[list[int], typer.Argument(min=7000, help="Numbers of texts; 6,000 of them are held out.")],
) -> None:
    """Print what memory data, tokenize and train's first 200 steps need for so many made-up texts of 1 kB."""
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "project"
            make_project(folder, size)
            for stage in MODULES:
                measured = measure(command(stage), folder)
                rows.append({"texts": f"{size:,}", "stage": stage} | measured)
                print(rows[-1], flush=True)
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=(".0f", ".0f", ".2f", ".2f", ".0f")))


if __name__ == "__main__":
    typer.run(main)
