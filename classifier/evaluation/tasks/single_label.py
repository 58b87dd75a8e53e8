"""Measure and show single labels. task.py describes the functions."""

from pathlib import Path

import numpy as np
import pandas as pd

from classifier.evaluation import metrics as of_labels
from classifier.evaluation import tables as rows
from classifier.evaluation.confusion import confusion_figure, confusion_table
from classifier.evaluation.curves import curves, one_against_rest
from classifier.evaluation.figures import coverage_figure, reliability_figure
from classifier.evaluation.intervals import mcnemar
from classifier.evaluation.markdown import verbatim
from classifier.evaluation.scored import Scored
from classifier.evaluation.sets import label_set_metrics
from classifier.files.places import METRICS
from classifier.tasks.probabilities import probability_array
from classifier.tasks.single_label import UNCERTAIN

HEADLINE = "accuracy"
LOSS = "cross-entropy"
QUALITY = ROW_QUALITY = "accuracy"
CARD = {
    "accuracy": "accuracy",
    "F1": "f1",
    "ROC AUC": "roc_auc",
    "log loss": "log_loss",
    "expected calibration error": "ece",
}


def probabilities(scored: Scored) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities, (rows, names), after the calibration and before it."""
    from scipy.special import softmax

    return softmax(scored.scores, axis=1), softmax(scored.uncalibrated, axis=1)


def metrics(scored: Scored) -> dict:
    calibrated, uncalibrated = probabilities(scored)
    return {
        **of_labels.classification_metrics(scored.labels, calibrated),
        **of_labels.calibration_errors(scored.labels, uncalibrated, calibrated, scored.bins),
        "accuracy_uncalibrated": float((uncalibrated.argmax(axis=1) == scored.labels).mean()),
        "log_loss_uncalibrated": of_labels.log_loss(scored.labels, uncalibrated),
    }


def against_baseline(scored: Scored) -> dict:
    """Compare the classifier with the baseline on the same texts.

    Returns:
        The baseline's accuracy and macro F1, the difference in accuracy with its p-value, and the metrics of both by
        label. If the baseline has learned nothing: the accuracy of guessing, and the classifier's metrics by label.
    """
    right, baseline_right = scored.predicted == scored.labels, scored.baseline == scored.labels
    by_label = metrics_by_label(scored)
    if not scored.learned:
        return {"guessing_accuracy": float(baseline_right.mean()), "labels": by_label}
    f1 = [row["baseline_f1"] for row in by_label.values() if row["support"]]
    return {
        "baseline_accuracy": float(baseline_right.mean()),
        "baseline_macro_f1": float(np.mean(f1)),
        "difference": float(right.mean() - baseline_right.mean()),
        "mcnemar_p": float(f"{mcnemar(right, baseline_right):.3g}"),  # three significant digits
        "labels": by_label,
    }


def metrics_by_label(scored: Scored) -> dict[str, dict[str, float]]:
    """Return the metrics of each label, its mean probability and, if the baseline has learned, the baseline's metrics.

    A label without rows has only its support, 0, and its mean probability.
    """
    by_label = of_labels.metrics_by_label(scored.labels, scored.predicted, scored.names)
    baseline = of_labels.metrics_by_label(scored.labels, scored.baseline, scored.names) if scored.learned else {}
    for name, row in by_label.items():
        row["mean_probability"] = float(scored.columns[f"probability_{name}"].mean())
        row |= {f"baseline_{key}": value for key, value in baseline.get(name, {}).items() if key != "support"}
    return by_label


def covered(scored: Scored, decision: dict) -> np.ndarray:
    return scored.task.in_sets(probabilities(scored)[0], decision)[np.arange(len(scored.labels)), scored.labels]


def set_metrics(scored: Scored, decision: dict) -> dict:
    sets = scored.task.in_sets(probabilities(scored)[0], decision)
    has = scored.labels[:, None] == np.arange(len(scored.names))
    return {"probability": decision["bound"]} | label_set_metrics(sets, has, scored.names)


def tables(scored: Scored) -> dict[str, pd.DataFrame]:
    calibrated, uncalibrated = probabilities(scored)
    right = scored.predicted == scored.labels
    roc, precision_recall = curves(one_against_rest(scored.labels, scored.names), calibrated, scored.names)
    return {
        "confusion": confusion_table(confusion(scored), scored.names),
        "roc": roc,
        "precision_recall": precision_recall,
        "reliability": of_labels.before_and_after(scored.labels, uncalibrated, calibrated, scored.bins),
        "coverage": of_labels.coverage_curve(scored.columns["confidence"], right).round(4),
    }


def confusion(scored: Scored) -> np.ndarray:
    """Return the confusion matrix, (labels, labels), with a row for each actual label."""
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(scored.labels, scored.predicted, labels=range(len(scored.names)))


def draw(scored: Scored, path: Path) -> None:
    confusion_figure(confusion(scored), scored.names, path)


def mistakes(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the wrong predictions, the most confident first."""
    wrong = table[table["label"] != table["predicted"]].assign(row=lambda wrong: wrong.index + 1)
    wrong = wrong.sort_values("confidence", ascending=False, kind="stable")
    return wrong.assign(**{column: [names[number] for number in wrong[column]] for column in ("label", "predicted")})


def report_tables(evaluate: dict, data: dict, labels: list[str], learned: bool) -> dict:
    return {
        "comparison": rows.comparison_rows(evaluate, labels, learned),
        "by_label": rows.label_rows(evaluate, labels, learned),
        "mean": rows.mean_over_labels(evaluate, labels),
        "shares": rows.share_rows(data, labels),
        "confusion": rows.confusion_rows(labels),
    }


def draw_report(curves: dict[str, pd.DataFrame], predictions: pd.DataFrame, evaluate: dict) -> None:
    reliability_figure(curves["reliability"], predictions["confidence"], METRICS / "reliability.png")
    coverage_figure(curves["coverage"], METRICS / "coverage.png", evaluate["above_threshold"])


def sample_is_right(sample: dict) -> bool:
    return sample["label"] == sample["expected"]


def verdict(row: dict, names: list[str], threshold: float) -> str:
    return verdict_on(names[row["predicted"]], row["confidence"], threshold)


def verdict_on(label: str, confidence: float, threshold: float) -> str:
    """Return a label with its confidence as a sentence."""
    label = verbatim(label)
    if not threshold:
        return f"**{label}** with a confidence of {confidence:.2%}."
    if confidence < threshold:
        return f"**{UNCERTAIN}**: {label} has a confidence of {confidence:.2%}, below the threshold of {threshold:.2%}."
    return f"**{label}** with a confidence of {confidence:.2%}, which reaches the threshold of {threshold:.2%}."


def row_quality(table: pd.DataFrame) -> pd.Series:
    """Return whether each answer is right."""
    return table["label"] == table["predicted"]


def paired_values(table: pd.DataFrame, names: list[str]) -> dict[str, pd.Series]:
    """Return whether each answer is right, and its log loss, clipped as in scikit-learn's log_loss."""
    probability = probability_array(table, names)[np.arange(len(table)), table["label"]]
    losses = -np.log(np.maximum(probability, np.finfo(np.float64).eps))
    return {"accuracy": row_quality(table), "log_loss": pd.Series(losses)}


def calibrated(scored: Scored) -> tuple[np.ndarray, np.ndarray]:
    return probabilities(scored)[0], scored.labels
