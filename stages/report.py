"""Write the results of the pipeline in words, tables and pictures.

In:  metrics/*.json and *.csv, data/predictions.parquet, data/doubtful_labels.csv, models/adapter/, the template
     stages/report.md.j2, and the settings in params.yaml.
Out: metrics/report.md and metrics/{training,reliability,coverage,length}.png.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, Field

from classifier.evaluation import findings, tables
from classifier.evaluation.canvas import page_width
from classifier.evaluation.figures import coverage_figure, length_figure, reliability_figure, training_figure
from classifier.evaluation.intervals import wilson_interval
from classifier.evaluation.limits import limits
from classifier.evaluation.markdown import verbatim
from classifier.files.formats import read_json, read_table
from classifier.files.places import ADAPTER, DOUBTFUL, METRICS, PREDICTIONS
from classifier.files.writing import replace_file
from classifier.params.catalogue import Method
from classifier.params.settings import Param, Settings
from classifier.runner.run import main

TEMPLATE = Path(__file__).with_name("report.md.j2")
RESULTS = ("data", "baseline", "training", "evaluate", "samples")  # .json
CURVES = ("training", "validation", "reliability", "coverage")  # .csv
PICTURES = ("training", "confusion", "reliability", "coverage", "length")  # .png
EXCERPT = 160  # characters of a text, or of both texts of a pair
LABELS_IN_MATRIX = 10  # a confusion matrix of more labels is a picture only


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
    results = {name: read_json(METRICS / f"{name}.json") for name in RESULTS}
    curves = {name: read_csv_table(METRICS / f"{name}.csv") for name in CURVES}
    predictions, metadata = read_table(PREDICTIONS)
    labels, learned = metadata["labels"], results["baseline"]["learned"]
    lengths = findings.accuracy_by_length(predictions)
    draw_pictures(curves, predictions["confidence"], lengths, results, train)
    adapter = ADAPTER / "adapter_config.json"
    adapter = read_json(adapter) if adapter.is_file() else None
    text = filled_template(
        dataset=dataset,
        model=model,
        method=method,
        tokenize=tokenize,
        train=train,
        texts=settings.texts,
        labels=labels,
        reads_pairs="text_pair" in predictions,
        confusion=confusion_rows(labels),
        limits=limits(results, curves["validation"], train, labels),
        settings=tables.settings_table(model, method, adapter, results["training"], train),
        widths={name: page_width(METRICS / f"{name}.png") for name in PICTURES},
        comparison=tables.comparison_rows(results["evaluate"], labels, learned),
        by_label=tables.label_rows(results["evaluate"], labels, learned),
        mean=tables.mean_over_labels(results["evaluate"], labels),
        shares=tables.share_rows(results["data"], labels),
        left_out=findings.rows_left_out(results["data"]),
        lengths=lengths.to_dict("records"),
        worst_length=findings.worst_length(lengths),
        **about_labels(predictions, labels, settings),
        **marks(results["samples"]),
        **results,
    )
    with replace_file(METRICS / "report.md") as part:
        part.write_text(text, encoding="utf-8")


def read_csv_table(path: Path, texts: list[str] | None = None) -> pd.DataFrame:
    """Return a CSV file with text values exactly as written.

    Args:
        path: The file.
        texts: The columns to read as strings, even if they look like numbers. "NA" and "" are not missing values.
    """
    return pd.read_csv(path, dtype=dict.fromkeys(texts or [], str), keep_default_na=False)


def draw_pictures(
    curves: dict[str, pd.DataFrame], confidence: pd.Series, lengths: pd.DataFrame, results: dict, train
) -> None:
    """Draw the pictures of the report.

    Args:
        curves: The tables in metrics/ by the names CURVES.
        confidence: The confidence of each test text.
        lengths: The table of `accuracy_by_length`.
        results: The contents of the files in metrics/ by the names RESULTS.
        train: The section `train` of params.yaml.
    """
    training, data = results["training"], results["data"]
    short_steps = round(training["short_epochs"] * -(-data["train"] // train.batch_size))
    texts = training["texts_per_validation"]
    bounds = [wilson_interval(round(accuracy * texts), texts) for accuracy in curves["validation"]["accuracy"]]
    validation = curves["validation"].assign(low=[low for low, _ in bounds], high=[high for _, high in bounds])
    training_figure(curves["training"], validation, METRICS / "training.png", short_steps, train.short_epoch)
    reliability_figure(curves["reliability"], confidence, METRICS / "reliability.png")
    coverage_figure(curves["coverage"], METRICS / "coverage.png", results["evaluate"]["above_threshold"])
    length_figure(lengths, METRICS / "length.png")


def confusion_rows(labels: list[str]) -> list[list]:
    """Return the rows of the confusion matrix: an actual label, then its counts. Return no row for too many labels."""
    if len(labels) > LABELS_IN_MATRIX:
        return []
    table = read_csv_table(METRICS / "confusion.csv", ["actual", "predicted"])
    counts = table.pivot(index="actual", columns="predicted", values="count")
    return [[label, *(f"{count:,}" for count in counts.loc[label, labels])] for label in labels]


def about_labels(predictions: pd.DataFrame, labels: list[str], settings: ReportSettings) -> dict[str, Any]:
    """Return what the report says about the mistakes and the doubtful labels."""
    mistakes = findings.confident_mistakes(predictions, labels)
    if "text_pair" in mistakes:
        mistakes["text"] = list(zip(mistakes["text"], mistakes["text_pair"], strict=True))
    mistakes["decided_by"] = mistakes["decided_by"].map(findings.without_punctuation)
    doubtful = read_csv_table(DOUBTFUL, ["hash", "label", "predicted", "text"])
    leading = findings.leading_pair(mistakes), findings.leading_pair(doubtful)
    return {
        "mistakes": mistakes[: settings.mistakes].to_dict("records"),
        "mistakes_divide": findings.division(mistakes, "most confident mistakes") if len(mistakes) else "",
        "doubtful": doubtful[: settings.doubtful].to_dict("records"),
        "doubtful_divide": findings.division(doubtful, "most doubtful labels") if len(doubtful) else "",
        "divide_likewise": leading[0] == leading[1] if all(leading) else None,
    }


def marks(samples: list[dict]) -> dict[str, int]:
    """Return the number of samples with an expected label, and how many of them have the right answer."""
    marked = [sample for sample in samples if "expected" in sample]
    right = sum(sample["label"] == sample["expected"] for sample in marked)
    return {"samples_marked": len(marked), "samples_right": right}


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
    environment.filters |= {
        "percent": "{:.1%}".format,
        "number": "{:,}".format,
        "excerpt": excerpt,
        "row": tables.row,
        "head": tables.head,
    }
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(values)


def excerpt(text: str | Sequence[str]) -> str:
    """Return the beginning of a text, or the beginnings of both texts of a pair."""
    texts = [text] if isinstance(text, str) else text
    length = EXCERPT // len(texts)
    return " | ".join(part if len(part) <= length else f"{part[: length - 1]}…" for part in texts)


if __name__ == "__main__":
    main(report)
