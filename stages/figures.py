"""The report's pictures: PNG, the same bytes every time, readable in grey and on a dark page."""

from pathlib import Path

import numpy as np
import pandas as pd


def figure(width: float = 5.0, height: float = 4.0):
    """A figure without pyplot's global state: (figure, axes), sizes in inches."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    return drawing, drawing.subplots()


def write(drawing, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=120, metadata={"Software": None})  # matplotlib's version would be in the bytes


def confusion_figure(counts: np.ndarray, names: list[str], path: Path) -> None:
    """counts: (k, k), a row for each actual label, a column for each predicted one."""
    drawing, axes = figure(3 + 0.8 * len(names), 2.4 + 0.8 * len(names))
    shares = counts / counts.sum(axis=1, keepdims=True)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
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
    axes.set_xticklabels(names, rotation=30 if len(names) > 4 else 0)
    axes.set_yticklabels(names)
    drawing.colorbar(image, label="share of the actual label", shrink=0.8)
    write(drawing, path)


def training_figure(training: pd.DataFrame, validation: pd.DataFrame, path: Path) -> None:
    """Loss on the left axis and validation accuracy on the right, against the optimizer's step."""
    drawing, loss = figure(6.4, 4)
    loss.plot(training["step"], training["loss"], color="0.6", label="training loss")
    loss.plot(validation["step"], validation["loss"], "o--", color="black", label="validation loss")
    loss.set(xlabel="step", ylabel="cross-entropy (nats)", title="Training", ylim=(0, None))
    accuracy = loss.twinx()
    accuracy.plot(validation["step"], validation["accuracy"], "s-", color="tab:blue", label="validation accuracy")
    accuracy.set(ylabel="accuracy", ylim=(0, 1))
    drawing.legend(loc="outside lower center", ncols=3, frameon=False)
    write(drawing, path)


def reliability_figure(table: pd.DataFrame, path: Path) -> None:
    """Accuracy against confidence by bin, before and after calibration."""
    drawing, axes = figure()
    axes.plot([0, 1], [0, 1], ":", color="0.5", label="perfect")
    for (name, rows), style in zip(table.groupby("calibration", sort=False), ("s--", "o-"), strict=True):
        axes.plot(
            rows["confidence"],
            rows["accuracy"],
            style,
            label=f"{name} calibration",
            color="0.55" if name == "before" else "tab:blue",
        )
    low = min(0.5, table["confidence"].min(), table["accuracy"].min()) - 0.02
    axes.set(
        xlabel="confidence", ylabel="accuracy", title="Reliability, test split", xlim=(low, 1.02), ylim=(low, 1.02)
    )
    axes.legend(frameon=False)
    write(drawing, path)


def length_figure(table: pd.DataFrame, path: Path) -> None:
    """Accuracy with its 95% interval by review length; columns words, accuracy, low, high, count."""
    drawing, axes = figure(6.4, 4)
    errors = [table["accuracy"] - table["low"], table["high"] - table["accuracy"]]
    axes.errorbar(range(len(table)), table["accuracy"], yerr=errors, fmt="o-", capsize=4, color="tab:blue")
    ticks = [f"{words}\nn = {count}" for words, count in zip(table["words"], table["count"], strict=True)]
    axes.set(xlabel="words in the review", ylabel="accuracy", title="Accuracy by length, test split")
    axes.set_xticks(range(len(table)), ticks)
    axes.grid(axis="y", alpha=0.3)
    write(drawing, path)
