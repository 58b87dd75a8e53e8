"""From which confidence on an answer is sure enough, by the validation split."""

import numpy as np

from stages.files import VALIDATION, read_table
from stages.settings.errors import InputError


def confidence_threshold(target: float) -> float:
    """The lowest confidence, cut to four decimals, from which on `target` of the validation rows or more are right; 1
    if there is none. Raises InputError without data/validation.parquet, which train has written with the adapter.
    """
    if not VALIDATION.is_file():
        raise InputError(f"{VALIDATION}: not found; make it with `dvc repro train` or `dvc checkout {VALIDATION}`")
    rows = read_table(VALIDATION)[0]
    return lowest_confidence(rows["confidence"].to_numpy(), (rows["predicted"] == rows["label"]).to_numpy(), target)


def lowest_confidence(confidence: np.ndarray, right: np.ndarray, target: float) -> float:
    """confidence, right: (rows,).

    >>> lowest_confidence(np.array([0.99, 0.9, 0.8, 0.7]), np.array([True, True, False, True]), 0.75)
    0.7
    """
    falling, place = np.unique(-np.floor(confidence * 1e4) / 1e4, return_inverse=True)
    rows, hits = np.bincount(place).cumsum(), np.bincount(place, right).cumsum()
    reached = np.flatnonzero(hits / rows >= target)
    return float(-falling[reached[-1]]) if len(reached) else 1.0
