"""Measure and show ratings. task.py describes the functions."""

import numpy as np
import pandas as pd

from classifier.evaluation.intervals import with_interval
from classifier.evaluation.scored import Scored
from classifier.evaluation.tasks import single_label

HEADLINE = "quadratic_kappa"
LOSS = "cross-entropy with soft labels"
QUALITY = ROW_QUALITY = single_label.QUALITY
CARD = {
    "quadratic kappa": "quadratic_kappa",
    "accuracy": "accuracy",
    "mean distance of the ratings": "mae",
    "mean distance of the expected values": "mae_expected",
    "log loss": "log_loss",
    "expected calibration error": "ece",
}

covered = single_label.covered
set_metrics = single_label.set_metrics
tables = single_label.tables
draw = single_label.draw
mistakes = single_label.mistakes
report_tables = single_label.report_tables
draw_report = single_label.draw_report
row_quality = single_label.row_quality
calibrated = single_label.calibrated


def quadratic_kappa(labels: np.ndarray, predicted: np.ndarray, count: int) -> float:
    """Return Cohen's kappa with quadratic weights; 1 if all ratings and predictions are equal.

    scikit-learn's cohen_kappa_score, which returns the same number, is too slow for a bootstrap.
    """
    matrix = np.bincount(labels * count + predicted, minlength=count**2).reshape(count, count)
    weights = np.subtract.outer(np.arange(count), np.arange(count)) ** 2
    by_chance = np.outer(matrix.sum(axis=1), matrix.sum(axis=0)) / len(labels)
    expected = (weights * by_chance).sum()
    return float(1 - (weights * matrix).sum() / expected) if expected else 1.0


def metrics(scored: Scored) -> dict:
    """Return kappa with its interval, the mean absolute errors, and the metrics of single labels.

    mae is the error of the predicted ratings, and mae_expected the error of the expected values.
    """
    labels, predicted, count = scored.labels, scored.predicted, len(scored.names)
    ratings = np.array([int(name) for name in scored.names])

    def kappa(rows: np.ndarray) -> float:
        return quadratic_kappa(labels[rows], predicted[rows], count)

    return {
        **with_interval("quadratic_kappa", kappa, len(labels)),
        "mae": float(np.abs(labels - predicted).mean()),
        "mae_expected": float(np.abs(ratings[labels] - scored.columns["expected"]).mean()),
        **single_label.metrics(scored),
    }


def against_baseline(scored: Scored) -> dict:
    """Return the baseline's metrics, and the difference in kappa with its interval by a paired bootstrap."""
    labels, count = scored.labels, len(scored.names)
    by_label = single_label.metrics_by_label(scored)
    accuracy = float((scored.baseline == labels).mean())
    if not scored.learned:
        return {"guessing_accuracy": accuracy, "labels": by_label}

    def difference(rows: np.ndarray) -> float:
        mine, other = (quadratic_kappa(labels[rows], p[rows], count) for p in (scored.predicted, scored.baseline))
        return mine - other

    return {
        "baseline_quadratic_kappa": quadratic_kappa(labels, scored.baseline, count),
        "baseline_accuracy": accuracy,
        "baseline_mae": float(np.abs(labels - scored.baseline).mean()),
        **with_interval("difference", difference, len(labels)),
        "labels": by_label,
    }


def sample_is_right(sample: dict) -> bool:
    return sample["rating"] == sample["expected"]


def verdict(row: dict, names: list[str], threshold: float) -> str:
    return f"{single_label.verdict(row, names, threshold)} The expected value is {row['expected']:.2f}."


def paired_values(table: pd.DataFrame, names: list[str]) -> dict[str, pd.Series]:
    """Return the values of single labels, and the absolute error of each rating."""
    error = (table["label"] - table["predicted"]).abs()
    return single_label.paired_values(table, names) | {"absolute_error": error}
