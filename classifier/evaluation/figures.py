"""The pictures of the report: PNG files with the same bytes in every run, readable in grey and on a dark page."""

from pathlib import Path

import numpy as np
import pandas as pd

from classifier.files.writing import replace_file

LABELS_IN_FULL = 30  # a confusion matrix of more labels has no numbers in its cells and does not grow further


def new_figure(width: float = 5.0, height: float = 4.0, columns: int = 1):
    """Return (figure, axes) of matplotlib, without the global state of pyplot.

    Args:
        width: Inches.
        height: Inches.
        columns: The number of plots side by side. If there are several plots, axes is an array.
    """
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["text.parse_math"] = False  # else a label such as "$5 or $6" would be set as a formula
    fig = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    return fig, fig.subplots(ncols=columns)


def save_figure(fig, path: Path) -> None:
    """Write a figure as PNG at 120 dots per inch."""
    with replace_file(path) as part:
        # Software: None leaves the version of matplotlib out of the file.
        fig.savefig(part, format="png", dpi=120, bbox_inches="tight", metadata={"Software": None})


def confusion_figure(counts: np.ndarray, names: list[str], path: Path) -> None:
    """Draw a confusion matrix, coloured by the share of the actual label.

    Args:
        counts: (labels, labels) int, with a row for each actual label and a column for each predicted label.
        names: The names of the labels.
        path: The PNG file.
    """
    longest, shown = max(len(name) for name in names), min(len(names), LABELS_IN_FULL)
    fig, axes = new_figure(2 + 0.08 * longest + 0.8 * shown, 1.6 + 0.8 * shown)
    shares = counts / counts.sum(axis=1, keepdims=True)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape) if len(names) <= LABELS_IN_FULL else ():
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}\n{shares[row, column]:.1%}",
            ha="center",
            va="center",
            color="white" if shares[row, column] > 0.6 else "black",
        )
    axes.set(
        xlabel="predicted",
        ylabel="actual",
        title="Confusion matrix, test split",
        xticks=range(len(names)),
        yticks=range(len(names)),
    )
    axes.tick_params(labelsize=10 * shown / len(names))
    axes.set_yticklabels(names)
    if longest > 9:  # too long for horizontal labels
        axes.set_xticklabels(names, rotation=30, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticklabels(names)
    fig.colorbar(image, label="share of the actual label", format="{x:.0%}")
    save_figure(fig, path)


def training_figure(training: pd.DataFrame, validation: pd.DataFrame, path: Path) -> None:
    """Draw the loss, and beside it the validation accuracy, against the optimizer step.

    Args:
        training: Columns step and loss.
        validation: Columns step, loss and accuracy.
        path: The PNG file.
    """
    fig, (loss, accuracy) = new_figure(9, 3.6, columns=2)
    loss.plot(training["step"], training["loss"], color="0.65", label="training")
    loss.plot(validation["step"], validation["loss"], "o--", color="black", label="validation")
    loss.set(xlabel="step", ylabel="cross-entropy (nats)", title="Loss", ylim=(0, None))
    loss.legend(frameon=False)
    accuracy.plot(validation["step"], validation["accuracy"], "o-", color="tab:blue")
    accuracy.set(xlabel="step", ylabel="accuracy", title="Validation accuracy", xlim=loss.get_xlim())
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
    save_figure(fig, path)


def reliability_figure(table: pd.DataFrame, path: Path) -> None:
    """Draw accuracy against confidence for each bin, before and after calibration.

    The area of a point grows with the share of texts in its bin.

    Args:
        table: Columns calibration ("before" or "after"), confidence, accuracy and count.
        path: The PNG file.
    """
    fig, axes = new_figure()
    axes.plot([0, 1], [0, 1], ":", color="0.5", label="perfect")
    for name, rows in table.groupby("calibration", sort=False):
        color, line, marker = ("0.55", "--", "s") if name == "before" else ("tab:blue", "-", "o")
        axes.plot(rows["confidence"], rows["accuracy"], line, label=f"{name} calibration", color=color)
        area = 15 + 300 * rows["count"] / rows["count"].sum()  # square points, so that a single text can be seen
        axes.scatter(rows["confidence"], rows["accuracy"], area, color=color, marker=marker, alpha=0.8)
    low = min(0.5, table["confidence"].min(), table["accuracy"].min()) - 0.02
    axes.set(
        xlabel="confidence", ylabel="accuracy", title="Reliability, test split", xlim=(low, 1.02), ylim=(low, 1.02)
    )
    axes.legend(frameon=False)
    save_figure(fig, path)


def coverage_figure(table: pd.DataFrame, path: Path) -> None:
    """Draw the accuracy and the lowest confidence of the most confident texts against their share of all texts.

    Args:
        table: Columns coverage, accuracy and confidence, as `coverage_curve` returns them.
        path: The PNG file.
    """
    fig, axes = new_figure(6.4, 4)
    axes.plot(table["coverage"], table["accuracy"], color="tab:blue", label="accuracy")
    axes.plot(table["coverage"], table["confidence"], ":", color="0.4", label="lowest confidence among them")
    axes.set(
        xlabel="coverage: share of the texts, the most confident first", title="Coverage, test split", xlim=(0, 1.02)
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save_figure(fig, path)


def length_figure(table: pd.DataFrame, path: Path) -> None:
    """Draw the accuracy with its 95% interval for each group of text lengths.

    Args:
        table: Columns words (the name of the group), accuracy, low, high, sum (of right answers) and count.
        path: The PNG file.
    """
    fig, axes = new_figure(6.4, 4)
    errors = [table["accuracy"] - table["low"], table["high"] - table["accuracy"]]
    axes.errorbar(range(len(table)), table["accuracy"], yerr=errors, fmt="o", capsize=4, color="tab:blue")
    axes.axhline(table["sum"].sum() / table["count"].sum(), ls=":", color="0.4", label="all texts")
    axes.legend(frameon=False)
    ticks = [f"{words}\nn = {count}" for words, count in zip(table["words"], table["count"], strict=True)]
    axes.set(xlabel="words in the text", ylabel="accuracy", title="Accuracy by length, test split")
    axes.set_xticks(range(len(table)), ticks)
    axes.grid(axis="y", alpha=0.3)
    save_figure(fig, path)
