"""The picture and the two tables of `make settings`: LoRA's ranks and learning rates, and LoRA beside other methods."""

from pathlib import Path

import pandas as pd

from classifier.evaluation.figures import new_figure, save_figure
from classifier.evaluation.intervals import wilson_interval

VALIDATION = 2000  # reviews; more than the default has, so that the standard error is 0.7 points
COLUMNS = {
    **{"setting": "", "trainable parameters": ",d", "learning rate": "g"},
    **{"validation accuracy": ".1%", "lower bound": ".1%", "upper bound": ".1%", "log loss": ".3f", "precision": ""},
}


def interval(accuracy: float) -> tuple[float, float]:
    """Return the 95% interval of an accuracy on the validation split."""
    return wilson_interval(round(accuracy * VALIDATION), VALIDATION)


def default_rank(rows: pd.DataFrame) -> pd.Series:
    """Return a mask of the row that measures the default rank.

    The trainings with another learning rate keep the default rank. So the default rank is the one that has as many
    trainable parameters as these trainings.
    """
    is_rank = rows["setting"].str.startswith("rank ")
    is_learning_rate = rows["setting"].str.startswith("learning rate ")
    parameters = rows["trainable_parameters"]
    return is_rank & parameters.isin(parameters[is_learning_rate])


def draw_settings(rows: pd.DataFrame, path: Path) -> None:
    """Draw validation accuracy with its interval against the rank and, in a second panel, the learning rate."""
    ranks = rows[rows["setting"].str.startswith("rank ")]
    rates = pd.concat([rows[default_rank(rows)], rows[rows["setting"].str.startswith("learning rate ")]])
    fig, panels = new_figure(9, 3.6, columns=2)
    panels[0].sharey(panels[1])
    for axes, shown, values, label in (
        (panels[0], ranks, ranks["setting"].str.removeprefix("rank ").astype(int), "rank (alpha stays 32)"),
        (panels[1], rates, rates["learning_rate"], "learning rate"),
    ):
        shown = shown.assign(value=values).sort_values("value")
        bounds = shown["validation_accuracy"].map(interval)
        gaps = [shown["validation_accuracy"] - bounds.str[0], bounds.str[1] - shown["validation_accuracy"]]
        axes.errorbar(shown["value"], shown["validation_accuracy"], gaps, fmt="o-", color="black", capsize=3)
        axes.set_xscale("log", base=2)
        axes.set_xticks(shown["value"], [f"{value:g}" for value in shown["value"]], minor=False)
        axes.set(xlabel=label, ylabel="validation accuracy")
        axes.yaxis.set_major_formatter("{x:.1%}")
    save_figure(fig, path)


def result(what: str, rows: pd.DataFrame) -> dict:
    """Return rows of settings.csv as a result (see benchmarks/record.py). Each row has its own commit."""
    shown = []
    for row in rows.to_dict("records"):
        low, high = interval(row["validation_accuracy"])
        values = [row["setting"], row["trainable_parameters"], row["learning_rate"]]
        values += [row["validation_accuracy"], low, high, row["validation_loss"], row["precision"]]
        shown.append({**dict(zip(COLUMNS, values, strict=True)), "commit": row["commit"]})
    return {
        "what": f"{what} Each setting was trained once, with one seed, and scored on {VALIDATION:,} validation texts.",
        "command": "make settings",
        "commit": "each row has its own",
        "machine": "the precision of a row tells the kind: bf16 on one that multiplies in it, fp32 on another",
        "columns": COLUMNS,
        "rows": shown,
    }


def results(rows: pd.DataFrame) -> dict[str, dict]:
    """Return two results by name: settings_lora (ranks and learning rates of LoRA) and settings_methods."""
    methods, default = rows["setting"].str.startswith("method "), default_rank(rows)
    by_method = rows.assign(setting=rows["setting"].mask(default, "method lora"))[methods | default]
    return {
        "settings_lora": result("Ranks and learning rates of LoRA.", rows[~methods]),
        "settings_methods": result("Methods beside LoRA.", by_method.sort_values("trainable_parameters")),
    }
