"""What a fine-tuned encoder has to beat: TF-IDF n-grams and logistic regression on the same texts.

In:  data/raw/*.parquet.
Out: data/baseline.parquet with the predicted label of each test row, metrics/baseline.json, and
     data/doubtful_labels.csv: the train texts that get another label from the others, the most doubtful first.
"""

import csv
import itertools
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from stages.files import BASELINE, DOUBTFUL, METRICS, RAW, metadata_of, write_csv, write_json, write_table
from stages.rows.corrections import hexadecimal
from stages.run import main
from stages.settings.errors import InputError
from stages.text import cleaned

ROWS = 4096  # to hold at a time
FOLDS = 5


def baseline(
    *,
    max_rows: Annotated[int, Field(ge=1)],
    ngram_max: Annotated[int, Field(ge=1, le=5)],
    min_count: Annotated[int, Field(ge=1)],
    c: Annotated[float, Field(gt=0)],
    without_markup: bool,
) -> None:
    """Fit on train, score validation and test.

    max_rows: train texts to fit on at most, since all their n-grams stand in memory (the rows of train are shuffled);
    ngram_max: longest n-gram in words; min_count: texts that a term must stand in; c: inverse strength of the L2
    penalty; without_markup: clean the texts as the encoder's are.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    train = pd.concat(itertools.islice(batches("train", without_markup), -(-max_rows // ROWS)))[:max_rows]
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, ngram_max), min_df=min_count, sublinear_tf=True),
        LogisticRegression(C=c, max_iter=1000),
    )
    try:
        model.fit(train["text"], train["label"])
    except ValueError as error:  # no term is frequent enough, or the first rows have one label only
        raise InputError(f"params.yaml: baseline: {error}; lower baseline.min_count or raise max_rows") from None
    scored = {
        split: pd.concat(
            batch.assign(predicted=model.predict(batch["text"]))[["label", "predicted"]]
            for batch in batches(split, without_markup)
        )
        for split in ("validation", "test")
    }
    write_table(BASELINE, scored["test"][["predicted"]])
    doubtful = doubtful_labels(train, model[0].transform(train["text"]), c)
    # A text with a lone carriage return would go without quotes, and end a row there when it is read.
    write_csv(DOUBTFUL, doubtful, quoting=csv.QUOTE_NONNUMERIC)
    accuracies = {name: float((rows["predicted"] == rows["label"]).mean()) for name, rows in scored.items()}
    write_json(
        METRICS / "baseline.json",
        {
            **{f"{name}_accuracy": round(accuracy, 4) for name, accuracy in accuracies.items()},
            "train": len(train),
            "terms": len(model[0].vocabulary_),
            "doubtful_labels": len(doubtful),
        },
    )


def doubtful_labels(train: pd.DataFrame, terms, c: float) -> pd.DataFrame:
    """The rows of train to which a regression on the other four fifths gives another label, by rising probability of
    their own: hash, label, others_say, probability (of `label`), text.

    train: columns hash, text, label; terms: (rows, terms), of all of train: the terms' weights know the fifth that is
    left out, its labels do not enter. Of a label with less texts than folds nothing is said. Ranked as in Northcutt et
    al. 2021, "Confident Learning", by self-confidence.
    """
    from pyarrow.parquet import read_schema
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    known = (train.groupby("label")["label"].transform("size") >= FOLDS).to_numpy()
    train, terms = train[known], terms[known]
    if train["label"].nunique() < 2:
        return pd.DataFrame(columns=["hash", "label", "others_say", "probability", "text"])
    regression = LogisticRegression(C=c, max_iter=1000)
    probabilities = cross_val_predict(regression, terms, train["label"], cv=FOLDS, method="predict_proba")
    labels = np.unique(train["label"])
    own = probabilities[np.arange(len(train)), np.searchsorted(labels, train["label"])]
    table = train.assign(others_say=labels[probabilities.argmax(axis=1)], probability=own.round(4))
    table = table[table["others_say"] != table["label"]].sort_values(["probability", "hash"])
    names = metadata_of(read_schema(RAW / "train.parquet"))["labels"]
    for column in ("label", "others_say"):
        table[column] = [names[number] for number in table[column]]
    return table[["hash", "label", "others_say", "probability", "text"]]


def batches(split: str, without_markup: bool) -> Iterator[pd.DataFrame]:
    """Columns hash, text, cleaned, and label of a split, at most ROWS rows at a time."""
    from pyarrow.parquet import ParquetFile

    for batch in ParquetFile(RAW / f"{split}.parquet", pre_buffer=False).iter_batches(ROWS, columns=["text", "label"]):
        texts = batch["text"].to_pylist()
        columns = {"hash": map(hexadecimal, texts), "text": cleaned(texts, without_markup)}
        yield pd.DataFrame(columns | {"label": batch["label"].to_numpy()})


if __name__ == "__main__":
    main(baseline)
