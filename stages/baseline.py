"""The baseline that a fine-tuned encoder has to beat: TF-IDF and a linear model on the same train texts.

The linear model is logistic regression or, for numbers, ridge regression.

In:  data/raw/*.parquet.
Out: data/baseline.parquet (the predicted label of each test row), metrics/baseline.json, and data/doubtful_labels.csv
     (the train texts for which a linear model on other texts predicts another label, the most doubtful first; with
     numbers, the texts with the largest errors).

The n-grams are of words, or of characters if the texts are not written in words. If nothing can be learned from the
texts, metrics/baseline.json says so (`learned`), all texts get the same prediction, and the list of doubtful labels is
empty.
"""

import csv
import itertools
from collections.abc import Callable, Iterator
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from classifier.baseline import Baseline, NothingLearnedError, Predictions, check_above_chance
from classifier.files.formats import array_of, metadata_of, table_of, write_csv, write_json, write_table
from classifier.files.places import BASELINE, DOUBTFUL, METRICS, RAW
from classifier.params.settings import Param, Settings
from classifier.runner.run import main
from classifier.tasks.task import TASKS, Task
from classifier.text.cleaning import clean_texts
from classifier.text.duplicates import text_hash
from classifier.text.pairs import joined, texts_of
from classifier.text.words import choose_terms

ROWS_PER_BATCH = 4096  # in memory at a time
DOUBTFUL_COLUMNS = ["hash", "label", "predicted", "probability", "text"]


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
    from pyarrow.parquet import read_schema
    from sklearn.feature_extraction.text import TfidfVectorizer

    metadata = metadata_of(read_schema(RAW / "train.parquet"))
    task, names = TASKS[metadata["task"]], metadata["labels"]
    tables = itertools.islice(read_split("train", strip_markup), -(-settings.max_rows // ROWS_PER_BATCH))
    train = pd.concat(tables)[: settings.max_rows].reset_index(drop=True)
    terms_are, options = choose_terms(train["text"].tolist())
    ngrams = (1, settings.ngram_max)
    tfidf = TfidfVectorizer(ngram_range=ngrams, min_df=settings.min_count, sublinear_tf=True, **options)
    model, reason = Baseline(task, names, tfidf, settings.c), {}
    try:
        held_out = model.fit(train, terms_are)
        predicted = predict_splits(model.predict, strip_markup)
        check_above_chance(task, [held_out, predicted["validation"]])
        doubtful = named_doubtful(task, held_out, train, names)
    except NothingLearnedError as error:
        guess = task.guess(array_of(train["label"]))
        predicted = predict_splits(lambda texts: np.repeat(guess[None], len(texts), axis=0), strip_markup)
        doubtful, reason = pd.DataFrame(columns=DOUBTFUL_COLUMNS), {"nothing_learned": str(error)}
    write_table(BASELINE, table_of({"predicted": predicted["test"].predicted}), learned=not reason)
    # Without quotes, a lone carriage return in a text would end the row when the file is read.
    write_csv(DOUBTFUL, doubtful, quoting=csv.QUOTE_NONNUMERIC)
    scores = {name: task.score(rows.labels, rows.predicted) for name, rows in predicted.items()}
    result = {f"{name}_{task.SCORE}": round(score, 4) for name, score in scores.items()}
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
        yield pd.DataFrame(columns | {"label": batch["label"].to_pandas()})


def predict_splits(predict: Callable[[pd.Series], np.ndarray], strip_markup: bool) -> dict[str, Predictions]:
    """Return the predictions for validation and test. predict: a function from texts to predictions."""
    predictions = {}
    for split in ("validation", "test"):
        parts = [(array_of(rows["label"]), predict(rows["text"])) for rows in read_split(split, strip_markup)]
        labels, predicted = map(np.concatenate, zip(*parts, strict=True))
        predictions[split] = Predictions(labels, predicted, np.arange(len(labels)))
    return predictions


def named_doubtful(task: Task, held_out: Predictions, train: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the doubtful labels of train, the least probable first, with the hash and the text of each.

    Args:
        task: The task.
        held_out: The predictions for train by estimators that were fitted on other texts.
        train: Columns hash and text.
        names: The names of the labels.
    """
    table = task.doubtful(held_out.labels, held_out.columns, names)
    table["probability"] = table["probability"].astype(float).round(4)
    rows = train.iloc[held_out.rows[table["row"]]]
    table = table.assign(hash=rows["hash"].to_numpy(), text=rows["text"].to_numpy())
    return table.sort_values(["probability", "hash"])[DOUBTFUL_COLUMNS]


if __name__ == "__main__":
    main(baseline)
