"""The folds of the train texts, each of which is predicted by a baseline that was fitted on the others."""

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
