"""The curve: accuracy, log loss and TF-IDF's accuracy against the number of labels, with 95% intervals."""

import itertools

import numpy as np
import pandas as pd

from apps.revisions import dvc_revision, read_predictions
from benchmarks.learning_curve.plan import Run
from classifier.evaluation.intervals import wilson_interval
from classifier.files.formats import read_table
from classifier.files.places import BASELINE

BOUNDS = {"accuracy": (0, 1), "tfidf": (0, 1), "log_loss": (0, np.inf), "gain": (-100, 100)}  # of a mean


def experiment_scores(name: str) -> pd.DataFrame:
    """Read an experiment's scores of the test texts.

    Returns:
        A row for each test text, indexed by the text, with the columns label, accuracy (1 if the classifier is right),
        tfidf (1 if TF-IDF is right), log_loss of the classifier, and learned (1 if TF-IDF learned anything).
    """
    from dvc.api import DVCFileSystem

    table, values = read_predictions(name, "test")
    with dvc_revision(name) as rev:
        baseline, metadata = read_table(DVCFileSystem(rev=rev).open(BASELINE.as_posix()))
    columns = {
        "label": table["label"],
        "accuracy": table["predicted"] == table["label"],
        "tfidf": baseline["predicted"] == table["label"],
        "log_loss": values["log_loss"],
        "learned": metadata["learned"],
    }
    return pd.DataFrame(columns).astype(float).set_index(table["text"])


def mean_with_interval(draws: list[pd.Series], least: float, most: float) -> tuple[float, float, float]:
    """Return (mean, low, high) of a value, with its 95% interval over draws and texts.

    Half the width of the interval is the root of the sum of two squares: half the t-interval of the draws' means, and
    half the t-interval of the texts, in which a text of several draws counts once. So the interval counts the chance in
    the draws and the chance in the texts, even if all draws have the same texts. The interval of a share is Wilson's
    for one draw; for several draws it is at least Wilson's for all their texts.

    Args:
        draws: for each draw, the value of each text, indexed by the text.
        least, most: bounds of the mean; (0, 1) marks a share.
    """
    from scipy.stats import t

    means = np.array([values.mean() for values in draws])
    texts = pd.concat([values - values.mean() for values in draws]).groupby(level=0).sum()
    spread = np.sqrt((texts**2).sum() * len(texts) / (len(texts) - 1)) / sum(map(len, draws))
    half = t.ppf(0.975, len(texts) - 1) * spread
    if len(draws) > 1:
        half = np.hypot(half, t.ppf(0.975, len(draws) - 1) * means.std(ddof=1) / np.sqrt(len(draws)))
    mean, low, high = means.mean(), max(least, means.mean() - half), min(most, means.mean() + half)
    if (least, most) == (0, 1):
        ends = wilson_interval(round(mean * len(texts)), len(texts))
        low, high = ends if len(draws) == 1 else (min(low, ends[0]), max(high, ends[1]))
    return mean, low, high


def curve_point(draws: list[pd.DataFrame], pairs: list[tuple[pd.DataFrame, pd.DataFrame]]) -> dict[str, float]:
    """Return the means and intervals of one size.

    Args:
        draws: the scores of each draw.
        pairs: (scores with the next smaller number of labels, scores of this size) of each seed that both sizes have.
            The value `gain` compares them: points of accuracy over the smaller size, on the same test texts.
    """
    values = {name: [table[name] for table in draws] for name in ("accuracy", "tfidf", "log_loss")}
    values["gain"] = [100 * (more["accuracy"] - fewer["accuracy"]) for fewer, more in pairs]
    point = {"gain_draws": len(pairs), "tfidf_learned": sum(table["learned"].all() for table in draws)}
    for name, by_draw in values.items():
        interval = mean_with_interval(by_draw, *BOUNDS[name]) if by_draw else [np.nan] * 3
        point |= dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))
    return point


def make_curve(runs: list[Run]) -> pd.DataFrame:
    """Return the curve: a row for each number of labels."""
    rows, smaller = [], {}
    for labels, group in itertools.groupby(runs, key=lambda run: run.labels):
        draws = list(group)
        scores = {run.seed: experiment_scores(run.name) for run in draws}
        pairs = [(smaller[seed], table) for seed, table in scores.items() if seed in smaller]
        if any(not fewer["label"].equals(more["label"]) for fewer, more in pairs):
            raise SystemExit(
                f"learning-curve: {labels:,} labels: the test texts differ from those of the smaller size, so no "
                "difference can be paired"
            )
        first = draws[0]
        sizes = {"train": first.train, "validation": first.validation, "test": len(scores[first.seed])}
        point = curve_point([*scores.values()], pairs)
        rows.append({"labels": labels, **sizes, "draws": len(scores), **point})
        smaller = scores
    return pd.DataFrame(rows)
