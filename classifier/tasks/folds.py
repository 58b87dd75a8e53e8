"""Divide the train texts into folds, and score each fold by a baseline that was fitted on the other folds."""

import numpy as np

FOLDS = 5
Fold = tuple[np.ndarray, np.ndarray]  # the numbers of (all other rows, the rows of the fold)


def equal_folds(labels: np.ndarray) -> list[Fold]:
    """Return folds of consecutive rows; no fold if there are fewer rows than folds."""
    from sklearn.model_selection import KFold

    return list(KFold(FOLDS).split(labels)) if len(labels) >= FOLDS else []


def stratified_folds(labels: np.ndarray) -> list[Fold]:
    """Return folds with equal shares of each label.

    The rows of a label with fewer texts than folds are in no fold. If fewer than two labels remain, there is no fold.
    """
    from sklearn.model_selection import StratifiedKFold

    rows = np.flatnonzero(np.bincount(labels)[labels] >= FOLDS)
    if len(np.unique(labels[rows])) < 2:
        return []
    return [(rows[others], rows[held_out]) for others, held_out in StratifiedKFold(FOLDS).split(rows, labels[rows])]


def out_of_fold(task, terms, labels: np.ndarray, count: int, c: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows, scores): the rows in folds, and their scores by estimators that were fitted on the other folds.

    Args:
        task: The task, with the folds and the baseline.
        terms: The terms of the train texts, (texts, terms).
        labels: The labels of the train texts.
        count: The number of names of labels.
        c: The inverse of the strength of the estimators' penalty.
    """
    scores, in_fold = np.zeros((len(labels), count)), np.zeros(len(labels), dtype=bool)
    for others, held_out in task.folds(labels):
        estimator = task.fit_baseline(terms[others], labels[others], c)
        scores[held_out], in_fold[held_out] = task.baseline_scores(estimator, terms[held_out], count), True
    return np.flatnonzero(in_fold), scores[in_fold]
