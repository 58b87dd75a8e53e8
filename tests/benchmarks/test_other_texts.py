"""`make other-texts` on the tiny project."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import other_texts
from classifier.files.places import RAW
from classifier.predict.classifier import Classifier
from classifier.scoring.files import score_file
from classifier.scoring.job import Job


def test_wrong_characters():
    text = "a good film " * 200
    assert other_texts.misspelled(text, 0.0, 1) == text
    assert other_texts.misspelled(text, 0.1, 1) == other_texts.misspelled(text, 0.1, 1)
    assert other_texts.misspelled(text, 0.1, 1) != other_texts.misspelled(text, 0.1, 2)
    changed = other_texts.misspelled(text, 0.1, 1)
    assert len(text) * 0.94 < len(changed) < len(text) * 0.99  # one in three is dropped
    assert sorted(changed) != sorted(text)  # and one is replaced


def test_the_rows_are_those_of_infer(finished, monkeypatch):
    """A set that is scored whole has the accuracy and the distance that the file of its texts has."""
    table, job = pd.read_parquet(RAW / "test.parquet"), Job(Path("a.csv"))
    monkeypatch.setattr(other_texts, "SIZES", (30, len(table)))
    part, whole = other_texts.measured("all", table, Classifier(), job)
    table[["text"]].to_csv("a.csv", index=False)
    score_file(job)
    scored, summary = pd.read_parquet(job.out), pd.read_json(job.summary, typ="series")
    right = scored["predicted"] == table["label"].map({0: "negative", 1: "positive"})
    assert whole["accuracy"] == pytest.approx(right.mean())
    assert whole["predicted"] == pytest.approx(summary["predicted_accuracy"], abs=2e-4)
    assert (whole["in a subset"], whole["subsets"], part["subsets"]) == (len(table), 1, len(table) // 10)
    assert whole["alarms"] == summary["distance"]["differs"]
    assert 0 <= part["alarms"] <= 1
