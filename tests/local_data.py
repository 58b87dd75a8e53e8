"""Make a data set in data/local/ of the current folder, and run the stages that read it."""

from pathlib import Path

import pandas as pd

from classifier.files.places import LOCAL
from classifier.params.catalogue import Dataset
from stages.baseline import BaselineSettings, baseline
from stages.data import DataSettings, data


def local(**changes) -> Dataset:
    entry = {"source": {"train": "a.csv"}, "labels": ["negative", "positive"], "train": None, "validation": 20}
    return Dataset(**entry | {"test": 20} | changes)


def write(name: str, content: str) -> Path:
    LOCAL.mkdir(parents=True, exist_ok=True)
    (LOCAL / name).write_text(content)
    return LOCAL / name


def write_csv(name: str, rows, columns=("text", "label")) -> Path:
    return write(name, pd.DataFrame(rows, columns=columns).to_csv(index=False))


def write_frame(name: str, frame: pd.DataFrame) -> Path:
    """Write a .csv, .jsonl or .parquet file. The .parquet file has one row group, which must be read in pieces."""
    path = write(name, "")
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path, row_group_size=len(frame), compression="none")
    return path


def run_data(dataset: Dataset, seed: int) -> None:
    data(settings=DataSettings(seed=seed), dataset=dataset)


def run_baseline(strip_markup: bool = True, **settings) -> None:
    baseline(settings=BaselineSettings(**settings), strip_markup=strip_markup)
