"""What a fine-tuned encoder has to beat: TF-IDF n-grams and logistic regression on the same reviews.

In:  data/raw/*.parquet.
Out: data/baseline.parquet with the predicted label of each test row, and metrics/baseline.json.
"""

from typing import Annotated

import pandas as pd
from pydantic import Field

from stages.files import BASELINE, METRICS, RAW, read_table, write_json, write_table
from stages.run import main
from stages.settings.errors import InputError


def baseline(
    *,
    ngram_max: Annotated[int, Field(ge=1, le=5)],
    min_count: Annotated[int, Field(ge=1)],
    c: Annotated[float, Field(gt=0)],
) -> None:
    """Fit on train, score validation and test.

    ngram_max: longest n-gram in words; min_count: reviews that a term must stand in; c: inverse strength of the
    L2 penalty.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    splits = {name: read_table(RAW / f"{name}.parquet")[0] for name in ("train", "validation", "test")}
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, ngram_max), min_df=min_count, sublinear_tf=True),
        LogisticRegression(C=c, max_iter=1000),
    )
    try:
        model.fit(splits["train"]["text"], splits["train"]["label"])
    except ValueError as error:  # no term is frequent enough
        raise InputError(f"params.yaml: baseline: {error}; lower baseline.min_count") from None
    predicted = {name: model.predict(splits[name]["text"]) for name in ("validation", "test")}
    write_table(BASELINE, pd.DataFrame({"predicted": predicted["test"]}))
    write_json(
        METRICS / "baseline.json",
        {
            **{
                f"{name}_accuracy": round(float((p == splits[name]["label"]).mean()), 4)
                for name, p in predicted.items()
            },
            "terms": len(model[0].vocabulary_),
        },
    )


if __name__ == "__main__":
    main(baseline)
