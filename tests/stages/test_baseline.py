"""The baseline: compared with scikit-learn, in several scripts, and on texts from which nothing can be learned."""

import random
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import read, run_stages
from local_data import run_baseline
from scipy.stats import fisher_exact
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tiny import NEGATIVE, NEUTRAL, POSITIVE, edit_params, reviews
from transformers import AutoConfig

from apps.export import model_card
from classifier.files.formats import read_table, write_table
from classifier.files.places import ADAPTER, BASELINE, DOUBTFUL, RAW
from stages.baseline import NothingLearnedError, check_above_chance

DEFAULTS = {"max_rows": 1000, "ngram_max": 2, "min_count": 2, "c": 10.0, "strip_markup": True}


def write_splits(rows: list[tuple[str, int]]) -> dict[str, pd.DataFrame]:
    """Write data/raw from (text, label) pairs: half of them to train, a fifth to validation, and the rest to test."""
    rows = pd.DataFrame(rows, columns=["text", "label"])
    ends = [0, len(rows) // 2, len(rows) * 7 // 10, len(rows)]
    splits = {name: rows[ends[i] : ends[i + 1]] for i, name in enumerate(("train", "validation", "test"))}
    for name, split in splits.items():
        write_table(RAW / f"{name}.parquet", split, labels=["negative", "positive"])
    return splits


def made_up(neutral: list[str], decisive: tuple[list[str], list[str]], between: str) -> list[tuple[str, int]]:
    """Return 200 different (text, label) pairs of neutral words and one or two words that decide the label."""
    rng, labels = random.Random(0), {}
    while len(labels) < 200:
        label = len(labels) % 2
        words = rng.choices(neutral, k=rng.randint(3, 8)) + rng.choices(decisive[label], k=rng.randint(1, 2))
        rng.shuffle(words)
        labels[between.join(words)] = label
    return list(labels.items())


def numbers(count: int) -> list[tuple[str, int]]:
    """Return (text, label) pairs; a text is a number of even digits only, or of odd digits only."""
    rng = random.Random(0)
    return [("".join(rng.choices(("02468", "13579")[i % 2], k=8)), i % 2) for i in range(count)]


UNSPACED = {
    "chinese": made_up(
        ["这部", "电影", "导演", "演员", "今天", "我们"], (["难看", "无聊"], ["精彩", "好看", "喜欢"]), ""
    ),
    "chinese with stops": made_up(["这部电影", "朋友", "导演"], (["难看", "太无聊"], ["好看", "喜欢"]), "。"),
    "japanese": made_up(
        ["この", "映画", "は", "俳優", "の", "物語", "シーン"], (["最悪", "つまらない"], ["最高", "素晴らしい"]), ""
    ),
    "thai": made_up(["หนัง", "เรื่อง", "นี้", "นักแสดง", "ฉาก", "ที่"], (["แย่", "น่าเบื่อ"], ["สนุก", "ดีมาก"]), ""),
    "emoji": made_up(["🎬", "🎥", "🍿", "🌙"], (["💔", "👎", "😡"], ["😀", "👍", "❤️"]), ""),
    "letters": made_up(["a", "e", "i", "o", "u"], (["b", "c"], ["x", "y"]), " "),
    "numbers": numbers(200),
}


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
        write_table(
            RAW / f"{name}.parquet", split.assign(text=split["text"] + "<br />"), labels=["negative", "positive"]
        )
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
        (chance(a_review), {}, "its labels of 280 texts held out of its training are not significantly more often"),
        (chance(a_review), {"min_count": 1}, "its labels of 280 texts"),
        (chance(a_password), {}, "its labels of 280 texts"),
        (reviews(200), {"min_count": 101}, "no n-gram of words occurs in 101 train texts (baseline.min_count)"),
        (UNSPACED["chinese"], {"min_count": 101}, "no n-gram of characters occurs in 101 train texts"),
        (reviews(200), {"max_rows": 1}, "the train texts that it reads have one label only (baseline.max_rows)"),
        # Eight train texts are too few for the folds, so only the texts of validation are held out.
        (chance(a_review), {"max_rows": 8, "min_count": 1}, "its labels of 80 texts"),
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
    monkeypatch.setattr("stages.baseline.check_above_chance", lambda tables: sizes.extend(map(len, tables)))
    run_baseline(**DEFAULTS | {"max_rows": rows, "min_count": 1})
    assert sizes == [in_folds, len(splits["validation"])]
    assert read("metrics/baseline.json")["learned"] is True
    assert read_table(BASELINE)[1] == {"learned": True}


def above_chance(*tables: pd.DataFrame) -> bool:
    try:
        check_above_chance(list(tables))
    except NothingLearnedError:
        return False
    return True


@pytest.mark.parametrize("n", [20, 200])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_the_permutation_test_agrees_with_fishers_exact_test(n, share):
    """With two labels, the permutation test is Fisher's one-sided test."""
    rng, outcomes = np.random.default_rng(0), set()
    for knows in np.linspace(-1, 1, 40):
        labels = (rng.random(n) < share).astype(int)
        predicted = np.where(rng.random(n) < abs(knows), labels if knows > 0 else 1 - labels, rng.permutation(labels))
        table = [[((labels == i) & (predicted == j)).sum() for j in (0, 1)] for i in (0, 1)]
        p = fisher_exact(table, alternative="greater").pvalue
        if not 0.03 < p < 0.08:  # in between, the result depends on the number of shuffles
            assert above_chance(pd.DataFrame({"label": labels, "predicted": predicted})) == (p < 0.05)
            outcomes.add(p < 0.05)
    assert outcomes == {True, False}


def test_better_than_chance_within_the_splits():
    """Labels that only differ between the splits show no learning; a few texts of several splits together may."""
    all_zero, all_one = (pd.DataFrame({"label": label, "predicted": label}, index=range(20)) for label in (0, 1))
    assert not above_chance(all_zero, all_one)
    assert above_chance(pd.concat([all_zero, all_one]))
    four = pd.DataFrame({"label": [0, 0, 1, 1], "predicted": [0, 0, 1, 1]})
    assert not above_chance(four)
    assert not above_chance(four, four[:0])
    assert above_chance(four, four, four)  # the chance is one in 6 * 6 * 6


def test_a_run_without_a_baseline(finished):
    """Without a baseline there is no difference, no p-value and no doubtful label, from the metrics to the report."""
    edit_params(finished, **{"baseline.min_count": 1000})
    run_stages("baseline", "evaluate", "report")
    evaluation, text = read("metrics/evaluate.json"), Path("metrics/report.md").read_text()
    labels = pd.read_parquet(RAW / "test.parquet")["label"]
    assert evaluation["guessing_accuracy"] == (labels == 0).mean()
    assert not [name for name in evaluation if "baseline" in name or name in ("difference", "mcnemar_p")]
    for row in evaluation["labels"].values():
        assert set(row) == {"precision", "recall", "f1", "support", "mean_probability"}
    for sentence in (
        "Always guessing the most frequent label of train reaches 50.0%. There is no baseline: TF-IDF of words and "
        "logistic regression learned nothing from the same texts, since no n-gram of words occurs in 1000 train texts ",
        "### The most doubtful labels\n\nThere is no list of doubtful labels, because the baseline",
        f"| accuracy | {evaluation['accuracy']:.1%} |\n",
    ):
        assert sentence in text.replace("\\", "")
    assert not re.search(r"McNemar|points (above|below)|probability of the label|baseline's|\bnan\b", text)
    assert "\n\n\n" not in text
    card = model_card(AutoConfig.from_pretrained(ADAPTER), evaluation, read("metrics/data.json"))
    assert "| accuracy of guessing train's commonest label on the same texts | 0.5000 |\n" in card
