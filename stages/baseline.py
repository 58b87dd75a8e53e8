"""What a fine-tuned encoder has to beat: TF-IDF n-grams and logistic regression on the same texts.

In:  data/raw/*.parquet.
Out: data/baseline.parquet with the predicted label of each test row, and metrics/baseline.json.
"""

import itertools
from collections.abc import Iterator
from typing import Annotated

import pandas as pd
from pydantic import Field

from stages.files import BASELINE, METRICS, RAW, write_json, write_table
from stages.run import main
from stages.settings.errors import InputError
from stages.text import cleaned

ROWS = 4096  # to hold at a time


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
            batch.assign(predicted=model.predict(batch["text"])).drop(columns="text")
            for batch in batches(split, without_markup)
        )
        for split in ("validation", "test")
    }
    write_table(BASELINE, scored["test"][["predicted"]])
    accuracies = {name: float((rows["predicted"] == rows["label"]).mean()) for name, rows in scored.items()}
    write_json(
        METRICS / "baseline.json",
        {
            **{f"{name}_accuracy": round(accuracy, 4) for name, accuracy in accuracies.items()},
            "train": len(train),
            "terms": len(model[0].vocabulary_),
        },
    )


def batches(split: str, without_markup: bool) -> Iterator[pd.DataFrame]:
    """Columns text, cleaned, and label of a split, at most ROWS rows at a time."""
    from pyarrow.parquet import ParquetFile

    for batch in ParquetFile(RAW / f"{split}.parquet", pre_buffer=False).iter_batches(ROWS, columns=["text", "label"]):
        yield pd.DataFrame(
            {"text": cleaned(batch["text"].to_pylist(), without_markup), "label": batch["label"].to_numpy()}
        )


if __name__ == "__main__":
    main(baseline)
