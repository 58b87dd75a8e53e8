"""The baseline that a fine-tuned encoder has to beat: TF-IDF and logistic regression on the same train texts.

In:  data/raw/*.parquet.
Out: data/baseline.parquet (the predicted label of each test row), metrics/baseline.json, and data/doubtful_labels.csv
     (the train texts for which a regression on other texts predicts another label, the most doubtful first).

The n-grams are of words, or of characters if the texts are not written in words. If nothing can be learned from the
texts, metrics/baseline.json says so (`learned`), the most frequent label of train is predicted for every text, and the
list of doubtful labels is empty.
"""

import csv
import itertools
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from classifier.files.formats import metadata_of, write_csv, write_json, write_table
from classifier.files.places import BASELINE, DOUBTFUL, METRICS, RAW
from classifier.params.settings import Param, Settings
from classifier.runner.run import main
from classifier.text.cleaning import clean_texts
from classifier.text.duplicates import text_hash
from classifier.text.pairs import joined, texts_of
from classifier.text.words import choose_terms

ROWS_PER_BATCH = 4096  # in memory at a time
FOLDS = 5
SHUFFLES = 499  # of the permutation test
DOUBTFUL_COLUMNS = ["hash", "label", "predicted", "probability", "text"]


class NothingLearnedError(Exception):
    """The reason why there is no baseline, in words for the report."""


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
    """Fit on train, predict validation and test, and list the doubtful labels of train.

    strip_markup: replace HTML tags by spaces, as tokenize does for the encoder.
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    tables = itertools.islice(read_split("train", strip_markup), -(-settings.max_rows // ROWS_PER_BATCH))
    train = pd.concat(tables)[: settings.max_rows]
    terms_are, options = choose_terms(train["text"].tolist())
    ngrams = (1, settings.ngram_max)
    tfidf = TfidfVectorizer(ngram_range=ngrams, min_df=settings.min_count, sublinear_tf=True, **options)
    model, reason = make_pipeline(tfidf, LogisticRegression(C=settings.c, max_iter=1000)), {}
    try:
        held_out = fit_and_hold_out(model, train, terms_are)
        predicted = predict_splits(model, strip_markup)
        check_above_chance([held_out, predicted["validation"]])
        doubtful = find_doubtful_labels(held_out)
    except NothingLearnedError as error:
        guess = DummyClassifier(strategy="most_frequent").fit(train["text"], train["label"])
        predicted = predict_splits(guess, strip_markup)
        doubtful, reason = pd.DataFrame(columns=DOUBTFUL_COLUMNS), {"nothing_learned": str(error)}
    write_table(BASELINE, predicted["test"][["predicted"]], learned=not reason)
    # Without quotes, a lone carriage return in a text would end the row when the file is read.
    write_csv(DOUBTFUL, doubtful, quoting=csv.QUOTE_NONNUMERIC)
    accuracies = {name: float((rows["predicted"] == rows["label"]).mean()) for name, rows in predicted.items()}
    result = {f"{name}_accuracy": round(accuracy, 4) for name, accuracy in accuracies.items()}
    result |= {"train": len(train), "terms": len(getattr(tfidf, "vocabulary_", ())), "doubtful_labels": len(doubtful)}
    write_json(METRICS / "baseline.json", result | {"terms_are": terms_are, "learned": not reason} | reason)


def read_split(split: str, strip_markup: bool) -> Iterator[pd.DataFrame]:
    """Yield a split's rows with hash, text (cleaned; a pair as one string) and label, ROWS_PER_BATCH rows at a time."""
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(RAW / f"{split}.parquet", pre_buffer=False)
    names = [name for name in file.schema_arrow.names if name in ("text", "text_pair", "label")]
    for batch in file.iter_batches(ROWS_PER_BATCH, columns=names):
        texts = texts_of(batch)
        columns = {"hash": map(text_hash, texts), "text": clean_texts([*map(joined, texts)], strip_markup)}
        yield pd.DataFrame(columns | {"label": batch["label"].to_numpy()})


def fit_and_hold_out(model, train: pd.DataFrame, terms_are: str) -> pd.DataFrame:
    """Fit a pipeline of a vectorizer and a regression on train, and return the table of `predict_held_out` for train.

    Raises NothingLearnedError if train has a single label or no term. terms_are: "words" or "characters".
    """
    tfidf, regression = model[0], model[1]
    if train["label"].nunique() < 2:
        raise NothingLearnedError("the train texts that it reads have one label only (baseline.max_rows)")
    try:
        terms = tfidf.fit_transform(train["text"])
    except ValueError:  # scikit-learn's, about an empty vocabulary
        raise NothingLearnedError(
            f"no n-gram of {terms_are} occurs in {tfidf.min_df} train texts (baseline.min_count)"
        ) from None
    regression.fit(terms, train["label"])
    del terms  # free the memory: transform makes a second matrix, which has the terms of a row in another order
    return predict_held_out(train, tfidf.transform(train["text"]), regression)


def predict_held_out(train: pd.DataFrame, terms, regression) -> pd.DataFrame:
    """Predict each train text by a regression on the other four fifths of train.

    Args:
        train: Columns hash, text and label.
        terms: (rows, terms), the TF-IDF matrix of train. Its weights are computed on all of train, which uses the texts
            of the held-out fifth, but not their labels.
        regression: The regression; it is not changed.

    Returns:
        The rows of train with the columns predicted and probability (of `label`). The rows of a label with fewer texts
        than folds are left out; if a single label remains, the table is empty.
    """
    from sklearn.model_selection import cross_val_predict

    enough = (train.groupby("label")["label"].transform("size") >= FOLDS).to_numpy()
    train, terms = train[enough], terms[enough]
    if train["label"].nunique() < 2:
        return train[:0].assign(predicted=0, probability=0.0)
    probabilities = cross_val_predict(regression, terms, train["label"], cv=FOLDS, method="predict_proba")
    labels = np.unique(train["label"])
    label_probabilities = probabilities[np.arange(len(train)), np.searchsorted(labels, train["label"])]
    return train.assign(predicted=labels[probabilities.argmax(axis=1)], probability=label_probabilities.round(4))


def predict_splits(model, strip_markup: bool) -> dict[str, pd.DataFrame]:
    """Return the columns label and predicted of validation and test."""
    return {
        split: pd.concat(
            rows.assign(predicted=model.predict(rows["text"]))[["label", "predicted"]]
            for rows in read_split(split, strip_markup)
        )
        for split in ("validation", "test")
    }


def check_above_chance(tables: list[pd.DataFrame]) -> None:
    """Raise NothingLearnedError unless the predictions are right significantly more often than by chance.

    The test is a one-sided permutation test at p < 0.05. It counts how often the same predictions, in random order
    within each table, are right at least as often. It suits few rows and unbalanced labels. The predictions of
    `predict_held_out` depend a little on all labels. With random labels, more than 5% of the data sets therefore pass:
    48 of 650 sets of 160 sentences.

    Args:
        tables: Tables with the columns label and predicted.
    """
    pairs = [(np.array(table["label"]), np.array(table["predicted"])) for table in tables]
    right = sum((labels == predicted).sum() for labels, predicted in pairs)
    rng, as_many = np.random.default_rng(0), 0
    for _ in range(SHUFFLES):
        as_many += sum((labels == rng.permutation(predicted)).sum() for labels, predicted in pairs) >= right
    if (1 + as_many) / (1 + SHUFFLES) >= 0.05:
        raise NothingLearnedError(
            f"its labels of {sum(map(len, tables)):,} texts held out of its training are not significantly more often "
            "right than by chance"
        )


def find_doubtful_labels(held_out: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose predicted label differs from their label, the least probable label first.

    The ranking is that of self-confidence in Northcutt et al. 2021, "Confident Learning".

    Args:
        held_out: The table of `predict_held_out`.

    Returns:
        Columns hash, label, predicted, probability (of `label`) and text; label and predicted by name.
    """
    from pyarrow.parquet import read_schema

    table = held_out[held_out["predicted"] != held_out["label"]].sort_values(["probability", "hash"])
    names = metadata_of(read_schema(RAW / "train.parquet"))["labels"]
    for column in ("label", "predicted"):
        table[column] = [names[number] for number in table[column]]
    return table[DOUBTFUL_COLUMNS]


if __name__ == "__main__":
    main(baseline)
