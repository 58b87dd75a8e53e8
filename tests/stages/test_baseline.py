"""The stage `baseline`, compared with scikit-learn, in several scripts."""

import pandas as pd
import pytest
from commands import read
from local_data import run_baseline, write_splits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tiny import reviews
from unspaced import UNSPACED

from classifier.files.formats import read_table, write_table
from classifier.files.places import BASELINE, RAW

DEFAULTS = {"max_rows": 1000, "ngram_max": 2, "min_count": 2, "c": 10.0, "strip_markup": True}


@pytest.fixture
def splits(tmp_path, monkeypatch) -> dict[str, pd.DataFrame]:
    """Write data/raw in an empty folder, and return its tables."""
    monkeypatch.chdir(tmp_path)
    return write_splits(reviews(200))


def test_baseline_scores_the_test_rows(splits, monkeypatch):
    monkeypatch.setattr("stages.baseline.ROWS_PER_BATCH", 7)
    run_baseline(max_rows=1000, ngram_max=2, min_count=2, c=1.0, strip_markup=True)

    terms = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit(splits["train"]["text"])
    model = LogisticRegression(C=1.0).fit(terms.transform(splits["train"]["text"]), splits["train"]["label"])
    expected = model.predict(terms.transform(splits["test"]["text"]))
    assert read_table(BASELINE)[0]["predicted"].tolist() == expected.tolist()
    metrics = read("metrics/baseline.json")
    assert metrics["test_accuracy"] == round((expected == splits["test"]["label"]).mean(), 4) > 0.8
    assert metrics["terms"] == len(terms.vocabulary_)
    assert metrics["train"] == 100
    assert (metrics["terms_are"], metrics["learned"], "nothing_learned" in metrics) == ("words", True, False)


def test_rows_beyond_max_rows_are_left_out(splits, monkeypatch):
    monkeypatch.setattr("stages.baseline.ROWS_PER_BATCH", 7)
    run_baseline(max_rows=40, ngram_max=1, min_count=2, c=1.0, strip_markup=True)
    terms = TfidfVectorizer(min_df=2, sublinear_tf=True).fit(splits["train"]["text"][:40])
    assert read("metrics/baseline.json")["terms"] == len(terms.vocabulary_)
    assert read("metrics/baseline.json")["train"] == 40


def test_the_texts_are_cleaned_like_the_encoders_texts(splits):
    def terms(strip_markup: bool) -> int:
        run_baseline(max_rows=1000, ngram_max=1, min_count=2, c=1.0, strip_markup=strip_markup)
        return read("metrics/baseline.json")["terms"]

    plain = terms(True)
    for name, split in splits.items():
        path, table = RAW / f"{name}.parquet", split.assign(text=split["text"] + "<br />")
        write_table(path, table, task="single-label", labels=["negative", "positive"])
    assert terms(True) == plain
    assert terms(False) == plain + 1  # br


@pytest.mark.parametrize("name", UNSPACED)
def test_characters_are_the_terms_where_words_have_no_spaces_between_them(splits, name):
    tables = write_splits(UNSPACED[name])
    run_baseline(**DEFAULTS)
    metrics = read("metrics/baseline.json")
    assert (metrics["terms_are"], metrics["learned"]) == ("characters", True)
    assert metrics["test_accuracy"] > 0.85
    terms = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    fitted = terms.fit_transform(tables["train"]["text"])
    model = LogisticRegression(C=10.0).fit(fitted, tables["train"]["label"])
    expected = model.predict(terms.transform(tables["test"]["text"]))
    assert read_table(BASELINE)[0]["predicted"].tolist() == expected.tolist()
