"""Write the results of the pipeline in words, tables and pictures.

In:  metrics/*.json and *.csv, data/predictions.parquet, data/doubtful_labels.csv, models/adapter/, the templates
     stages/report.md.j2 and classifier/evaluation/tasks/*.md.j2, and the settings in params.yaml.
Out: metrics/report.md and metrics/{training,reliability,coverage,length}.png.
"""

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, Field

from classifier.evaluation import findings, tables
from classifier.evaluation.canvas import page_width
from classifier.evaluation.figures import length_figure, training_figure
from classifier.evaluation.intervals import wilson_interval
from classifier.evaluation.limits import limits, metric_name
from classifier.evaluation.promises import promises
from classifier.evaluation.settings_table import settings_table
from classifier.evaluation.tasks import task as by_task
from classifier.evaluation.tasks.task import MEASURES
from classifier.evaluation.template import excerpt, fill_template
from classifier.files.formats import read_json, read_table
from classifier.files.places import ADAPTER, DOUBTFUL, METRICS, PREDICTIONS
from classifier.files.writing import replace_file
from classifier.params.catalogue import Method
from classifier.params.settings import Param, Settings
from classifier.runner.run import main
from classifier.tasks.task import TASKS

TEMPLATE = Path(__file__).with_name("report.md.j2")  # the part that all tasks share; each task's template extends it
TASK_TEMPLATES = Path(by_task.__file__).parent
RESULTS = ("data", "baseline", "training", "evaluate", "samples", "export")  # .json
CURVES = ("training", "validation", "reliability", "coverage", "sets")  # .csv
PICTURES = ("training", "confusion", "reliability", "coverage", "length")  # .png


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
    curves = {name: tables.read_csv_table(METRICS / f"{name}.csv") for name in CURVES}
    predictions, metadata = read_table(PREDICTIONS)
    labels, learned, measures = metadata["labels"], results["baseline"]["learned"], MEASURES[metadata["task"]]
    overall = measures.row_quality(predictions).mean()
    draw_pictures(curves, overall, results, train, metadata["task"])
    measures.draw_report(curves, predictions, results["evaluate"])
    text = fill_template(
        [TEMPLATE.parent, TASK_TEMPLATES],
        f"{metadata['task'].replace('-', '_')}.md.j2",
        dataset=dataset,
        model=model,
        method=method,
        tokenize=tokenize,
        train=train,
        texts=settings.texts,
        labels=labels,
        learned=learned,
        reads_pairs="text_pair" in predictions,
        train_texts=baseline_texts(results),
        above=results["evaluate"].get("above_threshold"),
        sets=results["evaluate"]["sets"],
        curve_of_sets=curves["sets"].to_dict("records"),
        quality=measures.QUALITY,
        limits=limits(results, curves["validation"], train, labels, measures.HEADLINE),
        settings=settings_table(model, method, adapter_config(), results["training"], train, measures.LOSS),
        widths={name: page_width(METRICS / f"{name}.png") for name in PICTURES},
        left_out=findings.rows_left_out(results["data"]),
        forms_table=tables.forms_table(results["export"]) if results["export"] else [],
        promises=promises(results["evaluate"], measures),
        slices=findings.slice_tables(results["evaluate"], measures),
        worst_slice=findings.worst_slice(results["evaluate"], measures),
        **measures.report_tables(results["evaluate"], results["data"], labels, learned),
        **about_labels(measures.mistakes(predictions, labels), settings),
        **about_samples(results["samples"], measures, settings.texts),
        **results,
    )
    with replace_file(METRICS / "report.md") as part:
        part.write_text(text, encoding="utf-8")


def adapter_config() -> dict | None:
    """Return models/adapter/adapter_config.json; None if the method makes no adapter."""
    path = ADAPTER / "adapter_config.json"
    return read_json(path) if path.is_file() else None


def draw_pictures(curves: dict[str, pd.DataFrame], overall: float, results: dict, train, task: str) -> None:
    """Draw the pictures of the report that all tasks have.

    Args:
        curves: The tables in metrics/ by the names CURVES.
        overall: The mean quality of all test texts.
        results: The contents of the files in metrics/ by the names RESULTS.
        train: The section `train` of params.yaml.
        task: The name of the task.
    """
    training, data = results["training"], results["data"]
    short_steps = round(training["short_epochs"] * -(-data["train"] // train.batch_size))
    texts, score = training["texts_per_validation"], TASKS[task].SCORE
    validation = curves["validation"]
    if score == "accuracy":
        bounds = [wilson_interval(round(accuracy * texts), texts) for accuracy in validation["score"]]
        validation = validation.assign(low=[low for low, _ in bounds], high=[high for _, high in bounds])
    words = {"score": metric_name(score), "loss": MEASURES[task].LOSS}
    training_figure(curves["training"], validation, METRICS / "training.png", short_steps, train.short_epoch, **words)
    lengths, measures = results["evaluate"]["slices"]["length"], MEASURES[task]
    length_figure(lengths, METRICS / "length.png", overall, measures.ROW_QUALITY, measures.QUALITY)


def baseline_texts(results: dict) -> str:
    """Return the train texts of the baseline in words."""
    rows = results["baseline"]["train"]
    return "the same texts" if rows == results["data"]["train"] else f"{rows:,} of the same texts"


def about_labels(mistakes: pd.DataFrame, settings: ReportSettings) -> dict[str, Any]:
    """Return the template's values about the mistakes and the doubtful labels.

    mistakes: The table of the task's `mistakes`.
    """
    if "text_pair" in mistakes:
        mistakes = mistakes.assign(text=list(zip(mistakes["text"], mistakes["text_pair"], strict=True)))
    mistakes = mistakes.assign(decided_by=mistakes["decided_by"].map(findings.without_punctuation))
    doubtful = tables.read_csv_table(DOUBTFUL, ["hash", "label", "predicted", "text"])
    leading = findings.leading_pair(mistakes), findings.leading_pair(doubtful)
    return {
        "mistakes": mistakes[: settings.mistakes].to_dict("records"),
        "mistakes_divide": findings.division(mistakes, "most confident mistakes") if len(mistakes) else "",
        "doubtful": doubtful[: settings.doubtful].to_dict("records"),
        "doubtful_divide": findings.division(doubtful, "most doubtful labels") if len(doubtful) else "",
        "divide_likewise": leading[0] == leading[1] if all(leading) else None,
    }


def about_samples(samples: list[dict], measures, with_texts: bool) -> dict[str, Any]:
    """Return the template's values about the sample texts: the number of right answers, and the rows of a table.

    Args:
        samples: metrics/samples.json.
        measures: The module of the task in classifier/evaluation/tasks/.
        with_texts: Whether the rows have the texts.
    """
    marked = [sample for sample in samples if "expected" in sample]
    right = sum(map(measures.sample_is_right, marked))
    parts = [name for name in (samples or [{}])[0] if name not in ("text", "expected")]
    names = ["text" if with_texts else "number in infer.texts", *["expected"] * bool(marked), *parts]
    rows = []
    for number, sample in enumerate(samples, 1):
        cells = [excerpt(sample["text"]) if with_texts else number]
        cells += [tables.answer_cell(sample.get("expected"))] * bool(marked)
        cells += [tables.answer_cell(sample[name], name) for name in parts]
        if marked:
            mark = measures.sample_is_right(sample) if "expected" in sample else None
            cells.append({True: "right", False: "wrong", None: "not marked"}[mark])
        rows.append(cells)
    names = [tables.ANSWER_HEADS.get(name, name.replace("_", " ")) for name in names] + ["answer"] * bool(marked)
    head = tables.head(names, 3, 1) if marked else tables.head(names, 2)
    return {
        "samples_marked": len(marked),
        "samples_right": right,
        "samples_head": head,
        "sample_rows": rows,
    }


if __name__ == "__main__":
    main(report)
