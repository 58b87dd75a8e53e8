"""ROC and precision-recall curves, as tables whose size is bounded for any number of rows and labels."""

from collections.abc import Callable

import numpy as np
import pandas as pd

LABELS_WITH_CURVES = 10  # with more labels, a table has the mean curve and the lowest curves
LOWEST = 5


def one_against_rest(labels: np.ndarray, names: list[str]) -> np.ndarray:
    """Return whether each row has each label, (rows, labels) bool, for the number of each row's label, (rows,).

    With two labels, the first column is False throughout, so that `curves` draws only those of label 1.
    """
    has = labels[:, None] == np.arange(len(names))
    return has & [False, True] if len(names) == 2 else has


def curves(has: np.ndarray, probabilities: np.ndarray, names: list[str], points: int = 200):
    """Return the ROC curve and the precision-recall curve as two tables with the column label.

    The curves of a label compare the texts with the label and those without it. A label that no row has, or that all
    rows have, has no curves. If more than LABELS_WITH_CURVES labels have curves, the tables hold only the mean curve
    and the lowest curves (see `table_of_curves`).

    Args:
        has: (rows, labels) bool, whether the row has the label.
        probabilities: (rows, labels).
        names: The names of the labels.
        points: The largest number of lines for each curve.
    """
    from sklearn import metrics

    roc, precision_recall = {}, {}
    for number in np.flatnonzero(has.any(axis=0) & ~has.all(axis=0)):
        positive, score = has[:, number], probabilities[:, number]
        fpr, tpr, _ = metrics.roc_curve(positive, score)
        precision, recall, _ = metrics.precision_recall_curve(positive, score, drop_intermediate=True)
        roc[names[number]], precision_recall[names[number]] = (fpr, tpr), (recall[::-1], precision[::-1])
    return (
        table_of_curves(roc, points, np.interp).rename(columns={"x": "false_positive_rate", "y": "true_positive_rate"}),
        table_of_curves(precision_recall, points, precision_at).rename(columns={"x": "recall", "y": "precision"}),
    )


def table_of_curves(
    by_label: dict[str, tuple[np.ndarray, np.ndarray]], points: int, value_at: Callable[..., np.ndarray]
) -> pd.DataFrame:
    """Return curves as a table with the columns label, x and y, in at most `points` lines for each curve.

    With more than LABELS_WITH_CURVES curves, the table has their mean, called "mean of N labels", and the LOWEST curves
    with the smallest area, in half as many lines for each.

    Args:
        by_label: The arrays x, which rises, and y of each label's curve.
        points: The largest number of lines for each curve.
        value_at: A function of (positions, x, y) that returns a curve's values at these positions.
    """
    if len(by_label) > LABELS_WITH_CURVES:
        points //= 2
        positions = np.linspace(0, 1, points)
        mean = np.mean([value_at(positions, x, y) for x, y in by_label.values()], axis=0)
        areas = {name: np.trapezoid(y, x) for name, (x, y) in by_label.items()}
        lowest = {name: by_label[name] for name in sorted(areas, key=areas.get)[:LOWEST]}
        by_label = {f"mean of {len(by_label)} labels": (positions, mean)} | lowest
    tables = []
    for name, (x, y) in by_label.items():
        kept = np.unique(np.linspace(0, len(x) - 1, points).round().astype(int))
        tables.append(pd.DataFrame({"label": name, "x": x[kept], "y": y[kept]}))
    return pd.concat(tables).round(4) if tables else pd.DataFrame(columns=["label", "x", "y"])


def precision_at(recalls: np.ndarray, recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Return the precision at the highest threshold that reaches each of `recalls`.

    Precision is not interpolated: between two points of the curve a straight line would be too high (Davis and
    Goadrich 2006, "The Relationship Between Precision-Recall and ROC Curves").

    >>> precision_at(np.array([0.2, 0.5, 0.6]), np.array([0, 0.5, 0.5, 1]), np.array([1, 1, 0.5, 0.4])).tolist()
    [1.0, 1.0, 0.4]
    """
    return precision[np.searchsorted(recall, recalls)]
