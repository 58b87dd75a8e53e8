"""A curve as a table, as a sentence and as a picture."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd

from classifier.evaluation.figures import new_figure, save_figure

LINES = [("o-", "black"), ("s--", "tab:blue"), ("D-.", "tab:red")]  # can be told apart in grey as well


def curve_table(curve: pd.DataFrame) -> str:
    """Return the curve as a Markdown table."""

    def cells(name: str, form: str, times: int = 1) -> list[str]:
        values = times * curve[[name, f"{name}_low", f"{name}_high"]]
        return ["" if np.isnan(row[0]) else form.format(*row) for row in values.to_numpy()]

    percent, guessed = "{:.1f}% ({:.1f} to {:.1f})", curve["tfidf_learned"] < curve["draws"]
    columns = {
        **{name: curve[name].map("{:,}".format) for name in ("labels", "train", "validation", "draws")},
        "accuracy": cells("accuracy", percent, 100),
        "TF-IDF": [cell + "*" * star for cell, star in zip(cells("tfidf", percent, 100), guessed, strict=True)],
        "log loss": cells("log_loss", "{:.3f} ({:.3f} to {:.3f})"),
        "points over the row above": cells("gain", "{:+.1f} ({:+.1f} to {:+.1f})"),
        "95% intervals count": np.where(curve["draws"] > 1, "draws and texts", "texts"),
    }
    shown = pd.DataFrame(columns).to_markdown(index=False, disable_numparse=True, colalign=["right"] * len(columns))
    note = "\n\n\\* In a draw or more TF-IDF learned nothing, and gives each text the commonest label of train."
    return shown + (note if guessed.any() else "")


def conclusion(curve: pd.DataFrame) -> str:
    """Return in words whether more labels helped, by the two largest sizes."""
    last, fewer = curve.iloc[-1], curve.iloc[:-1]["labels"].max()
    change, low, high = last[["gain", "gain_low", "gain_high"]]
    if np.isnan(change):
        return "Two sizes with a draw in common are needed to say whether more labels help."
    verdict = "holds 0: this does not show that more labels help"
    if low > 0:
        verdict = "is above 0: more labels helped"
    if high < 0:
        verdict = "is below 0: more labels did harm"
    draws = "one draw" if last["gain_draws"] == 1 else f"each of {last['gain_draws']} draws"
    moved = f"{'fell' if change < 0 else 'rose'} by {abs(change):.1f} points"
    return (
        f"From {fewer:,} to {last['labels']:,} labels accuracy {moved} (95% interval of the change {low:.1f} to "
        f"{high:.1f}, on the same {last['test']:,} test texts in {draws}). The interval {verdict}."
    )


def draw_curves(curves: list[pd.DataFrame], path: Path) -> None:
    """Draw accuracy and, in a second panel, log loss against the number of labels, with their intervals."""
    fig, panels = new_figure(9, 3.8, columns=2)
    lines = [(curves[0], "tfidf", "TF-IDF", "^:", "0.5")]
    for curve, line in zip(curves, itertools.cycle(LINES), strict=False):
        label = f"{curve['model'].iloc[0]}, {curve['method'].iloc[0]}"
        lines += [(curve, name, label, *line) for name in ("accuracy", "log_loss")]
    for curve, name, label, line, color in lines:
        gaps = [curve[name] - curve[f"{name}_low"], curve[f"{name}_high"] - curve[name]]
        axes = panels[int(name == "log_loss")]
        axes.errorbar(curve["labels"], curve[name], gaps, fmt=line, color=color, capsize=3, label=label)
    ticks = sorted({labels for curve in curves for labels in curve["labels"]})
    for axes, name in zip(panels, ("accuracy", "log loss"), strict=True):
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{labels:,}" for labels in ticks], rotation=45, ha="right", rotation_mode="anchor")
        axes.minorticks_off()
        axes.set(xlabel="labels (train and validation)", ylabel=name, title=f"{name.capitalize()}, test split")
        axes.grid(alpha=0.3)
    panels[0].yaxis.set_major_formatter("{x:.0%}")
    panels[0].legend(frameon=False)
    save_figure(fig, path)
