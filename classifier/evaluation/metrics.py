"""Metrics of a classifier's probabilities, and the tables of its reliability and its coverage.

Shapes: probabilities are (rows, labels) and sum to 1 in each row; labels, predicted labels, confidences and `right` are
(rows,). A label is a number from 0; its name stands at that place in `names`.
"""

from typing import Any

import numpy as np
import pandas as pd

from classifier.evaluation.intervals import wilson_interval


def classification_metrics(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Return accuracy with its 95% Wilson interval, precision, recall, f1, macro_f1, roc_auc and log_loss.

    With two labels, precision, recall, f1 and roc_auc are those of label 1. With more labels, they are means over the
    labels that have rows (roc_auc: one label against the rest). macro_f1 is always the mean over the labels that have
    rows. If label 1 of two labels has no row, precision, recall and f1 are left out. If all rows have the same label,
    roc_auc is left out.
    """
    from sklearn import metrics

    predicted, present = probabilities.argmax(axis=1), np.unique(labels)
    described = [1] if probabilities.shape[1] == 2 else present
    correct = int((predicted == labels).sum())
    low, high = wilson_interval(correct, len(labels))
    result = {"accuracy": correct / len(labels), "accuracy_low": low, "accuracy_high": high}
    mean = {"average": "macro", "zero_division": 0.0}
    if np.isin(described, present).all():
        shares = metrics.precision_recall_fscore_support(labels, predicted, labels=described, **mean)
        result |= dict(zip(("precision", "recall", "f1"), map(float, shares[:3]), strict=True))
    result["macro_f1"] = float(metrics.f1_score(labels, predicted, labels=present, **mean))
    if len(present) > 1:
        areas = [metrics.roc_auc_score(labels == number, probabilities[:, number]) for number in described]
        result["roc_auc"] = float(np.mean(areas))
    return result | {"log_loss": log_loss(labels, probabilities)}


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean negative logarithm of the actual label's probability."""
    from sklearn import metrics

    return float(metrics.log_loss(labels, summing_to_one(probabilities), labels=range(probabilities.shape[1])))


def summing_to_one(probabilities: np.ndarray) -> np.ndarray:
    """Return probabilities as float64, divided by the sum of each row, because scikit-learn checks the sums."""
    exact = probabilities.astype(np.float64)
    return exact / exact.sum(axis=1, keepdims=True)


def metrics_by_label(labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> dict[str, dict[str, float]]:
    """Return precision, recall, f1 and support (the number of rows) of each label, by the label's name.

    A label without rows has the support alone, 0.
    """
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(labels, predicted, labels=range(len(names)), zero_division=0.0)
    return {
        name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support)}
        if support
        else {"support": 0}
        for name, precision, recall, f1, support in zip(names, *columns, strict=True)
    }


def rounded(result: Any) -> Any:
    """Return a value or a dictionary, nested or not, with its floats rounded to four decimals, and 0.0 for -0.0."""
    if isinstance(result, dict):
        return {name: rounded(value) for name, value in result.items()}
    return (round(result, 4) or 0.0) if isinstance(result, float) else result


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> pd.DataFrame:
    """Return the mean confidence, the accuracy and the number of rows in each bin of confidence that has rows.

    The bins divide the range from 0 to 1 into equal widths. A bin includes its upper bound and not its lower bound.
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    table = pd.DataFrame({"bin": number, "confidence": confidence, "accuracy": correct, "count": 1})
    return table.groupby("bin").agg({"confidence": "mean", "accuracy": "mean", "count": "sum"}).reset_index(drop=True)


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of `reliability` with the columns low and high: the 95% Wilson interval of the accuracy."""
    right = (table["accuracy"] * table["count"]).round()
    table = table.copy()
    table[["low", "high"]] = [wilson_interval(k, n) for k, n in zip(right, table["count"], strict=True)]
    return table


def before_and_after(labels: np.ndarray, before: np.ndarray, after: np.ndarray, bins: int) -> pd.DataFrame:
    """Return the tables of `reliability` by the probabilities before and after the calibration as one table.

    The column calibration says "before" or "after". The columns low and high are the interval of the accuracy.
    """
    both = {"before": reliability(before, labels, bins), "after": reliability(after, labels, bins)}
    return with_intervals(pd.concat([table.assign(calibration=name) for name, table in both.items()])).round(4)


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Return the expected calibration error of a table of `reliability` (Guo et al. 2017).

    It is the mean difference between a bin's confidence and its accuracy, weighted by the number of rows.
    """
    return float(np.average((table["confidence"] - table["accuracy"]).abs(), weights=table["count"]))


def calibration_errors(labels: np.ndarray, before: np.ndarray, after: np.ndarray, bins: int) -> dict[str, float]:
    """Return the errors of the probabilities after and before the calibration, and the error by chance after it."""
    return {
        "ece": expected_calibration_error(reliability(after, labels, bins)),
        "ece_by_chance": calibration_error_by_chance(after, bins),
        "ece_uncalibrated": expected_calibration_error(reliability(before, labels, bins)),
    }


def calibration_error_by_chance(probabilities: np.ndarray, bins: int, draws: int = 1000) -> float:
    """Return the expected calibration error that correct probabilities would exceed in 5% of all cases.

    With few rows, the accuracy of a bin is far from its confidence by chance alone (Bröcker and Smith 2007,
    "Increasing the Reliability of Reliability Diagrams"). The result is the 95% quantile over `draws` simulations on
    as many rows. In a simulation, each answer is right with a probability equal to its confidence.
    """
    rng, confidence = np.random.default_rng(0), np.sort(probabilities.max(axis=1))
    counts = reliability(probabilities, probabilities.argmax(axis=1), bins)["count"]
    starts = np.cumsum([0, *counts[:-1]])  # the first row of each bin, since the confidences are sorted
    gaps = [np.add.reduceat((rng.random(len(confidence)) < confidence) - confidence, starts) for _ in range(draws)]
    return float(np.quantile(np.abs(gaps).sum(axis=1) / len(confidence), 0.95))


def coverage_curve(confidence: np.ndarray, right: np.ndarray, points: int = 100) -> pd.DataFrame:
    """Return the accuracy of the most confident rows for different shares of rows.

    Source: El-Yaniv and Wiener 2010, "On the Foundations of Noise-free Selective Classification".

    Returns:
        Columns coverage (the share of rows), accuracy (of these rows) and confidence (the lowest of them). The coverage
        rises from 1 / points to 1. Rows of equal confidence enter together, so there may be fewer lines than points.
    """
    table = pd.DataFrame({"confidence": confidence, "right": right, "count": 1})
    table = table.groupby("confidence").sum().sort_index(ascending=False).cumsum().reset_index()
    coverage = table["count"] / len(right)
    lines = np.searchsorted(coverage + 1e-9, np.arange(1, points + 1) / points)
    curve = {"coverage": coverage, "accuracy": table["right"] / table["count"], "confidence": table["confidence"]}
    return pd.DataFrame(curve).iloc[np.unique(np.minimum(lines, len(table) - 1))]


def metrics_above(threshold: float, confidence: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Return coverage and accuracy of the rows whose confidence is at least the threshold, with 95% intervals.

    Coverage is these rows' share of all rows. If there are no such rows, the result has no accuracy.
    """
    covered = right[confidence >= threshold]
    low, high = wilson_interval(len(covered), len(right))
    result = {"coverage": len(covered) / len(right), "coverage_low": low, "coverage_high": high}
    if len(covered):
        low, high = wilson_interval(covered.sum(), len(covered))
        result |= {"accuracy": float(covered.mean()), "accuracy_low": low, "accuracy_high": high}
    return result
