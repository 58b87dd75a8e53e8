"""The confusion matrix: its table, and its picture, which for many labels shows the largest confusions alone."""

from pathlib import Path

import numpy as np
import pandas as pd

from classifier.evaluation.canvas import BLUE, WIDTH, new_figure, save_figure
from classifier.evaluation.fonts import drawable, shortened
from classifier.evaluation.tables import percent

LABELS_IN_MATRIX = 20  # with more labels, table and picture have the largest confusions only
PAIRS_IN_TABLE = 1000
BARS = 20
LONGEST_NAME = 26  # characters of a label in a picture


def confusion_table(counts: np.ndarray, names: list[str], totals: np.ndarray | None = None) -> pd.DataFrame:
    """Return a confusion matrix as a table with a row for each pair of labels (actual, predicted).

    With at most LABELS_IN_MATRIX labels, the table has every pair, in the order of the names. With more labels, it has
    the PAIRS_IN_TABLE largest confusions, the largest first. A confusion is a pair of different labels that has rows.

    Args:
        counts: (labels, labels) int, with a row for each actual label and a column for each predicted label.
        names: The names of the labels.
        totals: The number of texts with each actual label, (labels,); None if each text has one predicted label.

    Returns:
        Columns actual, predicted, count, and share (of the actual label's rows; 0 for a label without rows).
    """
    pairs = pd.MultiIndex.from_product([names, names], names=["actual", "predicted"])
    columns = {"count": counts.ravel(), "share": shares_of_actual(counts, totals).ravel().round(4)}
    table = pd.DataFrame(columns, pairs).reset_index()
    if len(names) <= LABELS_IN_MATRIX:
        return table
    table = table[(table["actual"] != table["predicted"]) & (table["count"] > 0)]
    return table.sort_values("count", ascending=False, kind="stable")[:PAIRS_IN_TABLE]


def shares_of_actual(counts: np.ndarray, totals: np.ndarray | None = None) -> np.ndarray:
    """Return a confusion matrix with each count divided by its row's total, or by its sum; 0 in a row of zeros."""
    totals = counts.sum(axis=1) if totals is None else totals
    return counts / np.maximum(totals, 1)[:, None]


def confusion_figure(
    counts: np.ndarray,
    names: list[str],
    path: Path,
    title: str = "Confusion matrix, test split",
    totals: np.ndarray | None = None,
) -> None:
    """Draw a confusion matrix or, with more than LABELS_IN_MATRIX labels, its largest confusions as bars.

    Args:
        counts: (labels, labels) int, with a row for each actual label and a column for each predicted label.
        names: The names of the labels.
        path: The PNG file.
        title: The title of the matrix.
        totals: The number of texts with each actual label, (labels,); None if each text has one predicted label.
    """
    names, note = drawable(names)
    names, shares = shortened(names, LONGEST_NAME), shares_of_actual(counts, totals)
    is_matrix = len(names) <= LABELS_IN_MATRIX
    has_texts = (counts.sum(axis=1) if totals is None else totals) > 0
    fig = matrix_figure(counts, shares, has_texts, names, title) if is_matrix else bars_figure(counts, shares, names)
    if note:
        fig.supxlabel(note, fontsize=7, ha="left", x=0.02)
    save_figure(fig, path)


def matrix_figure(counts: np.ndarray, shares: np.ndarray, has_texts: np.ndarray, names: list[str], title: str):
    """Return the figure of a confusion matrix. A cell shows its count, and the share of the actual label's texts.

    With more than four labels, a cell with the count 0 stays empty. The row of a label without texts says "none
    there".
    """
    k, longest = len(names), max(len(name) for name in names)
    left = 0.75 + 0.075 * longest  # inches for the names of the rows
    cell = min(1.15, (WIDTH - left) / k)
    upright = 0.085 * longest > cell  # too long for horizontal names of the columns
    fig, axes = new_figure(left + k * cell, 1.0 + 0.85 * k * cell + (0.075 * longest if upright else 0.15))
    size = min(10.5, 20 * cell)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    shown = has_texts[:, None] if k <= 4 else counts
    for row, column in zip(*np.nonzero(np.broadcast_to(shown, counts.shape)), strict=True):
        text = f"{counts[row, column]:,}\n{percent(shares[row, column], 1 if k <= 10 else 0)}"
        color = "white" if shares[row, column] > 0.75 else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=size, linespacing=1.25, color=color)
    for row in np.flatnonzero(~has_texts):
        axes.text((k - 1) / 2, row, "none there", ha="center", va="center", fontsize=size)
    axes.set(xlabel="predicted", ylabel="actual", title=title)
    axes.set_yticks(range(k), names)
    axes.set_xticks(range(k), names, rotation=90 if upright else 0)
    axes.set_xticks(np.arange(1, k) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, k) - 0.5, minor=True)
    axes.grid(False)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    return fig


def bars_figure(counts: np.ndarray, shares: np.ndarray, names: list[str]):
    """Return the figure of the BARS largest confusions as bars, each with its count and share of the actual label."""
    confusions = np.where(np.eye(len(names), dtype=bool), 0, counts)
    order = np.argsort(-confusions, axis=None, kind="stable")[:BARS]
    pairs = [pair for pair in zip(*np.unravel_index(order, counts.shape), strict=True) if confusions[pair]]
    kinds = np.count_nonzero(confusions)
    fig, axes = new_figure(WIDTH, 1.2 + 0.26 * max(len(pairs), 1))
    bars = axes.barh(range(len(pairs)), [confusions[pair] for pair in pairs], color=BLUE, height=0.7)
    axes.bar_label(
        bars, [f"{confusions[pair]:,} ({percent(shares[pair], 0)})" for pair in pairs], padding=4, fontsize=8.5
    )
    axes.set_yticks(range(len(pairs)), [f"{names[row]} → {names[column]}" for row, column in pairs])
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.02)
    which = f"{len(pairs)} largest of {kinds:,} confusions" if len(pairs) < kinds else "Confusions"
    fig.suptitle(f"{which}, test split", x=0.02, ha="left", fontsize=11, fontweight="bold")
    axes.set(xlabel="texts, and their share of the actual label", ylabel="actual → predicted")
    axes.grid(axis="y", visible=False)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(axis="y", length=0)
    return fig
