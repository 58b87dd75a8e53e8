"""data/doubtful_labels.csv: the train texts whose label the stage `baseline` doubts."""

import numpy as np
import pandas as pd
import pytest
from commands import read
from local_data import local, run_baseline, run_data, write_csv
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from tiny import NEGATIVE, NEUTRAL, POSITIVE, reviews

from classifier.evaluation.tables import read_csv_table
from classifier.files.formats import write_table
from classifier.files.places import DOUBTFUL, RAW
from classifier.text.duplicates import text_hash

NAMES = ["negative", "positive"]


BASELINE = {"max_rows": 1000, "ngram_max": 1, "min_count": 1, "c": 1.0, "strip_markup": True}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def split(name: str) -> pd.DataFrame:
    return pd.read_parquet(RAW / f"{name}.parquet")


def correct(rows: list[tuple[str, str]], seed: int = 1, **changes) -> dict:
    """Run the stage `data` with (hash, label) rows as corrections, and return metrics/data.json."""
    write_csv("corrections.csv", rows, columns=("hash", "label"))
    run_data(dataset=local(corrections="corrections.csv", **changes), seed=seed)
    return read("metrics/data.json")


def test_doubtful_labels_are_those_that_the_other_folds_do_not_predict():
    """The folds are put together here by hand."""
    rows = pd.DataFrame(reviews(100), columns=["text", "label"])
    rows.loc[[7, 30], "label"] = 1 - rows["label"]
    for name in ("train", "validation", "test"):
        write_table(RAW / f"{name}.parquet", rows, task="single-label", labels=NAMES)
    run_baseline(**BASELINE)
    terms = TfidfVectorizer(sublinear_tf=True).fit_transform(rows["text"])
    probability = np.zeros(len(rows))
    for fit, rest in StratifiedKFold(5).split(terms, rows["label"]):
        model = LogisticRegression(C=1.0).fit(terms[fit], rows["label"][fit])
        probability[rest] = model.predict_proba(terms[rest])[np.arange(len(rest)), rows["label"].to_numpy()[rest]]
    doubtful = pd.read_csv(DOUBTFUL)
    expected = rows.assign(probability=probability)[probability < 0.5].sort_values("probability")
    assert doubtful["text"].tolist() == expected["text"].tolist()
    assert doubtful["probability"].tolist() == pytest.approx(expected["probability"].tolist(), abs=1e-3)
    assert doubtful["hash"].tolist() == [text_hash(text) for text in expected["text"]]
    assert doubtful["label"].tolist() == [NAMES[label] for label in expected["label"]]
    assert doubtful["predicted"].tolist() == [NAMES[1 - label] for label in expected["label"]]
    assert set(doubtful["text"][:2]) == set(rows["text"][[7, 30]])
    assert read("metrics/baseline.json")["doubtful_labels"] == len(doubtful)


def test_labels_with_few_texts_are_not_listed():
    for rare, expected in ((4, set()), (5, {"rare"})):
        rows = pd.DataFrame(reviews(100), columns=["text", "label"])
        rows.loc[:1, "label"] = 1 - rows["label"]
        rows.loc[2 : 1 + rare, "label"] = 2
        for name in ("train", "validation", "test"):
            write_table(RAW / f"{name}.parquet", rows, task="single-label", labels=[*NAMES, "rare"])
        run_baseline(**BASELINE)
        doubtful = pd.read_csv(DOUBTFUL)
        assert set(doubtful["text"]) >= set(rows["text"][:2])
        assert set(doubtful["label"]) == {*NAMES} | expected
        assert set(doubtful["predicted"]) <= {*NAMES}
    only = rows[rows["label"] == 0].head(10)
    rows = pd.concat([only, rows[rows["label"] == 1].head(1)])
    for name in ("train", "validation", "test"):
        write_table(RAW / f"{name}.parquet", rows, task="single-label", labels=NAMES)
    run_baseline(**BASELINE)
    assert pd.read_csv(DOUBTFUL).empty


def test_a_lone_carriage_return_in_a_text_is_kept():
    rows = pd.DataFrame(reviews(100), columns=["text", "label"])
    rows.loc[0, "text"] = rows["text"][0].replace(" ", "\r", 2)
    rows.loc[0, "label"] = 1 - rows["label"][0]
    for name in ("train", "validation", "test"):
        write_table(RAW / f"{name}.parquet", rows, task="single-label", labels=NAMES)
    run_baseline(**BASELINE)
    found = read_csv_table(DOUBTFUL, texts=["hash", "label", "predicted", "text"])
    assert found["text"][0] == rows["text"][0]
    assert (found["probability"] < 0.5).all()


def test_planted_errors_are_found_and_correcting_them_helps():
    """Run data and baseline with one wrong label in ten, correct the listed ones, and run both again."""
    rng = np.random.default_rng(0)
    words, rows = [*NEGATIVE, *POSITIVE, *NEUTRAL], {}
    while len(rows) < 600:
        label = len(rows) % 2
        weights = np.array([*[2 - label] * len(NEGATIVE), *[1 + label] * len(POSITIVE), *[1] * len(NEUTRAL)], float)
        rows[" ".join(rng.choice(words, 30, p=weights / weights.sum()))] = label
    table = pd.DataFrame(rows.items(), columns=["text", "label"])
    flipped = set(table["text"].sample(frac=0.1, random_state=0))
    noisy = table.assign(label=table["label"] ^ table["text"].isin(flipped))
    write_csv("a.csv", noisy.to_numpy())
    sizes = {"validation": 50, "test": 250}
    run_data(dataset=local(**sizes), seed=1)
    planted = flipped & set(split("train")["text"])

    def accuracy() -> float:
        """Return the baseline's accuracy on the test texts, with their labels from before the errors."""
        run_baseline(**BASELINE)
        predicted = pd.read_parquet("data/baseline.parquet")["predicted"]
        return (predicted == split("test")["text"].map(rows)).mean()

    before = accuracy()
    doubtful = pd.read_csv(DOUBTFUL)
    first = doubtful[: len(planted)]
    assert first["text"].isin(planted).mean() > 0.5  # a random list would have one in ten
    wrong = doubtful[doubtful["text"].isin(planted)]  # a reader would find them
    assert len(wrong) > 0.7 * len(planted)
    counts = correct(list(zip(wrong["hash"], wrong["predicted"], strict=True)), **sizes)
    assert counts["labels_corrected"] == len(wrong)
    assert accuracy() > before
