"""Measure and show several labels for each text. task.py describes the functions."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from classifier.evaluation import label_sets
from classifier.evaluation import metrics as of_labels
from classifier.evaluation import tables as rows
from classifier.evaluation.confusion import LABELS_IN_MATRIX, confusion_figure, confusion_table
from classifier.evaluation.curves import curves
from classifier.evaluation.figures import coverage_figure, reliability_figure
from classifier.evaluation.intervals import wilson_interval, with_interval
from classifier.evaluation.label_sets import as_pairs, counts_by_row, f1_of, in_words, log_loss, mean_of
from classifier.evaluation.scored import Scored
from classifier.evaluation.sets import label_set_metrics
from classifier.evaluation.tasks.single_label import verdict_on
from classifier.files.formats import array_of
from classifier.files.places import METRICS, SPLITS
from classifier.tasks.label_sets import micro_f1
from classifier.tasks.probabilities import probability_array

HEADLINE = "micro_f1"
LOSS = "sigmoid cross-entropy of each label"
QUALITY = "share of texts whose labels are all right"
ROW_QUALITY = "subset_accuracy"
CARD = {
    "micro F1": "micro_f1",
    "macro F1": "macro_f1",
    "mean average precision": "mean_average_precision",
    "share of texts whose labels are all right": "subset_accuracy",
    "log loss": "log_loss",
    "expected calibration error": "ece",
}
RELIABILITY, COVERAGE = METRICS / "reliability.png", METRICS / "coverage.png"


def probabilities(scored: Scored) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities, (rows, names), after the calibration and before it."""
    from scipy.special import expit

    return expit(scored.scores), expit(scored.uncalibrated)


def metrics(scored: Scored) -> dict:
    """Return micro and macro F1, mean average precision, subset accuracy, log loss and calibration errors.

    Macro F1 and mean average precision are means over the labels that test texts have. Subset accuracy is the share of
    texts whose set of labels is right. Log loss and calibration error are those of all pairs of a text and a label.
    """
    labels, predicted = scored.labels, scored.predicted
    calibrated, uncalibrated = probabilities(scored)
    counts, right = counts_by_row(labels, predicted), (labels == predicted).all(axis=1)
    low, high = wilson_interval(right.sum(), len(labels))
    by_label = [row for row in metrics_by_label(scored).values() if row["support"]]
    return {
        **with_interval("micro_f1", lambda drawn: f1_of(counts[drawn]), len(labels)),
        "macro_f1": mean_of(by_label, "f1"),
        "mean_average_precision": mean_of(by_label, "average_precision"),
        "subset_accuracy": float(right.mean()),
        "subset_accuracy_low": low,
        "subset_accuracy_high": high,
        "log_loss": log_loss(labels, calibrated),
        **of_labels.calibration_errors(labels.ravel(), as_pairs(uncalibrated), as_pairs(calibrated), scored.bins),
        "micro_f1_uncalibrated": micro_f1(labels, (uncalibrated >= 0.5).astype(np.uint8)),
        "log_loss_uncalibrated": log_loss(labels, uncalibrated),
    }


def against_baseline(scored: Scored) -> dict:
    """Return the baseline's metrics, and the difference in micro F1 with its interval by a paired bootstrap."""
    labels, predicted = scored.labels, scored.predicted
    by_label = metrics_by_label(scored)
    mine, other = counts_by_row(labels, predicted), counts_by_row(labels, scored.baseline)
    if not scored.learned:
        return {"guessing_micro_f1": f1_of(other), "labels": by_label}
    return {
        "baseline_micro_f1": f1_of(other),
        "baseline_macro_f1": mean_of([row for row in by_label.values() if row["support"]], "baseline_f1"),
        **with_interval("difference", lambda drawn: f1_of(mine[drawn]) - f1_of(other[drawn]), len(labels)),
        "labels": by_label,
    }


@lru_cache(maxsize=1)  # average precision takes long; `metrics` and `against_baseline` both need it
def metrics_by_label(scored: Scored) -> dict[str, dict[str, float]]:
    """Return the metrics of each label, by its name (see label_sets.py), and the baseline's if it has learned."""
    predicted = {"": scored.predicted} | ({"baseline_": scored.baseline} if scored.learned else {})
    return label_sets.metrics_by_label(scored.labels, probabilities(scored)[0], predicted, scored.names)


def covered(scored: Scored, decision: dict) -> np.ndarray:
    return (scored.task.in_sets(probabilities(scored)[0], decision) | (scored.labels == 0)).all(axis=1)


def set_metrics(scored: Scored, decision: dict) -> dict:
    """Return the bounds, the coverage of the right labels that have a bound, and the size of the sets."""
    sets, bounds = scored.task.in_sets(probabilities(scored)[0], decision), decision["bounds"]
    bounded = {scored.names[number]: float(bounds[number]) for number in np.flatnonzero(~np.isnan(bounds))}
    has = (scored.labels == 1) & ~np.isnan(bounds)
    few = {"probability": bounded, "labels_without_bound": len(bounds) - len(bounded)}
    return few | label_set_metrics(sets, has, scored.names)


def tables(scored: Scored) -> dict[str, pd.DataFrame]:
    """Return the plots' data. The confusion table counts the predicted labels of the texts with each label."""
    calibrated, uncalibrated = probabilities(scored)
    labels = scored.labels
    right = (labels == scored.predicted).all(axis=1)
    roc, precision_recall = curves(labels.astype(bool), calibrated, scored.names)
    both = as_pairs(uncalibrated), as_pairs(calibrated)
    return {
        "confusion": confusion_table(together(scored), scored.names, support_of(scored)),
        "roc": roc,
        "precision_recall": precision_recall,
        "reliability": of_labels.before_and_after(labels.ravel(), *both, scored.bins),
        "coverage": of_labels.coverage_curve(scored.columns["confidence"], right).round(4),
    }


def together(scored: Scored) -> np.ndarray:
    """Return how many texts have the label of the row and the predicted label of the column, (labels, labels) int64.

    With more than LABELS_IN_MATRIX labels, table and picture have only the largest confusions. A right label then
    counts on the diagonal only, because it is no confusion with the text's other labels.
    """
    labels, predicted = scored.labels.astype(np.int64), scored.predicted.astype(np.int64)
    counts = labels.T @ predicted
    if len(scored.names) <= LABELS_IN_MATRIX:
        return counts
    return labels.T @ (predicted * (1 - labels)) + np.diag(counts.diagonal())


def draw(scored: Scored, path: Path) -> None:
    title = "Labels answered for the texts of each label, test split"
    confusion_figure(together(scored), scored.names, path, title, support_of(scored))


def support_of(scored: Scored) -> np.ndarray:
    """Return the number of texts with each label."""
    return scored.labels.sum(axis=0, dtype=np.int64)


def mistakes(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the texts whose set of labels is wrong, the most confident answers first."""
    labels, predicted = array_of(table["label"]), array_of(table["predicted"])
    wrong = (labels != predicted).any(axis=1)
    table = table.assign(label=in_words(labels, names), predicted=in_words(predicted, names), row=table.index + 1)
    return table[wrong].sort_values("confidence", ascending=False, kind="stable")


def report_tables(evaluate: dict, data: dict, labels: list[str], learned: bool) -> dict:
    none = [f"{data[f'{split}_without_labels']:.1%}" for split in SPLITS]
    return {
        "by_label": rows.label_rows(evaluate, labels, learned),
        "shares": rows.share_rows(data, labels),
        "more_shares": [["no label", *none]],
        "words_of": " of the most probable label",
        "confusion": [],
    }


def draw_report(curves: dict[str, pd.DataFrame], predictions: pd.DataFrame, evaluate: dict) -> None:
    """Draw the reliability of all pairs of a text and a label, and the accuracy of sets of labels."""
    probability = probability_array(predictions, list(evaluate["labels"])).ravel()
    reliability_figure(curves["reliability"], pd.Series(np.maximum(probability, 1 - probability)), RELIABILITY)
    coverage_figure(curves["coverage"], COVERAGE, evaluate["above_threshold"])


def sample_is_right(sample: dict) -> bool:
    return sorted(sample["labels"]) == sorted(sample["expected"])


def verdict(row: dict, names: list[str], threshold: float) -> str:
    """Return the set of labels as a sentence. Its confidence is that of the least certain label."""
    labels = ", ".join(name for name, answered in zip(names, row["predicted"], strict=True) if answered)
    return verdict_on(labels or "no label", row["confidence"], threshold)


def row_quality(table: pd.DataFrame) -> pd.Series:
    """Return whether the set of labels of each text is right."""
    return pd.Series((array_of(table["label"]) == array_of(table["predicted"])).all(axis=1), table.index)


def paired_values(table: pd.DataFrame, names: list[str]) -> dict[str, pd.Series]:
    """Return whether each set of labels is right, and the mean log loss of its labels."""
    labels = array_of(table["label"])
    probability = probability_array(table, names)
    losses = -np.log(np.maximum(np.where(labels, probability, 1 - probability), np.finfo(np.float64).eps))
    return {"subset_accuracy": row_quality(table), "log_loss": pd.Series(losses.mean(axis=1))}


def calibrated(scored: Scored) -> tuple[np.ndarray, np.ndarray]:
    probability, _ = probabilities(scored)
    return as_pairs(probability).reshape(*probability.shape, 2), scored.labels
