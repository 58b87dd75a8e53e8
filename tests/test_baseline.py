"""The baseline against scikit-learn's parts put together by hand."""

import pandas as pd
import pytest
from conftest import read
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tiny import reviews

from stages.baseline import baseline
from stages.files import BASELINE, RAW, read_table, write_table


@pytest.fixture
def splits(tmp_path, monkeypatch) -> dict[str, pd.DataFrame]:
    """What data/raw holds."""
    monkeypatch.chdir(tmp_path)
    rows = pd.DataFrame(reviews(200), columns=["text", "label"])
    splits = {"train": rows[:100], "validation": rows[100:140], "test": rows[140:]}
    for name, split in splits.items():
        write_table(RAW / f"{name}.parquet", split, labels=["negative", "positive"])
    return splits


def test_baseline_scores_the_test_rows(splits, monkeypatch):
    monkeypatch.setattr("stages.baseline.ROWS", 7)  # several at a time
    baseline(max_rows=1000, ngram_max=2, min_count=2, c=1.0, without_markup=True)

    terms = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit(splits["train"]["text"])
    model = LogisticRegression(C=1.0).fit(terms.transform(splits["train"]["text"]), splits["train"]["label"])
    expected = model.predict(terms.transform(splits["test"]["text"]))
    assert read_table(BASELINE)[0]["predicted"].tolist() == expected.tolist()
    metrics = read("metrics/baseline.json")
    assert metrics["test_accuracy"] == round((expected == splits["test"]["label"]).mean(), 4) > 0.8
    assert metrics["terms"] == len(terms.vocabulary_)
    assert metrics["train"] == 100


def test_more_rows_than_memory_is_to_hold_are_left_out(splits, monkeypatch):
    monkeypatch.setattr("stages.baseline.ROWS", 7)
    baseline(max_rows=40, ngram_max=1, min_count=2, c=1.0, without_markup=True)
    terms = TfidfVectorizer(min_df=2, sublinear_tf=True).fit(splits["train"]["text"][:40])
    assert read("metrics/baseline.json")["terms"] == len(terms.vocabulary_)
    assert read("metrics/baseline.json")["train"] == 40


def test_the_texts_are_cleaned_as_the_encoders_are(splits):
    def terms(without_markup: bool) -> int:
        baseline(max_rows=1000, ngram_max=1, min_count=2, c=1.0, without_markup=without_markup)
        return read("metrics/baseline.json")["terms"]

    plain = terms(True)
    for name, split in splits.items():
        write_table(
            RAW / f"{name}.parquet", split.assign(text=split["text"] + "<br />"), labels=["negative", "positive"]
        )
    assert terms(True) == plain
    assert terms(False) == plain + 1  # br
