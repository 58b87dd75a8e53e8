"""`make windows`, `make deletion` and `make planted` on the tiny project: the results that they record."""

import json

import pandas as pd
import pytest

from benchmarks import deletion, planted_errors, record, windows

pytestmark = pytest.mark.usefixtures("matrix_rate")


@pytest.fixture
def recorded(finished, tmp_path, monkeypatch):
    """Return a function that runs a benchmark and returns the rows of a result file."""
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["benchmark"])
    monkeypatch.setenv("MACHINE", "tiny")

    def rows_of(module, file: str) -> pd.DataFrame:
        module.main()
        return pd.DataFrame(json.loads((tmp_path / f"tiny/{file}.json").read_text())["rows"])

    return rows_of


def test_windows(recorded, monkeypatch):
    monkeypatch.setattr(windows, "unused_texts", lambda count, words: pd.read_parquet("data/raw/test.parquet")[:20])
    rows = recorded(windows, "windows")
    assert len(rows) == 3
    assert rows["accuracy"].between(0, 1).all()
    assert (rows["tokens of a text"] > 2).all()  # not the special tokens alone


def test_deletion(recorded, monkeypatch):
    monkeypatch.setattr(deletion, "TEXTS", 8)
    (row,) = recorded(deletion, "deletion").to_dict("records")
    assert row["reviews"] == 8
    assert -1 < row["fall without random words"] < row["fall without the five"] < 1
    assert 0 <= row["largest gap"] < 0.05


def test_planted_errors(recorded):
    rows = recorded(planted_errors, "planted_errors")
    assert rows["part of the list"].iloc[-1] == "all"
    assert rows["share"].tolist() == pytest.approx((rows["with a flipped label"] / rows["texts"]).tolist())
    assert rows["share"].iloc[-1] > 0.2  # twice the share of flipped labels
