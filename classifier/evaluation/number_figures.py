"""Draw the pictures of the report that only numbers have: the coverage of the intervals, and the errors."""

from pathlib import Path

import pandas as pd

from classifier.evaluation.canvas import BLUE, GREY, new_figure, save_figure, show_percent


def interval_figure(table: pd.DataFrame, path: Path) -> None:
    """Draw the share of texts whose number lies in the interval against the share that the interval should hold.

    Args:
        table: A row for each such target, with the columns confidence (the target), accuracy (the share of texts whose
            number lies in the interval), and the bounds low and high of the 95% interval of this share.
        path: The PNG file.
    """
    fig, axes = new_figure(5.2, 4.4)
    axes.plot([0, 1], [0, 1], ":", color=GREY, linewidth=1.2, label="as it should be")
    errors = [table["accuracy"] - table["low"], table["high"] - table["accuracy"]]
    axes.errorbar(table["confidence"], table["accuracy"], errors, fmt="o-", color=BLUE, linewidth=1.2, markersize=4.5)
    axes.set(
        xlabel="share of texts that the interval should hold",
        ylabel="share that it holds, with its 95% interval",
        title="Coverage of the intervals, test split",
    )
    show_percent(axes.xaxis, axes.yaxis)
    axes.legend(loc="lower right")
    save_figure(fig, path)


def error_figure(errors: pd.Series, path: Path) -> None:
    """Draw the share of texts against the largest absolute error among them. errors: the error of each text."""
    fig, axes = new_figure(6.4, 4)
    axes.ecdf(errors.to_numpy(), color=BLUE)
    axes.set(
        xlabel="largest absolute error",
        ylabel="share of the texts, the smallest errors first",
        title="Errors, test split",
    )
    show_percent(axes.yaxis)
    save_figure(fig, path)
