"""Test whether time grows in proportion to the number of texts while memory does not.

    make growth          # after `dvc repro`

The stages `tokenize`, `baseline` and `evaluate`, and `python -m apps.infer --file`, run on some real reviews, on 4
times as many and on 16 times as many. Each run is a process in a clone of the last commit with this folder's model,
in a temporary folder.
"""

import shutil
import subprocess
import sys
import tempfile
from operator import itemgetter
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.record import Record
from benchmarks.scale import ROOT, measure_process
from benchmarks.windows import unused_texts
from classifier.files.formats import read_table, write_table
from classifier.files.places import ADAPTER, BASE, RAW

TIMES = (1, 4, 16)
WHAT = "Time and peak memory of tokenize, baseline, evaluate and of infer --file, for more and more reviews."
FORMATS = {
    **{"stage": "", "texts": ",.0f", "seconds": ".0f", "ms a text": ".1f", "ms an additional text": ".1f"},
    **{"resident GB": ".2f", "private GB": ".2f"},
}
VALIDATION = 50  # validation texts, which tokenize and baseline read as well


def python_m(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def measure_stages(folder: Path, reviews: pd.DataFrame, metadata: dict) -> list[dict[str, str | float]]:
    """Write the reviews as the splits train and test of a project; run and measure each stage.

    Returns:
        A row for each stage: its name, the number of texts that it reads, its time and its memory.
    """
    for split in ("train", "test"):
        write_table(folder / RAW / f"{split}.parquet", reviews, **metadata)
    write_table(folder / "reviews.parquet", reviews)
    count, rows = len(reviews), []
    for name, command, texts in (
        ("tokenize", python_m("stages.tokenize"), 2 * count + VALIDATION),
        ("baseline", python_m("stages.baseline"), 2 * count + VALIDATION),
        ("evaluate", python_m("stages.evaluate"), count),
        ("infer --file", python_m("apps.infer", "--file", "reviews.parquet", "--overwrite"), count),
    ):
        measured = measure_process(command, folder)
        rows.append({"stage": name, "texts": texts, "seconds": measured["seconds"]} | measured)
        print(rows[-1], flush=True)
    return rows


def main(texts: Annotated[int, typer.Option(min=50, help="Reviews of the smallest run.")] = 400) -> None:
    """Show time and memory of each stage for 1, 4 and 16 times a number of reviews."""
    record = Record("growth", WHAT)
    reviews, table = unused_texts(texts * TIMES[-1])[["text", "label"]], []
    validation, metadata = read_table(RAW / "validation.parquet")
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "project"
        subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", folder], check=True)
        for path in (BASE, ADAPTER):
            shutil.copytree(path, folder / path)
        write_table(folder / RAW / "validation.parquet", validation.head(VALIDATION), **metadata)
        for times in TIMES:
            table += measure_stages(folder, reviews.head(texts * times), metadata)
    rows = pd.DataFrame(sorted(table, key=itemgetter("stage")))
    growth = rows.groupby("stage")[["texts", "seconds"]].diff()
    rows["ms a text"] = 1000 * rows["seconds"] / rows["texts"]
    # Time of an additional text: the start of the process cancels out.
    rows["ms an additional text"] = 1000 * growth["seconds"] / growth["texts"]
    record.write(rows, FORMATS)


if __name__ == "__main__":
    typer.run(main)
