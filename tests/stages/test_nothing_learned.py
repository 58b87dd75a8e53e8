"""A baseline that learned nothing, from the stage `baseline` to the report and the model card."""

import random
import re
from pathlib import Path

import pandas as pd
import pytest
from commands import read, run_stages
from exports import card_of
from local_data import run_baseline, write_splits
from tiny import NEGATIVE, NEUTRAL, POSITIVE, edit_params, reviews
from transformers import AutoConfig
from unspaced import UNSPACED

from classifier.files.formats import read_table
from classifier.files.places import ADAPTER, BASELINE, DOUBTFUL, RAW

DEFAULTS = {"max_rows": 1000, "ngram_max": 2, "min_count": 2, "c": 10.0, "strip_markup": True}


@pytest.fixture
def splits(tmp_path, monkeypatch) -> dict[str, pd.DataFrame]:
    """Write data/raw in an empty folder, and return its tables."""
    monkeypatch.chdir(tmp_path)
    return write_splits(reviews(200))


def chance(text_of) -> list[tuple[str, int]]:
    rng = random.Random(2)  # with one seed in twenty, the test finds chance to be more than chance
    return [(text_of(rng), rng.randrange(2)) for _ in range(400)]


def a_review(rng: random.Random) -> str:
    return " ".join(rng.choices(NEUTRAL + POSITIVE + NEGATIVE, k=12))


def a_password(rng: random.Random) -> str:
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=12))


@pytest.mark.parametrize(
    ("rows", "changes", "reason"),
    [
        (chance(a_review), {}, "its predictions for 280 texts held out of its training do not fit their labels"),
        (chance(a_review), {"min_count": 1}, "its predictions for 280 texts"),
        (chance(a_password), {}, "its predictions for 280 texts"),
        (reviews(200), {"min_count": 101}, "no n-gram of words occurs in 101 train texts (baseline.min_count)"),
        (UNSPACED["chinese"], {"min_count": 101}, "no n-gram of characters occurs in 101 train texts"),
        (reviews(200), {"max_rows": 1}, "the train texts that it reads have one label only (baseline.max_rows)"),
        # Eight train texts are too few for the folds, so only the texts of validation are held out.
        (chance(a_review), {"max_rows": 8, "min_count": 1}, "its predictions for 80 texts"),
        (sorted(reviews(200), key=lambda row: row[1]), {}, "the train texts that it reads have one label only"),
    ],
)
def test_a_baseline_that_learns_nothing_guesses_and_gives_the_reason(splits, rows, changes, reason):
    tables = write_splits(rows)
    run_baseline(**DEFAULTS | changes)
    metrics, (table, metadata) = read("metrics/baseline.json"), read_table(BASELINE)
    train_labels = tables["train"]["label"][: changes.get("max_rows")]
    most_frequent = train_labels.value_counts().sort_index().idxmax()
    assert set(table["predicted"]) == {most_frequent}
    assert len(table) == len(tables["test"])
    assert metadata == {"learned": False}
    assert metrics["learned"] is False
    assert metrics["nothing_learned"].startswith(reason)
    assert metrics["test_accuracy"] == round((tables["test"]["label"] == most_frequent).mean(), 4)
    assert metrics["doubtful_labels"] == 0
    assert DOUBTFUL.read_text() == '"hash","label","predicted","probability","text"\n'


@pytest.mark.parametrize(("rows", "in_folds"), [(8, 0), (10, 10), (20, 20)])
def test_few_texts(splits, monkeypatch, rows, in_folds):
    """Folds need five texts of two labels; with fewer, only validation shows whether something was learned."""
    sizes = []
    monkeypatch.setattr(
        "stages.baseline.check_above_chance", lambda task, tables: sizes.extend(len(part.labels) for part in tables)
    )
    run_baseline(**DEFAULTS | {"max_rows": rows, "min_count": 1})
    assert sizes == [in_folds, len(splits["validation"])]
    assert read("metrics/baseline.json")["learned"] is True
    assert read_table(BASELINE)[1] == {"learned": True}


def test_a_run_without_a_baseline(finished):
    """Without a baseline there is no difference, no p-value and no doubtful label, from the metrics to the report."""
    edit_params(finished, **{"baseline.min_count": 1000})
    run_stages("baseline", "evaluate", "report")
    evaluation, text = read("metrics/evaluate.json"), Path("metrics/report.md").read_text()
    labels = pd.read_parquet(RAW / "test.parquet")["label"]
    assert evaluation["guessing_accuracy"] == (labels == 0).mean()
    assert not [name for name in evaluation if "baseline" in name or name in ("difference", "mcnemar_p")]
    for row in evaluation["labels"].values():
        assert set(row) == {"precision", "recall", "f1", "support", "mean_probability", "set_coverage"}
    for sentence in (
        "Always guessing the most frequent label of train reaches 50.0%. There is no baseline: TF-IDF of words and "
        "logistic regression learned nothing from the same texts, since no n-gram of words occurs in 1000 train texts ",
        "### The most doubtful labels\n\nThere is no list of doubtful labels, because the baseline",
        f"| accuracy | {evaluation['accuracy']:.1%} |\n",
    ):
        assert sentence in text.replace("\\", "")
    assert not re.search(r"McNemar|points (above|below)|probability of the label|baseline's|\bnan\b", text)
    assert "\n\n\n" not in text
    card = card_of(AutoConfig.from_pretrained(ADAPTER), evaluation, read("metrics/data.json"))
    assert "| accuracy of guessing train's commonest label on the same texts | 0.5000 |\n" in card
