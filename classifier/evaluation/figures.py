"""Draw the pictures of the report, except metrics/confusion.png and those of numbers (number_figures.py)."""

from pathlib import Path

import numpy as np
import pandas as pd

from classifier.evaluation.canvas import BLACK, BLUE, GREY, LIGHT, WIDTH, new_figure, save_figure, show_percent
from classifier.evaluation.findings import NO_SHARES, shown
from classifier.evaluation.tables import ENDS

SHADE = "#eef1f4"  # behind the steps of the short epoch
RED = "#bc4c00"


def training_figure(
    training: pd.DataFrame,
    validation: pd.DataFrame,
    path: Path,
    short_steps: int = 0,
    short_tokens: int | None = None,
    score: str = "accuracy",
    loss: str = "cross-entropy",
) -> None:
    """Draw the loss, and beside it the validation score, against the optimizer step.

    Args:
        training: Columns step and loss.
        validation: Columns step, loss, score and, if there are, the bounds low and high of the score's 95% interval.
        path: The PNG file.
        short_steps: The last step of the short epoch; 0 without one. These steps are shaded.
        short_tokens: The tokens of each text that the short epoch reads.
        score: What the score is called.
        loss: What the loss is called.
    """
    fig, (loss_axes, score_axes) = new_figure(WIDTH, 3.7, columns=2)
    epochs = training.groupby(training["step"] > short_steps)  # smoothed apart: the loss jumps between them
    loss_axes.plot(training["step"], training["loss"], color=LIGHT, linewidth=1, label="training")
    for _, rows in epochs:
        loss_axes.plot(rows["step"], smoothed(rows["loss"]), color=BLUE, label="training, smoothed")
    loss_axes.plot(validation["step"], validation["loss"], "o--", color=BLACK, linewidth=1.2, label="validation")
    unit = " (nats)" if "cross-entropy" in loss else ""
    largest = max(training["loss"].max(), validation["loss"].max())
    loss_axes.set(ylabel=f"{loss}{unit}", title="Loss", ylim=(0, 1.12 * largest))
    legend = {line.get_label(): line for line in loss_axes.lines}  # the smoothed line of both epochs once
    loss_axes.legend(legend.values(), legend.keys(), loc="lower left")
    has_interval = "low" in validation
    low, high = (validation[name if has_interval else "score"] for name in ("low", "high"))
    errors = [validation["score"] - low, high - validation["score"]] if has_interval else None
    score_axes.errorbar(validation["step"], validation["score"], errors, fmt="o-", color=BLUE, linewidth=1.5)
    low, high = low.min(), max(high.max(), low.min() + 1e-6)
    above = 0.25 if short_steps else 0.05  # room for the words on the shade
    score_axes.set_ylim(low - 0.05 * (high - low), high + above * (high - low))
    interval = ", with its 95% interval" * has_interval
    score_axes.set(ylabel=f"{score}{interval}", title=f"Validation {score}")
    if score != "R²":
        show_percent(score_axes.yaxis)
    for axes in (loss_axes, score_axes):
        axes.set(xlabel="step", xlim=(0, 1.03 * training["step"].max()))
        if short_steps:
            shade_short_epoch(axes, min(short_steps, training["step"].max()), short_tokens)
    save_figure(fig, path)


def smoothed(values: pd.Series) -> pd.Series:
    """Return the moving average of a curve over a tenth of its points, with fewer points at both ends."""
    return values.rolling(2 * (len(values) // 20) + 1, center=True, min_periods=1).mean()


def shade_short_epoch(axes, short_steps: int, short_tokens: int | None) -> None:
    """Shade the steps of the short epoch. Write how much of each text these steps read, and how much the later ones."""
    axes.axvspan(0, short_steps, color=SHADE, linewidth=0, zorder=0)
    end = axes.get_xlim()[1]
    words = [(short_steps / 2, "center", f"{short_tokens} tokens\nof each text")]
    if short_steps < 0.85 * end:
        words.append(((short_steps + end) / 2, "center", "whole\ntexts"))
    if short_steps < 0.3 * end:  # too narrow for the words
        words = [(short_steps + 0.02 * end, "left", f"shaded: {short_tokens} tokens of each text,\nthen whole texts")]
    for step, side, text in words:
        axes.text(
            step, 0.98, text, transform=axes.get_xaxis_transform(), ha=side, va="top", fontsize=8, color="#57606a"
        )


def reliability_figure(table: pd.DataFrame, confidence: pd.Series, path: Path) -> None:
    """Draw accuracy against confidence for each bin, before and after calibration, and a histogram of the confidences.

    Args:
        table: Columns calibration ("before" or "after"), confidence, accuracy, and the bounds low and high of the
            accuracy's 95% interval.
        confidence: The confidence of each row after the calibration.
        path: The PNG file.
    """
    fig, (axes, below) = new_figure(5.2, 5.2, nrows=2, sharex=True, height_ratios=[3.4, 1])
    lowest = np.floor(20 * min(table["confidence"].min(), confidence.min())) / 20
    axes.plot([lowest, 1], [lowest, 1], ":", color=GREY, linewidth=1.2, label="accuracy = confidence")
    for name, rows in table.groupby("calibration", sort=False):
        style = {"fmt": "s--", "color": GREY} if name == "before" else {"fmt": "o-", "color": BLUE}
        style |= {"linewidth": 1.2, "markersize": 4.5, "label": f"{name} calibration"}
        errors = [rows["accuracy"] - rows["low"], rows["high"] - rows["accuracy"]]
        axes.errorbar(rows["confidence"], rows["accuracy"], errors, **style)
    axes.set(ylabel="accuracy, with its 95% interval", title="Reliability, test split")
    axes.legend(loc="lower right")
    share = np.full(len(confidence), 1 / len(confidence))
    below.hist(confidence, bins=np.linspace(lowest, 1, 21), weights=share, color=BLUE, edgecolor="white")
    below.set(xlabel="confidence", ylabel="texts", xlim=(lowest, 1.005))
    show_percent(axes.xaxis, axes.yaxis, below.xaxis, below.yaxis)
    save_figure(fig, path)


def coverage_figure(table: pd.DataFrame, path: Path, above: dict | None = None) -> None:
    """Draw the accuracy and the lowest confidence of the most confident texts against their share of all texts.

    Args:
        table: Columns coverage, accuracy and confidence, as `coverage_curve` returns them.
        path: The PNG file.
        above: above_threshold of metrics/evaluate.json. If it has a threshold, its point is marked.
    """
    fig, axes = new_figure(6.4, 4)
    axes.plot(table["coverage"], table["accuracy"], color=BLUE, label="accuracy")
    axes.plot(table["coverage"], table["confidence"], ":", color=GREY, label="lowest confidence among them")
    if above and "accuracy" in above:
        point = above["coverage"], above["accuracy"]
        error = [[above["accuracy"] - above["accuracy_low"]], [above["accuracy_high"] - above["accuracy"]]]
        label = f"confidence from {above['threshold']:.1%}: {point[0]:.1%} of the texts, {point[1]:.1%} right"
        axes.errorbar(*point, error, fmt="o", color=RED, zorder=4, label=label)
    axes.set(
        xlabel="coverage: share of the texts, the most confident first",
        ylabel="accuracy and confidence",
        title="Accuracy of the most confident texts, test split",
        xlim=(0, 1.02),
    )
    show_percent(axes.xaxis, axes.yaxis)
    axes.legend(loc="lower left")
    save_figure(fig, path)


def length_figure(
    lengths: dict[str, dict], path: Path, overall: float, metric: str = "accuracy", quality: str = "accuracy"
) -> None:
    """Draw the mean quality with its 95% interval for each group of text lengths.

    Args:
        lengths: slices.length of metrics/evaluate.json.
        path: The PNG file.
        overall: The mean quality of all texts.
        metric: The key of the mean quality in `lengths`.
        quality: The name of the mean quality, in words.
    """
    fig, axes = new_figure(6.4, 3.8)
    means, low, high = (np.array([group[f"{metric}{end}"] for group in lengths.values()]) for end in ENDS)
    axes.axhline(overall, ls=":", color=GREY, linewidth=1.2, label=f"all texts: {shown(metric, overall)}")
    errors = [means - low, high - means]
    axes.errorbar(range(len(means)), means, yerr=errors, fmt="o", capsize=4, color=BLUE, markersize=6)
    axes.legend(loc="upper right")
    ticks = [f"{words}\n{group['n']:,} texts" for words, group in lengths.items()]
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set(
        xlabel="length of the text",
        ylabel=f"{quality}, with its 95% interval",
        title=f"{quality[0].upper()}{quality[1:]} by length, test split",
        xlim=(-0.5, max(len(ticks), 1) - 0.5),
    )
    if metric not in NO_SHARES:
        show_percent(axes.yaxis)
    axes.grid(axis="x", visible=False)
    save_figure(fig, path)
