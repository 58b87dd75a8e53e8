"""What a fine-tuned encoder has to beat: TF-IDF n-grams and logistic regression on the same texts.

In:  data/raw/*.parquet.
Out: data/baseline.parquet with the predicted label of each test row, metrics/baseline.json, and
     data/doubtful_labels.csv: the train texts that get another label from the others, the most doubtful first.

The n-grams are of words, or of characters if the texts are not written in words. If nothing can be learned from the
texts, the baseline says so (`learned`), predicts train's commonest label for every text, and lists no doubtful labels.
"""

import csv
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from classifier.dataset.corrections import hexadecimal
from classifier.files.formats import metadata_of, write_csv, write_json, write_table
from classifier.files.places import BASELINE, DOUBTFUL, METRICS, RAW
from classifier.params.settings import Param, Settings
from classifier.runner.run import main
from classifier.text.cleaning import cleaned

ROWS = 4096  # to hold at a time
FOLDS = 5
SHUFFLES = 499
TEXTS, BEGINNING = 500, 1000  # the train texts, and the characters of each, that tell words from characters
WORD = re.compile(r"(?u)\b\w\w+\b")  # scikit-learn's default
# Scripts without spaces between words.
UNSPACED = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u1950-\u19ff"  # Thai, Lao, Tibetan, Myanmar, Khmer, Tai
    "\u2e80-\u312f\u3190-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff]"  # Han and kana, not Hangul
)
DOUBTED = ["hash", "label", "others_say", "probability", "text"]


class NothingLearnedError(Exception):
    """Why there is no baseline, in words for the report."""


class BaselineSettings(Settings):
    """The section `baseline` of params.yaml."""

    max_rows: Annotated[int, Field(ge=1)]
    ngram_max: Annotated[int, Field(ge=1, le=5)]
    min_count: Annotated[int, Field(ge=1)]
    c: Annotated[float, Field(gt=0)]


def baseline(
    *,
    settings: Annotated[BaselineSettings, Param("baseline")],
    strip_markup: Annotated[bool, Param("tokenize.strip_markup")],
) -> None:
    """Fit on train, score validation and test, list train's doubtful labels. strip_markup: as the encoder's texts."""
    from sklearn.dummy import DummyClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    tables = itertools.islice(batches("train", strip_markup), -(-settings.max_rows // ROWS))
    train = pd.concat(tables)[: settings.max_rows]
    terms_are, options = terms_of(train["text"])
    ngrams = (1, settings.ngram_max)
    tfidf = TfidfVectorizer(ngram_range=ngrams, min_df=settings.min_count, sublinear_tf=True, **options)
    model, nothing = make_pipeline(tfidf, LogisticRegression(C=settings.c, max_iter=1000)), {}
    try:
        held_out = fit_and_hold_out(model, train, terms_are)
        scored = scores(model, strip_markup)
        check_above_chance([held_out, scored["validation"]])
        doubtful = doubtful_labels(held_out)
    except NothingLearnedError as reason:
        guessing = DummyClassifier(strategy="most_frequent").fit(train["text"], train["label"])
        scored = scores(guessing, strip_markup)
        doubtful, nothing = pd.DataFrame(columns=DOUBTED), {"nothing_learned": str(reason)}
    write_table(BASELINE, scored["test"][["predicted"]], learned=not nothing)
    # A text with a lone carriage return would go without quotes, and end a row there when it is read.
    write_csv(DOUBTFUL, doubtful, quoting=csv.QUOTE_NONNUMERIC)
    accuracies = {name: float((rows["predicted"] == rows["label"]).mean()) for name, rows in scored.items()}
    write_json(
        METRICS / "baseline.json",
        {
            **{f"{name}_accuracy": round(accuracy, 4) for name, accuracy in accuracies.items()},
            "train": len(train),
            "terms": len(getattr(tfidf, "vocabulary_", ())),
            "doubtful_labels": len(doubtful),
            "terms_are": terms_are,
            "learned": not nothing,
            **nothing,
        },
    )


def terms_of(texts: pd.Series) -> tuple[str, dict[str, Any]]:
    """("words" or "characters", the options by which TfidfVectorizer reads them), by the beginnings of the first texts.

    Words, unless in most texts they make up less than half, or none of them stands in another of the texts: so in
    scripts without spaces between words, emoji, single letters, and names or numbers that do not recur.
    """
    beginnings = [text[:BEGINNING].lower() for text in texts[:TEXTS] if text.strip()]
    word = word_with_marks()
    words = [word.findall(UNSPACED.sub(" ", text)) for text in beginnings]
    texts_with = Counter(itertools.chain.from_iterable(map(set, words)))
    in_words = [
        2 * len("".join(found)) >= len("".join(text.split())) and any(texts_with[each] > 1 for each in found)
        for text, found in zip(beginnings, words, strict=True)
    ]
    if 2 * sum(in_words) < len(in_words):
        return "characters", {"analyzer": "char"}
    marked = [found != WORD.findall(text) for text, found in zip(beginnings, words, strict=True)]
    return "words", {"token_pattern": word.pattern} if 2 * sum(marked) > len(marked) else {}


@cache
def word_with_marks() -> re.Pattern[str]:
    r"""WORD, also of letters with combining marks, where WORD would end: \w does not match Hindi's vowel signs."""
    characters = {*map(chr, range(0x300, 0x10000))} - {*map(chr, range(0xFE00, 0xFE10))}  # variants of emoji
    marks = "".join(sorted(char for char in characters if unicodedata.category(char) in ("Mn", "Mc")))
    return re.compile(rf"(?u)\b\w(?:\w+|[{marks}\u200c\u200d]+)+")  # and what joins letters, or keeps them apart


def fit_and_hold_out(model, train: pd.DataFrame, terms_are: str) -> pd.DataFrame:
    """Fit a pipeline of a vectorizer and a regression on train; return held_out_labels() of train.

    Raises NothingLearnedError if there is one label or no term.
    """
    tfidf, regression = model[0], model[1]
    if train["label"].nunique() < 2:
        raise NothingLearnedError("the train texts that it reads have one label only (baseline.max_rows)")
    try:
        terms = tfidf.fit_transform(train["text"])
    except ValueError:  # of scikit-learn, about its vocabulary
        raise NothingLearnedError(
            f"none of the {terms_are} stands in {tfidf.min_df} of the train texts (baseline.min_count)"
        ) from None
    regression.fit(terms, train["label"])
    del terms  # transform makes them again, each row's in another order
    return held_out_labels(train, tfidf.transform(train["text"]), regression)


def check_above_chance(tables: list[pd.DataFrame]) -> None:
    """Raise NothingLearnedError unless more predictions are right than of the same ones in random order: p < 0.05,
    one-sided, of a permutation test, which suits few rows and unbalanced labels too.

    tables: with the columns label and predicted, each put in random order by itself. The folds' predictions depend a
    little on all labels, so of labels drawn at random more than 5% pass: 48 of 650 sets of 160 sentences.
    """
    parts = [(np.array(table["label"]), np.array(table["predicted"])) for table in tables]
    right = sum((labels == predicted).sum() for labels, predicted in parts)
    rng, as_many = np.random.default_rng(0), 0
    for _ in range(SHUFFLES):
        as_many += sum((labels == rng.permutation(predicted)).sum() for labels, predicted in parts) >= right
    if (1 + as_many) / (1 + SHUFFLES) >= 0.05:
        raise NothingLearnedError(
            f"its labels of {sum(map(len, tables)):,} texts held out of its training are not significantly more often "
            "right than by chance"
        )


def held_out_labels(train: pd.DataFrame, terms, regression) -> pd.DataFrame:
    """train with the columns predicted, the label by a regression on the other four fifths, and probability, of `label`
    by that regression; no rows of a label with less texts than folds, and none at all if one label is left.

    train: columns hash, text, label; terms: (rows, terms), of all of train: the terms' weights know the fifth that is
    left out, its labels do not enter; regression: not fitted.
    """
    from sklearn.model_selection import cross_val_predict

    known = (train.groupby("label")["label"].transform("size") >= FOLDS).to_numpy()
    train, terms = train[known], terms[known]
    if train["label"].nunique() < 2:
        return train[:0].assign(predicted=0, probability=0.0)
    probabilities = cross_val_predict(regression, terms, train["label"], cv=FOLDS, method="predict_proba")
    labels = np.unique(train["label"])
    own = probabilities[np.arange(len(train)), np.searchsorted(labels, train["label"])]
    return train.assign(predicted=labels[probabilities.argmax(axis=1)], probability=own.round(4))


def doubtful_labels(held_out: pd.DataFrame) -> pd.DataFrame:
    """The rows of held_out_labels() with another label than their own, by rising probability of their own: hash, label,
    others_say, probability (of `label`), text.

    Ranked as in Northcutt et al. 2021, "Confident Learning", by self-confidence.
    """
    from pyarrow.parquet import read_schema

    table = held_out.rename(columns={"predicted": "others_say"})
    table = table[table["others_say"] != table["label"]].sort_values(["probability", "hash"])
    names = metadata_of(read_schema(RAW / "train.parquet"))["labels"]
    for column in ("label", "others_say"):
        table[column] = [names[number] for number in table[column]]
    return table[DOUBTED]


def scores(model, strip_markup: bool) -> dict[str, pd.DataFrame]:
    """Columns label and predicted of validation and test."""
    return {
        split: pd.concat(
            batch.assign(predicted=model.predict(batch["text"]))[["label", "predicted"]]
            for batch in batches(split, strip_markup)
        )
        for split in ("validation", "test")
    }


def batches(split: str, strip_markup: bool) -> Iterator[pd.DataFrame]:
    """Columns hash, text, cleaned, and label of a split, at most ROWS rows at a time."""
    from pyarrow.parquet import ParquetFile

    for batch in ParquetFile(RAW / f"{split}.parquet", pre_buffer=False).iter_batches(ROWS, columns=["text", "label"]):
        texts = batch["text"].to_pylist()
        columns = {"hash": map(hexadecimal, texts), "text": cleaned(texts, strip_markup)}
        yield pd.DataFrame(columns | {"label": batch["label"].to_numpy()})


if __name__ == "__main__":
    main(baseline)
