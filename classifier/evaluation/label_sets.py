"""Measure sets of labels, and write them in words.

Shapes: labels and predicted labels are (rows, names) of 0 and 1; probabilities are (rows, names).
"""

import numpy as np

from classifier.evaluation import metrics
from classifier.tasks.label_sets import f1

KEYS = ("precision", "recall", "f1")


def f1_of(counts: np.ndarray) -> float:
    """Return the micro F1 of all rows; 1 if no row has an actual or a predicted label.

    counts: The numbers of each row, (rows, 3): predicted labels that are right, predicted labels, actual labels.
    """
    return f1(*counts.sum(axis=0))


def counts_by_row(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the counts of each row that `f1_of` takes."""
    return np.stack([(labels & predicted).sum(axis=1), predicted.sum(axis=1), labels.sum(axis=1)], axis=1).astype(int)


def as_pairs(probability: np.ndarray) -> np.ndarray:
    """Return the probabilities of "no" and "yes" of each pair of a text and a label, (rows times names, 2)."""
    flat = probability.ravel()
    return np.column_stack([1 - flat, flat])


def log_loss(labels: np.ndarray, probability: np.ndarray) -> float:
    """Return the mean cross-entropy of all pairs of a text and a label."""
    return metrics.log_loss(labels.ravel(), as_pairs(probability))


def in_words(labels: np.ndarray, names: list[str]) -> list[str]:
    """Return the names of each row's labels, "none" without one."""
    return [", ".join(names[number] for number in np.flatnonzero(row)) or "none" for row in labels]


def metrics_by_label(
    labels: np.ndarray, probability: np.ndarray, predicted: dict[str, np.ndarray], names: list[str]
) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1, support, average precision and mean probability of each label, by its name.

    A label without test texts has only its support, 0, and its mean probability.

    Args:
        labels: The labels.
        probability: The probabilities.
        predicted: Predicted labels. The key is put before the names of their precision, recall and F1.
        names: The names of the labels.
    """
    from sklearn.metrics import average_precision_score, precision_recall_fscore_support

    shares = {start: precision_recall_fscore_support(labels, p, zero_division=0.0) for start, p in predicted.items()}
    result = {}
    for number, name in enumerate(names):
        support = int(labels[:, number].sum())
        row = {"support": support, "mean_probability": float(probability[:, number].mean())}
        if support:
            row["average_precision"] = float(average_precision_score(labels[:, number], probability[:, number]))
            for start, shares_of_labels in shares.items():
                row |= {f"{start}{key}": float(shares_of_labels[place][number]) for place, key in enumerate(KEYS)}
        result[name] = row
    return result


def mean_of(by_label: list[dict], key: str) -> float:
    """Return the mean of a metric over labels; 0 if there is none."""
    return float(np.mean([row[key] for row in by_label])) if by_label else 0.0
