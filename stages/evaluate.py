"""Score the trained classifier on the test split, once, and compare it with the baseline.

In:  models/base/, models/adapter/, data/tokens/test.arrow, data/raw/test.parquet and data/baseline.parquet.
Out: metrics/evaluate.json, data/predictions.parquet (each text with its predicted label and probabilities, and the
     deciding words of the most confident mistakes), metrics/confusion.png, and the data of the plots:
     metrics/{confusion,roc,precision_recall,reliability,coverage}.csv.

With LAUNCH in the environment, several processes share the batches. The bytes of the outputs stay the same.
"""

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from classifier.distributed.processes import Processes
from classifier.evaluation import metrics
from classifier.evaluation.confusion import confusion_figure, confusion_table
from classifier.evaluation.curves import curves
from classifier.evaluation.intervals import mcnemar
from classifier.files.digests import sha256s
from classifier.files.formats import read_table, write_csv, write_json, write_table
from classifier.files.places import ADAPTER, BASE, BASELINE, METRICS, PREDICTIONS, RAW, TOKENS
from classifier.model.forward import logits
from classifier.model.loading import load_classifier
from classifier.model.probabilities import prediction_columns
from classifier.params.settings import Param, Settings
from classifier.predict.explanation import explain_label
from classifier.predict.threshold import rows_needed, threshold_for
from classifier.runner.run import main
from classifier.text.pairs import texts_of
from classifier.text.tokens import open_tokens

Share = Annotated[float, Field(gt=0, lt=1)]


class EvaluateSettings(Settings):
    """The section `evaluate` of params.yaml."""

    bins: Annotated[int, Field(ge=2, le=100)]
    target_accuracy: Share
    target_level: Share
    explained: Annotated[int, Field(ge=0)]


def evaluate(*, settings: Annotated[EvaluateSettings, Param("evaluate")]) -> None:
    """Score the test texts, measure, explain the most confident mistakes, and write all results."""
    from scipy.special import softmax

    processes = Processes.connect()
    check_same_inputs(processes)
    model, tokenizer = load_classifier()
    scores = logits(model, open_tokens("test"), "evaluate", processes).astype(np.float64)
    if not processes.is_rank_0:
        return
    raw, metadata = read_table(RAW / "test.parquet")
    names, config = metadata["labels"], model.config
    table, probabilities = raw.assign(**prediction_columns(scores, names)), softmax(scores, axis=1)
    uncalibrated = softmax((scores - config.calibration_bias) * config.calibration_temperature, axis=1)

    result = metrics.classification_metrics(table["label"].to_numpy(), probabilities)
    result |= calibration_metrics(table["label"].to_numpy(), probabilities, uncalibrated, settings.bins)
    result |= without_overlap(table)
    result |= against_baseline(table, names)
    result["above_threshold"] = above_threshold(table, settings.target_accuracy, settings.target_level)
    unrounded = {name: result[name] for name in ("mcnemar_p",) if name in result}  # a small p would become 0
    write_json(METRICS / "evaluate.json", metrics.rounded(result) | unrounded | {"n": len(table)})

    write_table(PREDICTIONS, with_deciding_words(table, settings.explained, model, tokenizer), labels=names)
    write_plots(table, probabilities, uncalibrated, names, settings.bins)


def check_same_inputs(processes: Processes) -> None:
    """Raise InputError in every process if their models or token ids differ, as on hosts without a shared folder."""
    if processes.count > 1:
        processes.check_equal(
            repr(sha256s(BASE, ADAPTER, TOKENS / "test.arrow")),
            "has another model or token ids than rank 0; a folder on a shared disk is needed",
        )


def calibration_metrics(labels: np.ndarray, probabilities: np.ndarray, uncalibrated: np.ndarray, bins: int) -> dict:
    """Return the calibration error, its 95% quantile by chance, and error, accuracy and log loss before calibration.

    Args:
        labels: (rows,) int.
        probabilities: (rows, labels), after the calibration.
        uncalibrated: (rows, labels), before it.
        bins: The number of bins of confidence.
    """
    return {
        "ece": metrics.expected_calibration_error(metrics.reliability(probabilities, labels, bins)),
        "ece_by_chance": metrics.calibration_error_by_chance(probabilities, bins),
        "ece_uncalibrated": metrics.expected_calibration_error(metrics.reliability(uncalibrated, labels, bins)),
        "accuracy_uncalibrated": float((uncalibrated.argmax(axis=1) == labels).mean()),
        "log_loss_uncalibrated": metrics.log_loss(labels, uncalibrated),
    }


def without_overlap(table: pd.DataFrame) -> dict[str, float]:
    """Return the accuracy on the texts of an official test split that the source's train split does not hold."""
    if "in_train" not in table or table["in_train"].all():
        return {}
    right = table["predicted"] == table["label"]
    return {"accuracy_without_overlap": float(right[~table["in_train"]].mean())}


def against_baseline(table: pd.DataFrame, names: list[str]) -> dict:
    """Compare the classifier with the baseline on the same texts.

    Returns:
        The baseline's accuracy and macro F1, the difference in accuracy with its p-value, and the metrics of both by
        label. If the baseline has learned nothing: the accuracy of guessing, and the classifier's metrics by label.
    """
    labels, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
    baseline_table, metadata = read_table(BASELINE)
    baseline = baseline_table["predicted"].to_numpy()
    right, baseline_right = predicted == labels, baseline == labels
    by_label = metrics.metrics_by_label(labels, predicted, names)
    baseline_by_label = metrics.metrics_by_label(labels, baseline, names)
    for name in names:
        by_label[name]["mean_probability"] = float(table[f"probability_{name}"].mean())
    if not metadata["learned"]:
        return {"guessing_accuracy": float(baseline_right.mean()), "labels": by_label}
    for name in names:
        by_label[name] |= {f"baseline_{k}": value for k, value in baseline_by_label[name].items() if k != "support"}
    return {
        "baseline_accuracy": float(baseline_right.mean()),
        "baseline_macro_f1": float(np.mean([row["f1"] for row in baseline_by_label.values() if row["support"]])),
        "difference": float(right.mean() - baseline_right.mean()),
        "mcnemar_p": float(f"{mcnemar(right, baseline_right):.3g}"),  # three significant digits
        "labels": by_label,
    }


def above_threshold(table: pd.DataFrame, target: float, level: float) -> dict[str, float]:
    """Return the confidence threshold that validation shows to reach the target, and its coverage and accuracy on test.

    If validation shows no threshold, the result has only the target, the level and the number of texts needed.
    """
    result = {"target": target, "level": level, "validation_texts_needed": rows_needed(target, level)}
    if (threshold := threshold_for(target, level)) is None:
        return result
    right = (table["predicted"] == table["label"]).to_numpy()
    return result | {"threshold": threshold} | metrics.metrics_above(threshold, table["confidence"].to_numpy(), right)


def with_deciding_words(table: pd.DataFrame, count: int, model, tokenizer) -> pd.DataFrame:
    """Return the table with the column decided_by: the deciding words of the `count` most confident mistakes."""
    mistakes = table[table["predicted"] != table["label"]].nlargest(count, "confidence")
    words = [explain_label(model, tokenizer, text).summary for text in texts_of(mistakes)]
    table = table.assign(decided_by="")
    table.loc[mistakes.index, "decided_by"] = words
    return table


def write_plots(table: pd.DataFrame, probabilities, uncalibrated, names: list[str], bins: int) -> None:
    """Write the data of the plots and the picture of the confusion matrix to metrics/."""
    from sklearn.metrics import confusion_matrix

    labels, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
    confusion = confusion_matrix(labels, predicted, labels=range(len(names)))
    write_csv(METRICS / "confusion.csv", confusion_table(confusion, names))
    confusion_figure(confusion, names, METRICS / "confusion.png")
    for name, curve in zip(("roc", "precision_recall"), curves(labels, probabilities, names), strict=True):
        write_csv(METRICS / f"{name}.csv", curve)
    before, after = (metrics.reliability(shares, labels, bins) for shares in (uncalibrated, probabilities))
    both = pd.concat([before.assign(calibration="before"), after.assign(calibration="after")])
    write_csv(METRICS / "reliability.csv", metrics.with_intervals(both).round(4))
    coverage = metrics.coverage_curve(table["confidence"].to_numpy(), predicted == labels)
    write_csv(METRICS / "coverage.csv", coverage.round(4))


if __name__ == "__main__":
    main(evaluate, distributed=True)
