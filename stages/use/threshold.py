"""From which confidence on an answer is sure enough, by the validation rows that models/adapter holds."""

import numpy as np

from stages.files import VALIDATION, read_table
from stages.settings.errors import InputError

GROWTH = 1.1  # of the rows that are looked at, from one test to the next


def confidence_threshold(target: float, level: float) -> float | None:
    """The lowest confidence from which on a share of `target` of all texts like the validation rows is right; None if
    that can be said of none. It is wrong with a chance of `level` at most.

    Raises InputError without models/adapter/validation.parquet.
    """
    if not VALIDATION.is_file():
        raise InputError(
            f"{VALIDATION}: not found; make it with `dvc repro train` or `dvc checkout {VALIDATION.parent}`"
        )
    rows = read_table(VALIDATION)[0]
    return guaranteed_confidence(
        rows["confidence"].to_numpy(), (rows["predicted"] == rows["label"]).to_numpy(), target, level
    )


def rows_needed(target: float, level: float) -> int:
    """The fewest rows, all of them right, that show an accuracy of `target`.

    >>> rows_needed(0.95, 0.05)
    59
    """
    return int(np.ceil(np.log(level) / np.log(target)))


def guaranteed_confidence(confidence: np.ndarray, right: np.ndarray, target: float, level: float) -> float | None:
    """confidence, right: (rows,). Cut to four decimals, as the metrics show it.

    Choosing the threshold whose own accuracy looks right would miss the target half of the time. So a sequence of
    thresholds is fixed beforehand, by how many rows are above each, from the fewest rows that could show the target to
    all of them. Each is tested by the exact binomial test, and the last one before the first that fails is taken. This
    is fixed-sequence testing (Angelopoulos et al. 2021, "Learn then Test", section 4.2).
    """
    from scipy.stats import binom

    falling, place = np.unique(-np.floor(confidence * 1e4) / 1e4, return_inverse=True)
    rows, hits = np.bincount(place).cumsum(), np.bincount(place, right).cumsum()  # above each different confidence
    chosen, fewest = None, rows_needed(target, level)
    if len(confidence) < fewest:
        return None
    tests = np.arange(np.log(len(confidence) / fewest) / np.log(GROWTH))
    for count in [*np.ceil(fewest * GROWTH**tests), len(confidence)]:
        at = np.searchsorted(rows, count)
        if binom.sf(hits[at] - 1, rows[at], target) > level:
            break
        chosen = float(-falling[at])
    return chosen
