"""The stage `data`: its splits, compared with those of a table in memory, and its memory."""

import random
from pathlib import Path

import datasets
import pandas as pd
import pyarrow.parquet as pq
import pytest
from commands import read
from local_data import local, run_data, splits, write_csv, write_frame
from memory import peaks
from sklearn.model_selection import train_test_split
from tiny import reviews

from classifier.dataset import gathering
from classifier.files.formats import read_table
from classifier.files.places import RAW
from classifier.tables import rows as table_rows


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_splits_are_held_out_of_train():
    rows = reviews(100)
    write_csv("a.csv", [*rows, (rows[0][0].upper(), rows[0][1]), (f" {rows[1][0]}\n", rows[1][1])])
    run_data(dataset=local(), seed=1)
    parts = splits()
    assert {name: len(part) for name, part in parts.items()} == {"train": 60, "validation": 20, "test": 20}
    assert {name: part["label"].sum() for name, part in parts.items()} == {"train": 30, "validation": 10, "test": 10}
    assert sorted(text for part in parts.values() for text in part["text"]) == sorted(text for text, _ in rows)
    assert list(parts["test"].columns) == ["text", "label"]
    summary = read("metrics/data.json")
    assert summary["duplicates_dropped"] == 2
    assert summary["official_test"] is False
    assert read_table(RAW / "test.parquet")[1]["labels"] == ["negative", "positive"]
    files = {name: str(RAW / f"{name}.parquet") for name in parts}
    known = datasets.load_dataset("parquet", data_files=files, cache_dir="cache")
    assert known["test"].features["label"].names == ["negative", "positive"]
    assert known["train"]["text"][:] == list(parts["train"]["text"])
    labels = dict(rows)
    assert all(labels[text] == label for part in parts.values() for text, label in part.to_numpy())


def with_duplicates(rows: list[tuple]) -> pd.DataFrame:
    """Return the rows, shuffled, with 40 of them repeated in other case and white space."""
    rng = random.Random(3)
    again = [(f" {text.upper()}  ", label) for text, label in rng.choices(rows, k=40)]
    mixed = [*rows, *again]
    rng.shuffle(mixed)
    return pd.DataFrame(mixed, columns=["text", "label"])


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("official", [False, True])
def test_the_splits_are_those_of_a_table_in_memory(suffix, official, monkeypatch):
    """The stage reads and writes a few rows at a time. Here, pandas makes the splits in memory."""
    monkeypatch.setattr(table_rows, "ROWS_PER_TABLE", 7)
    monkeypatch.setattr(gathering, "ROWS_PER_GROUP", 50)
    frames = {"train": with_duplicates(reviews(400))}
    if official:
        frames["test"] = pd.concat([with_duplicates(reviews(50, seed=9)), frames["train"][:30]], ignore_index=True)
    for name, frame in frames.items():
        write_frame(f"{name}.{suffix}", frame)
    source = {name: f"{name}.{suffix}" for name in frames}
    run_data(dataset=local(source=source, validation=60, test=None if official else 0.25, train=150), seed=5)

    keys = {name: frame["text"].map(lambda text: " ".join(text.casefold().split())) for name, frame in frames.items()}
    kept, expected = ~keys["train"].duplicated(), {}
    if official:
        kept &= ~keys["train"].isin(keys["test"])
        expected["test"] = frames["test"].assign(in_train=keys["test"].isin(keys["train"]))
    rest = frames["train"][kept]
    sizes = {} if official else {"test": len(rest) // 4}
    for name, size in (sizes | {"validation": 60, "train": 150}).items():
        expected[name], rest = train_test_split(rest, train_size=size, random_state=5, stratify=rest["label"])
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(splits()[name], frame.reset_index(drop=True))
        assert pq.read_metadata(RAW / f"{name}.parquet").num_row_groups == -(-len(frame) // 50)
    words = pd.concat([frame["text"] for frame in expected.values()]).str.split().str.len()
    assert read("metrics/data.json")["words_p50"] == int(words.median())
    assert [path.name for path in Path("data").iterdir() if path.name not in ("raw", "local")] == []


def write_small_groups(source: str) -> None:
    gathering.BYTES_PER_GROUP = 2**22  # so that small files are enough
    run_data(dataset=local(source={"train": source}, validation=100, test=100), seed=1)


@pytest.mark.parametrize(
    "suffix", ["csv", *(pytest.param(name, marks=pytest.mark.scale) for name in ("jsonl", "parquet"))]
)
def test_memory_does_not_grow_with_the_texts(suffix):
    """Six times as many rows of 2 kB need no more memory. All are read and written."""
    for rows in (6_000, 36_000):
        rng = random.Random(rows)
        frame = pd.DataFrame({"text": [rng.randbytes(1000).hex() for _ in range(rows)], "label": [0, 1] * (rows // 2)})
        path = write_frame(f"{rows}.{suffix}", frame)
    small, large = peaks(write_small_groups, f"6000.{suffix}", f"36000.{suffix}")
    assert sum(pq.read_metadata(file).num_rows for file in RAW.iterdir()) == 36_000
    assert path.stat().st_size > 70e6
    assert large - small < 24e6
