"""Write the results of the pipeline in words, tables and pictures.

In:  metrics/*.json and *.csv, data/predictions.parquet, data/doubtful_labels.csv, models/adapter/, the template
     stages/report.md.j2, and the settings in params.yaml.
Out: metrics/report.md and metrics/{training,reliability,coverage,length}.png.
"""

import itertools
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, Field

from classifier.evaluation.figures import coverage_figure, length_figure, reliability_figure, training_figure
from classifier.evaluation.intervals import wilson_interval
from classifier.evaluation.markdown import verbatim
from classifier.files.formats import read_json, read_table
from classifier.files.places import ADAPTER, DOUBTFUL, METRICS, PREDICTIONS
from classifier.files.writing import replace_file
from classifier.params.catalogue import Method
from classifier.params.settings import Param, Settings
from classifier.runner.run import main

TEMPLATE = Path(__file__).with_name("report.md.j2")
LENGTHS = [0, 100, 200, 300, 500]  # the lowest number of words of each group


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
    """Draw the pictures and fill in the template."""
    predictions, metadata = read_table(PREDICTIONS)
    lengths = accuracy_by_length(predictions)
    draw_pictures(lengths)
    confusion = read_csv_table(METRICS / "confusion.csv", ["actual", "predicted"])
    doubtful = read_csv_table(DOUBTFUL, ["hash", "label", "predicted", "text"], settings.doubtful)
    adapter = ADAPTER / "adapter_config.json"
    results = ("data", "baseline", "training", "evaluate", "samples")
    text = filled_template(
        dataset=dataset,
        model=model,
        method=method,
        tokenize=tokenize,
        train=train,
        texts=settings.texts,
        labels=metadata["labels"],
        adapter=read_json(adapter) if adapter.is_file() else None,
        lengths=lengths.to_dict("records"),
        confusion=confusion.pivot(index="actual", columns="predicted", values="count"),
        mistakes=confident_mistakes(predictions, settings.mistakes),
        doubtful=doubtful.rename(columns={"predicted": "others_say"}).to_dict("records"),
        **{name: read_json(METRICS / f"{name}.json") for name in results},
    )
    with replace_file(METRICS / "report.md") as part:
        part.write_text(text, encoding="utf-8")


def accuracy_by_length(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy and its 95% interval for each group of text lengths that has texts.

    Returns:
        Columns words (the name of the group, such as "0-99"), accuracy, sum (of right answers), count, low and high.
    """
    words = predictions["text"].str.split().str.len()
    names = [f"{low}-{high - 1}" for low, high in itertools.pairwise(LENGTHS)] + [f"{LENGTHS[-1]}+"]
    group = pd.cut(words, [*LENGTHS, float("inf")], right=False, labels=names)
    right = predictions["label"] == predictions["predicted"]
    table = right.groupby(group, observed=True).agg(["mean", "sum", "count"]).reset_index(names="words")
    table[["low", "high"]] = [wilson_interval(k, n) for k, n in table[["sum", "count"]].to_numpy()]
    return table.rename(columns={"mean": "accuracy"})


def draw_pictures(lengths: pd.DataFrame) -> None:
    """Draw the pictures of the report from the data in metrics/ and from the table of `accuracy_by_length`."""
    names = ("training", "validation", "reliability", "coverage")
    training, validation, reliability, coverage = (read_csv_table(METRICS / f"{name}.csv") for name in names)
    training_figure(training, validation, METRICS / "training.png")
    reliability_figure(reliability, METRICS / "reliability.png")
    coverage_figure(coverage, METRICS / "coverage.png")
    length_figure(lengths, METRICS / "length.png")


def read_csv_table(path: Path, texts: list[str] | None = None, rows: int | None = None) -> pd.DataFrame:
    """Return all rows of a CSV file, or the first ones, with text values exactly as written.

    Args:
        path: The file.
        texts: The columns to read as strings, even if they look like numbers. "NA" and "" are not missing values.
        rows: The number of rows; None for all.
    """
    return pd.read_csv(path, dtype=dict.fromkeys(texts or [], str), keep_default_na=False, nrows=rows)


def confident_mistakes(predictions: pd.DataFrame, count: int) -> list[dict]:
    """Return the wrong predictions of highest confidence; `row` is the row in the test split, counted from 1."""
    wrong = predictions[predictions["label"] != predictions["predicted"]].assign(row=lambda table: table.index + 1)
    return wrong.nlargest(count, "confidence").to_dict("records")


def filled_template(**values: Any) -> str:
    """Return the report in Markdown. Each value is escaped, so that the report shows it unchanged."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined,
        finalize=verbatim,  # applied to the result of every {{ }}
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}%"
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(values)


if __name__ == "__main__":
    main(report)
