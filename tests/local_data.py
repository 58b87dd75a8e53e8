"""Write data sets into data/local/ of the current folder, and run the stages that read them."""

from pathlib import Path

import pandas as pd

from classifier.files.formats import read_table, write_table
from classifier.files.places import LOCAL, RAW
from classifier.params.datasets import Dataset
from stages.baseline import BaselineSettings, baseline
from stages.data import DataSettings, data


def local(**changes) -> Dataset:
    """Return the entry of a data set in data/local/a.csv, with changes."""
    entry = {"source": {"train": "a.csv"}, "labels": ["negative", "positive"], "train": None, "validation": 20}
    return Dataset(**entry | {"test": 20} | changes)


def write(name: str, content: str) -> Path:
    """Write a text file into data/local/."""
    LOCAL.mkdir(parents=True, exist_ok=True)
    (LOCAL / name).write_text(content)
    return LOCAL / name


def write_csv(name: str, rows, columns=("text", "label")) -> Path:
    """Write rows as a CSV file into data/local/."""
    return write(name, pd.DataFrame(rows, columns=columns).to_csv(index=False))


def write_frame(name: str, frame: pd.DataFrame) -> Path:
    """Write a DataFrame as .csv, .jsonl or .parquet. The Parquet file has one row group, to be read in pieces."""
    path = write(name, "")
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path, row_group_size=max(1, len(frame)), compression="none")
    return path


def run_data(dataset: Dataset, seed: int) -> None:
    """Run the stage `data`."""
    data(settings=DataSettings(seed=seed), dataset=dataset)


def run_baseline(strip_markup: bool = True, **settings) -> None:
    """Run the stage `baseline`."""
    baseline(settings=BaselineSettings(**settings), strip_markup=strip_markup)


def splits() -> dict[str, pd.DataFrame]:
    """Return the tables of data/raw/ by split."""
    return {path.stem: read_table(path)[0] for path in RAW.iterdir()}


def write_splits(rows: list[tuple[str, int]]) -> dict[str, pd.DataFrame]:
    """Write data/raw from (text, label) pairs: half of them to train, a fifth to validation, and the rest to test."""
    rows = pd.DataFrame(rows, columns=["text", "label"])
    ends = [0, len(rows) // 2, len(rows) * 7 // 10, len(rows)]
    splits = {name: rows[ends[i] : ends[i + 1]] for i, name in enumerate(("train", "validation", "test"))}
    for name, split in splits.items():
        write_table(RAW / f"{name}.parquet", split, task="single-label", labels=["negative", "positive"])
    return splits
