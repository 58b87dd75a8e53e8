"""Measure prediction sets on the test split."""

import numpy as np
import pandas as pd

from classifier.evaluation.intervals import wilson_interval
from classifier.evaluation.scored import Scored
from classifier.predict.sets import find_bounds, texts_needed
from classifier.tasks.task import Decision

TARGETS = (*(np.arange(10, 20) / 20).tolist(), 0.97, 0.98, 0.99)
COLUMNS = ["target", "coverage", "mean_size", "single", "width"]  # of set_curve, as far as a task has them


def decision_with_sets(scored: Scored, target: float, level: float) -> Decision | None:
    """Return the decision with the bounds that the validation rows show; None if the rows are too few for any bound.

    Args:
        scored: The test split.
        target: The share of the texts whose set has the right label.
        level: The highest probability that this share is below the target.
    """
    bounds = find_bounds(scored.task, scored.validation, target, level)
    return None if np.isnan(bounds).all() else scored.task.with_bounds(scored.decision, bounds)


def with_set_metrics(
    result: dict, scored: Scored, measures, decision: Decision | None, target: float, level: float
) -> dict:
    """Return the metrics of the test split with those of its prediction sets, under "sets" and in each of "labels".

    Args:
        result: The metrics without those of sets.
        scored: The test split.
        measures: The module of the task in classifier/evaluation/tasks/.
        decision: That of `decision_with_sets` for the same target and level.
        target: As in `decision_with_sets`.
        level: As in `decision_with_sets`.
    """
    sets = {"target": target, "level": level, "validation_texts_needed": texts_needed(target, level)}
    if decision is None:
        return result | {"sets": sets}
    found = measures.set_metrics(scored, decision)
    by_label = found.pop("labels", {})
    labels = {name: row | by_label.get(name, {}) for name, row in result.get("labels", {}).items()}
    return result | ({"labels": labels} if labels else {}) | {"sets": sets | found}


def set_curve(scored: Scored, measures, level: float) -> pd.DataFrame:
    """Return the coverage and the size of the sets for each of TARGETS that the validation rows can show.

    Args:
        scored: The test split.
        measures: The module of the task in classifier/evaluation/tasks/.
        level: As in `decision_with_sets`.
    """
    rows = []
    for target in TARGETS:
        if decision := decision_with_sets(scored, target, level):
            rows.append({"target": target} | measures.set_metrics(scored, decision))
    return pd.DataFrame(rows, columns=None if rows else COLUMNS).filter(COLUMNS).dropna().round(4)


def share_with_interval(right: int, count: int) -> dict[str, float]:
    """Return coverage, coverage_low and coverage_high: the share right / count, and its 95% interval."""
    low, high = wilson_interval(right, count)
    return {"coverage": right / count, "coverage_low": low, "coverage_high": high}


def label_set_metrics(sets: np.ndarray, has: np.ndarray, names: list[str]) -> dict:
    """Return the coverage and the size of sets of labels.

    Coverage is the share of all pairs of a text and its right label that have the label in the text's set.

    Args:
        sets: Whether each label is in the set of each row, (rows, names) bool.
        has: Whether each row has each label, (rows, names) bool.
        names: The names of the labels.

    Returns:
        coverage, coverage_low, coverage_high, mean_size (the mean number of labels in a set), single (the share of sets
        with one label), and the coverage of each label that a row has, as labels.NAME.set_coverage. Without such a
        label there is no coverage.
    """
    right, counts, sizes = (sets & has).sum(axis=0), has.sum(axis=0), sets.sum(axis=1)
    return {
        **(share_with_interval(int(right.sum()), int(counts.sum())) if counts.any() else {}),
        "mean_size": float(sizes.mean()),
        "single": float((sizes == 1).mean()),
        "labels": {names[n]: {"set_coverage": float(right[n] / counts[n])} for n in np.flatnonzero(counts)},
    }
