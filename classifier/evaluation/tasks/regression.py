"""Measure and show numbers. task.py describes the functions."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from classifier.evaluation.canvas import BLUE, GREY, new_figure, save_figure
from classifier.evaluation.confusion import confusion_table
from classifier.evaluation.intervals import wilson_interval, with_interval
from classifier.evaluation.number_figures import error_figure, interval_figure
from classifier.evaluation.scored import Scored
from classifier.evaluation.sets import share_with_interval
from classifier.files.places import METRICS, SPLITS

HEADLINE = "rmse"
LOSS = "squared error of the standardised numbers"
QUALITY = "mean absolute error"
ROW_QUALITY = "absolute_error"
CARD = {
    "RMSE": "rmse",
    "mean absolute error": "mae",
    "R²": "r2",
    "Pearson correlation": "pearson",
    "Spearman correlation": "spearman",
    "share of numbers inside the 90% interval": "interval_coverage",
}
PARTS = 5  # ranges in the table of numbers against predictions; each has a fifth of the test texts' numbers
LEVELS = np.arange(1, 20) / 20  # shares of texts whose number an interval should hold
POINTS = 2000  # in the picture


def rmse(errors: np.ndarray) -> float:
    """Return the root mean square of errors."""
    return float(np.sqrt((errors**2).mean()))


def metrics(scored: Scored) -> dict:
    """Return RMSE with its interval, MAE, R², Pearson's and Spearman's correlation, and the coverage of the interval.

    The interval of the RMSE is by the bootstrap. A correlation is left out if all numbers or predictions are equal.
    """
    from scipy.stats import pearsonr, spearmanr

    labels, predicted = scored.labels, scored.predicted
    errors = predicted - labels
    result = with_interval("rmse", lambda rows: rmse(errors[rows]), len(errors))
    result |= {"mae": float(np.abs(errors).mean()), "r2": scored.task.score(labels, predicted)}
    if labels.std() and predicted.std():
        result |= {"pearson": float(pearsonr(labels, predicted)[0]), "spearman": float(spearmanr(labels, predicted)[0])}
    if scored.decision["margin"] is not None:
        inside = share_with_interval(int(covered(scored, scored.decision).sum()), len(labels))
        result |= {f"interval_{name}": value for name, value in inside.items()}
        result["interval_width"] = 2 * scored.decision["margin"]
    return result


def against_baseline(scored: Scored) -> dict:
    """Return the baseline's RMSE, and the difference with its interval by a paired bootstrap. Lower is better."""
    mine, other = scored.predicted - scored.labels, scored.baseline - scored.labels
    if not scored.learned:
        return {"guessing_rmse": rmse(other)}
    return {
        "baseline_rmse": rmse(other),
        "baseline_mae": float(np.abs(other).mean()),
        "baseline_r2": scored.task.score(scored.labels, scored.baseline),
        **with_interval("difference", lambda rows: rmse(mine[rows]) - rmse(other[rows]), len(mine)),
    }


def covered(scored: Scored, decision: dict) -> np.ndarray:
    columns = scored.task.prediction_columns(scored.scores, scored.names, decision)
    return (columns["low"] <= scored.labels) & (scored.labels <= columns["high"])


def set_metrics(scored: Scored, decision: dict) -> dict:
    right, margin = int(covered(scored, decision).sum()), decision["margin"]
    return {"margin": margin, **share_with_interval(right, len(scored.labels)), "width": 2 * margin}


def tables(scored: Scored) -> dict[str, pd.DataFrame]:
    """Return the plots' data.

    The confusion table counts texts by the range of the number and the range of the prediction. The ranges cut the
    numbers, not the predictions, into fifths. The reliability table has the share of texts whose number lies in an
    interval, and the share that the interval should hold.
    """
    empty = {
        "roc": ["label", "false_positive_rate", "true_positive_rate"],
        "precision_recall": ["label", "recall", "precision"],
        "coverage": ["coverage", "accuracy", "confidence"],
    }
    without = {name: pd.DataFrame(columns=columns) for name, columns in empty.items()}
    return {"confusion": fifths(scored), "reliability": interval_coverage(scored)} | without


def fifths(scored: Scored) -> pd.DataFrame:
    """Return how many texts have their number in one range and their prediction in the same or another range.

    The ranges cut the numbers of the test texts into fifths.
    """
    edges = np.unique(np.quantile(scored.labels, np.arange(1, PARTS) / PARTS))
    digits = next(digits for digits in range(4, 18) if len({f"{edge:.{digits}g}" for edge in edges}) == len(edges))
    ends = [f"below {edges[0]:.{digits}g}", *(f"from {edge:.{digits}g}" for edge in edges)]
    actual, predicted = (np.digitize(values, edges) for values in (scored.labels, scored.predicted))
    counts = np.zeros((len(ends), len(ends)), dtype=np.int64)
    np.add.at(counts, (actual, predicted), 1)
    return confusion_table(counts, ends)


def interval_coverage(scored: Scored) -> pd.DataFrame:
    """Return the share of test texts in the intervals of several levels, as a table like that of a reliability plot."""
    residuals = np.sort((scored.validation["label"] - scored.validation["unseen_predicted"]).abs())
    errors, rows = np.abs(scored.predicted - scored.labels), []
    for level in LEVELS:
        place = math.ceil(round((len(residuals) + 1) * level, 6))  # 20 * 0.55 is a little more than 11
        if place <= len(residuals):
            inside = int((errors <= residuals[place - 1]).sum())
            low, high = wilson_interval(inside, len(errors))
            rows.append((level, inside / len(errors), len(errors), low, high, "after"))
    columns = ["confidence", "accuracy", "count", "low", "high", "calibration"]
    return pd.DataFrame(rows, columns=columns).round(4)


def draw(scored: Scored, path: Path) -> None:
    """Draw the predictions of at most POINTS texts against their numbers."""
    chosen = np.unique(np.linspace(0, len(scored.labels) - 1, POINTS).round().astype(int))
    labels, predicted = scored.labels[chosen], scored.predicted[chosen]
    low, high = min(labels.min(), predicted.min()), max(labels.max(), predicted.max())
    fig, axes = new_figure(5.6, 5.2)
    axes.plot([low, high], [low, high], ":", color=GREY, linewidth=1.2, label="predicted = actual")
    if (margin := scored.decision["margin"]) is not None:
        band = [low - margin, high - margin], [low + margin, high + margin]
        axes.fill_between([low, high], *band, color=GREY, alpha=0.15, linewidth=0, label="90% interval")
    axes.plot(labels, predicted, "o", color=BLUE, markersize=3, alpha=0.35, markeredgewidth=0)
    axes.set(xlabel="actual", ylabel="predicted", title="Predicted against actual, test split")
    axes.legend(loc="upper left")
    save_figure(fig, path)


def mistakes(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the predictions whose interval misses the number, the largest error first; without intervals, all."""
    errors = (table["predicted"] - table["label"]).abs()
    missed = ~((table["low"] <= table["label"]) & (table["label"] <= table["high"]))
    rows = table.assign(error=errors, row=table.index + 1)[missed]
    return rows.sort_values("error", ascending=False, kind="stable")


def report_tables(evaluate: dict, data: dict, labels: list[str], learned: bool) -> dict:
    parts = {"mean": "mean", "sd": "standard deviation", "lowest": "lowest", "highest": "highest"}
    return {"shares": [[words, *(data[f"{split}_{part}"] for split in SPLITS)] for part, words in parts.items()]}


def draw_report(curves: dict[str, pd.DataFrame], predictions: pd.DataFrame, evaluate: dict) -> None:
    interval_figure(curves["reliability"], METRICS / "reliability.png")
    error_figure(row_quality(predictions), METRICS / "coverage.png")


def sample_is_right(sample: dict) -> bool:
    """Return whether the interval holds the expected number."""
    return sample["low"] is not None and sample["low"] <= sample["expected"] <= sample["high"]


def verdict(row: dict, names: list[str], threshold: float) -> str:
    """Return the number and its interval, if there is one, as a sentence."""
    if math.isnan(row["low"]):
        return f"**{row['predicted']:.4g}**."
    return f"**{row['predicted']:.4g}**, with a 90% interval from {row['low']:.4g} to {row['high']:.4g}."


def row_quality(table: pd.DataFrame) -> pd.Series:
    """Return the absolute error of each text."""
    return (table["predicted"] - table["label"]).abs()


def paired_values(table: pd.DataFrame, names: list[str]) -> dict[str, pd.Series]:
    """Return the absolute and the squared error of each text."""
    error = row_quality(table)
    return {"absolute_error": error, "squared_error": error**2}


def calibrated(scored: Scored) -> None:
    return None
