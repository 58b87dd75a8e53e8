"""Whether time grows as the texts do, and memory does not: the stages after data but for train, and `infer --file`, for
some real reviews, for 4 and for 16 times as many.

    make growth          # after `dvc repro`

Each is a process of its own in a clone of the last commit with this folder's model, in a temporary folder.
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
from benchmarks.scale import ROOT, measure
from benchmarks.windows import unused
from classifier.files.formats import read_table, write_table
from classifier.files.places import ADAPTER, BASE, RAW

TIMES = (1, 4, 16)
HELD_OUT = 50  # validation rows, which tokenize and baseline read too


def python_m(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def main(texts: Annotated[int, typer.Option(min=50, help="Of the smallest run.")] = 400) -> None:
    """Print the table."""
    record = Record("growth")
    reviews, table = unused(texts * TIMES[-1])[["text", "label"]], []
    validation, metadata = read_table(RAW / "validation.parquet")
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "project"
        subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", folder], check=True)
        for path in (BASE, ADAPTER):
            shutil.copytree(path, folder / path)
        write_table(folder / RAW / "validation.parquet", validation.head(HELD_OUT), **metadata)
        for times in TIMES:
            rows = reviews.head(texts * times)
            for split in ("train", "test"):
                write_table(folder / RAW / f"{split}.parquet", rows, **metadata)
            write_table(folder / "reviews.parquet", rows)
            for name, command, count in (
                ("tokenize", python_m("stages.tokenize"), 2 * len(rows) + HELD_OUT),
                ("baseline", python_m("stages.baseline"), 2 * len(rows) + HELD_OUT),
                ("evaluate", python_m("stages.evaluate"), len(rows)),
                ("infer --file", python_m("apps.infer", "--file", "reviews.parquet", "--overwrite"), len(rows)),
            ):
                taken = measure(command, folder)
                table.append({"stage": name, "texts": count, "seconds": taken["seconds"]} | taken)
                print(table[-1], flush=True)
    rows = pd.DataFrame(sorted(table, key=itemgetter("stage")))
    more = rows.groupby("stage")[["texts", "seconds"]].diff()
    rows.insert(3, "ms a text", 1000 * rows["seconds"] / rows["texts"])
    rows.insert(4, "ms a text more", 1000 * more["seconds"] / more["texts"])  # without what the process's start takes
    shown = rows.astype({"ms a text more": object}).fillna({"ms a text more": ""})
    record.write(shown, ("", ",.0f", ".0f", ".1f", ".1f", ".2f", ".2f"))


if __name__ == "__main__":
    typer.run(main)
