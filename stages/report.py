"""The results in words, tables and pictures.

In:  metrics/*.json and *.csv, data/{predictions.parquet,doubtful_labels.csv}, the template stages/report.md.j2, and
     the settings.
Out: metrics/report.md and metrics/{training,reliability,coverage,length}.png.
"""

import itertools
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import BaseModel, Field

from classifier.evaluation.figures import coverage_figure, length_figure, reliability_figure, training_figure
from classifier.evaluation.intervals import wilson_interval
from classifier.evaluation.markdown import verbatim
from classifier.files.formats import read_json, read_table
from classifier.files.places import ADAPTER, DOUBTFUL, METRICS, PREDICTIONS
from classifier.files.writing import written
from classifier.params.catalogue import Method
from classifier.params.settings import Param, Settings
from classifier.runner.run import main

TEMPLATE = Path(__file__).with_name("report.md.j2")
WORDS = [0, 100, 200, 300, 500]  # lower bounds of the groups of lengths


def accuracy_by_length(predictions: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and its 95% interval by number of words; groups without texts are left out."""
    words = predictions["text"].str.split().str.len()
    names = [f"{low}-{high - 1}" for low, high in itertools.pairwise(WORDS)] + [f"{WORDS[-1]}+"]
    group = pd.cut(words, [*WORDS, float("inf")], right=False, labels=names)
    right = predictions["label"] == predictions["predicted"]
    table = right.groupby(group, observed=True).agg(["mean", "sum", "count"]).reset_index(names="words")
    table[["low", "high"]] = [wilson_interval(k, n) for k, n in table[["sum", "count"]].to_numpy()]
    return table.rename(columns={"mean": "accuracy"})


def confident_mistakes(predictions: pd.DataFrame, count: int) -> list[dict]:
    """The wrong predictions of highest confidence; row: from 1, in the test split."""
    wrong = predictions[predictions["label"] != predictions["predicted"]].assign(row=lambda table: table.index + 1)
    return wrong.nlargest(count, "confidence").to_dict("records")


def read_csv(path: Path, texts: list[str], rows: int | None = None) -> pd.DataFrame:
    """The first `rows`, or all. texts: columns that hold such, also where they look like numbers or a missing value."""
    return pd.read_csv(path, dtype=dict.fromkeys(texts, str), keep_default_na=False, nrows=rows)


class ReportSettings(Settings):
    """The section `report` of params.yaml."""

    texts: bool
    mistakes: Annotated[int, Field(ge=0)]
    doubtful: Annotated[int, Field(ge=0)]


def report(
    *,
    settings: Annotated[ReportSettings, Param("report")],
    dataset: Annotated[str, Param("dataset")],
    model: Annotated[str, Param("model")],
    method: Annotated[Method, Param("methods.${method}")],
    tokenize: Annotated[BaseModel, Param("tokenize")],
    train: Annotated[BaseModel, Param("train")],
) -> None:
    """Draw the pictures and fill the template."""
    from jinja2 import Environment, StrictUndefined

    predictions, metadata = read_table(PREDICTIONS)
    lengths = accuracy_by_length(predictions)
    curves = {
        name: read_csv(METRICS / f"{name}.csv", texts=["actual", "predicted"])
        for name in ("training", "validation", "reliability", "coverage", "confusion")
    }
    training_figure(curves["training"], curves["validation"], METRICS / "training.png")
    reliability_figure(curves["reliability"], METRICS / "reliability.png")
    coverage_figure(curves["coverage"], METRICS / "coverage.png")
    length_figure(lengths, METRICS / "length.png")
    environment = Environment(
        undefined=StrictUndefined,
        finalize=verbatim,  # of every {{ }}
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}%"
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        dataset=dataset,
        model=model,
        method=method,
        tokenize=tokenize,
        train=train,
        texts=settings.texts,
        labels=metadata["labels"],
        adapter=read_json(path) if (path := ADAPTER / "adapter_config.json").is_file() else None,
        lengths=lengths.to_dict("records"),
        confusion=curves["confusion"].pivot(index="actual", columns="predicted", values="count"),
        mistakes=confident_mistakes(predictions, settings.mistakes),
        doubtful=read_csv(DOUBTFUL, ["hash", "label", "others_say", "text"], settings.doubtful).to_dict("records"),
        **{
            name: read_json(METRICS / f"{name}.json")
            for name in ("data", "baseline", "training", "evaluate", "samples")
        },
    )
    with written(METRICS / "report.md") as part:
        part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(report)
