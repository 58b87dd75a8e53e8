"""The baseline against scikit-learn's parts put together by hand, in several scripts, and where it learns nothing."""

import random
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import read, run_stages
from local_data import run_baseline
from scipy.stats import fisher_exact
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tiny import NEGATIVE, NEUTRAL, POSITIVE, edit_params, reviews
from transformers import AutoConfig

from apps.export import model_card
from classifier.files.formats import read_table, write_table
from classifier.files.places import ADAPTER, BASELINE, DOUBTFUL, RAW
from stages.baseline import NothingLearnedError, check_above_chance, terms_of

DEFAULTS = {"max_rows": 1000, "ngram_max": 2, "min_count": 2, "c": 10.0, "strip_markup": True}


def write_splits(rows: list[tuple[str, int]]) -> dict[str, pd.DataFrame]:
    """data/raw of (text, label): half of them are train, a fifth validation, the others test."""
    rows = pd.DataFrame(rows, columns=["text", "label"])
    ends = [0, len(rows) // 2, len(rows) * 7 // 10, len(rows)]
    splits = {name: rows[ends[i] : ends[i + 1]] for i, name in enumerate(("train", "validation", "test"))}
    for name, split in splits.items():
        write_table(RAW / f"{name}.parquet", split, labels=["negative", "positive"])
    return splits


def made_up(neutral: list[str], telling: tuple[list[str], list[str]], between: str) -> list[tuple[str, int]]:
    """200 different texts of some of the words, with one word or two that tell the label."""
    rng, found = random.Random(0), {}
    while len(found) < 200:
        label = len(found) % 2
        words = rng.choices(neutral, k=rng.randint(3, 8)) + rng.choices(telling[label], k=rng.randint(1, 2))
        rng.shuffle(words)
        found[between.join(words)] = label
    return list(found.items())


def numbers(count: int) -> list[tuple[str, int]]:
    """Of even digits, or of odd ones."""
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
SPACED = {
    "english": ("This film was not good", ["this", "film", "was", "not", "good"]),
    "russian": ("Этот фильм был хороший", ["этот", "фильм", "был", "хороший"]),
    "korean": ("영화가 정말 재미있어요 ㅋㅋㅋ", ["영화가", "정말", "재미있어요", "ㅋㅋㅋ"]),
    "arabic": ("كان هذا الفيلم جيدا", ["كان", "هذا", "الفيلم", "جيدا"]),
    "arabic with vowels": ("كَانَ هٰذَا ٱلْفِيلْمُ", ["كَانَ", "هٰذَا", "ٱلْفِيلْمُ"]),
    "hebrew": ("הסרט הזה היה טוב", ["הסרט", "הזה", "היה", "טוב"]),
    "hindi": ("यह फिल्म बहुत अच्छी है", ["यह", "फिल्म", "बहुत", "अच्छी", "है"]),
    "tamil": ("இந்த திரைப்படம் நன்றாக இருந்தது", ["இந்த", "திரைப்படம்", "நன்றாக", "இருந்தது"]),
}


@pytest.fixture
def splits(tmp_path, monkeypatch) -> dict[str, pd.DataFrame]:
    """What data/raw holds."""
    monkeypatch.chdir(tmp_path)
    return write_splits(reviews(200))


def test_baseline_scores_the_test_rows(splits, monkeypatch):
    monkeypatch.setattr("stages.baseline.ROWS", 7)  # several at a time
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


def test_more_rows_than_memory_is_to_hold_are_left_out(splits, monkeypatch):
    monkeypatch.setattr("stages.baseline.ROWS", 7)
    run_baseline(max_rows=40, ngram_max=1, min_count=2, c=1.0, strip_markup=True)
    terms = TfidfVectorizer(min_df=2, sublinear_tf=True).fit(splits["train"]["text"][:40])
    assert read("metrics/baseline.json")["terms"] == len(terms.vocabulary_)
    assert read("metrics/baseline.json")["train"] == 40


def test_the_texts_are_cleaned_as_the_encoders_are(splits):
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
def test_characters_where_no_spaces_stand_between_words(splits, name):
    written = write_splits(UNSPACED[name])
    run_baseline(**DEFAULTS)
    metrics = read("metrics/baseline.json")
    assert (metrics["terms_are"], metrics["learned"]) == ("characters", True)
    assert metrics["test_accuracy"] > 0.85
    terms = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    fitted = terms.fit_transform(written["train"]["text"])
    model = LogisticRegression(C=10.0).fit(fitted, written["train"]["label"])
    expected = model.predict(terms.transform(written["test"]["text"]))
    assert read_table(BASELINE)[0]["predicted"].tolist() == expected.tolist()


@pytest.mark.parametrize("name", SPACED)
def test_words_where_spaces_stand_between_them(name):
    """Whole ones: by itself scikit-learn would end a Hindi word at each vowel sign."""
    text, words = SPACED[name]
    terms_are, options = terms_of(pd.Series([text, f"{text}!", "", " \n"]))
    assert terms_are == "words"
    assert set(TfidfVectorizer(**options).fit([text]).get_feature_names_out()) == set(words)
    assert (options == {}) == (name not in ("hindi", "tamil", "arabic with vowels"))


def test_most_of_the_texts_decide():
    english, chinese = [f"the film {i}" for i in range(10)], [f"这部电影{i}很好看" for i in range(10)]
    assert terms_of(pd.Series(english + chinese[:9]))[0] == "words"
    assert terms_of(pd.Series(english[:9] + chinese))[0] == "characters"
    assert terms_of(pd.Series(["Ng", "Müller", "Rossi", "Nowak"]))[0] == "characters"  # none recurs
    assert terms_of(pd.Series(["great", "awful", "great", "Awful"]))[0] == "words"
    assert terms_of(pd.Series([""]))[0] == "words"


def chance(text_of) -> list[tuple[str, int]]:
    rng = random.Random(2)  # one seed in twenty is above chance by chance
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
        (reviews(200), {"min_count": 101}, "none of the words stands in 101 of the train texts (baseline.min_count)"),
        (UNSPACED["chinese"], {"min_count": 101}, "none of the characters stands in 101 of the train texts"),
        (reviews(200), {"max_rows": 1}, "the train texts that it reads have one label only (baseline.max_rows)"),
        (chance(a_review), {"max_rows": 8, "min_count": 1}, "its labels of 80 texts"),  # of validation
        (sorted(reviews(200), key=lambda row: row[1]), {}, "the train texts that it reads have one label only"),
    ],
)
def test_a_baseline_that_learns_nothing_guesses_and_says_so(splits, rows, changes, reason):
    written = write_splits(rows)
    run_baseline(**DEFAULTS | changes)
    metrics, (table, metadata) = read("metrics/baseline.json"), read_table(BASELINE)
    read_by_it = written["train"]["label"][: changes.get("max_rows")]
    commonest = read_by_it.value_counts().sort_index().idxmax()
    assert set(table["predicted"]) == {commonest}
    assert len(table) == len(written["test"])
    assert metadata == {"learned": False}
    assert metrics["learned"] is False
    assert metrics["nothing_learned"].startswith(reason)
    assert metrics["test_accuracy"] == round((written["test"]["label"] == commonest).mean(), 4)
    assert metrics["doubtful_labels"] == 0
    assert DOUBTFUL.read_text() == '"hash","label","others_say","probability","text"\n'


@pytest.mark.parametrize(("rows", "in_folds"), [(8, 0), (10, 10), (20, 20)])
def test_few_texts(splits, monkeypatch, rows, in_folds):
    """Folds need five texts of two labels; with less, validation alone tells whether something was learned."""
    judged = []
    monkeypatch.setattr("stages.baseline.check_above_chance", lambda tables: judged.extend(map(len, tables)))
    run_baseline(**DEFAULTS | {"max_rows": rows, "min_count": 1})
    assert judged == [in_folds, len(splits["validation"])]
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
def test_better_than_chance_is_what_fishers_exact_test_says(n, share):
    """Of two labels, the permutation test is Fisher's, one-sided."""
    rng, found = np.random.default_rng(0), set()
    for knows in np.linspace(-1, 1, 40):
        labels = (rng.random(n) < share).astype(int)
        predicted = np.where(rng.random(n) < abs(knows), labels if knows > 0 else 1 - labels, rng.permutation(labels))
        table = [[((labels == i) & (predicted == j)).sum() for j in (0, 1)] for i in (0, 1)]
        p = fisher_exact(table, alternative="greater").pvalue
        if not 0.03 < p < 0.08:  # between these, the number of shuffles decides
            assert above_chance(pd.DataFrame({"label": labels, "predicted": predicted})) == (p < 0.05)
            found.add(p < 0.05)
    assert found == {True, False}


def test_better_than_chance_in_one_split_or_over_both():
    """Labels that differ from split to split are not what was learned; a few texts of each may show something."""
    all_zero, all_one = (pd.DataFrame({"label": label, "predicted": label}, index=range(20)) for label in (0, 1))
    assert not above_chance(all_zero, all_one)
    assert above_chance(pd.concat([all_zero, all_one]))
    four = pd.DataFrame({"label": [0, 0, 1, 1], "predicted": [0, 0, 1, 1]})
    assert not above_chance(four)
    assert not above_chance(four, four[:0])
    assert above_chance(four, four, four)  # by chance once in 6 * 6 * 6


def test_a_run_without_a_baseline(finished):
    """From the baseline to the report: no difference to a baseline, no p-value, no doubtful labels."""
    edit_params(finished, **{"baseline.min_count": 1000})
    run_stages("baseline", "evaluate", "report")
    evaluation, text = read("metrics/evaluate.json"), Path("metrics/report.md").read_text()
    labels = pd.read_parquet(RAW / "test.parquet")["label"]
    assert evaluation["guessing_accuracy"] == (labels == 0).mean()
    assert not [name for name in evaluation if "baseline" in name or name in ("difference", "mcnemar_p")]
    for row in evaluation["labels"].values():
        assert set(row) == {"precision", "recall", "f1", "support", "mean_probability"}
    for told in (
        "50.0% for guessing train's commonest label. There is no baseline to compare with: TF-IDF of words and "
        "logistic regression learned nothing from the same texts: none of the words stands in 1000 of the train texts",
        "| guessing |",
        "## The most doubtful labels\n\nThere is no list of them",
        "on texts that it has not seen, where guessing train's commonest label gives 50.0% accuracy.",
    ):
        assert told in text.replace("\\", "")
    assert not re.search(r"McNemar|points (above|below)|the others say|baseline's|\bnan\b", text)
    assert "\n\n\n" not in text
    card = model_card(AutoConfig.from_pretrained(ADAPTER), evaluation, read("metrics/data.json"))
    assert "| accuracy of guessing train's commonest label on the same texts | 0.5000 |\n" in card
