"""From which confidence on an answer is sure enough, by the validation rows that models/adapter holds."""

from numbers import Real

import numpy as np

from classifier.errors import InputError
from classifier.files.formats import read_table
from classifier.files.places import VALIDATION

GROWTH = 1.1  # of the rows that are looked at, from one test to the next


def confidence_threshold(target: float, level: float) -> float | None:
    """The lowest confidence from which on a share of `target` of all texts like the validation rows is right; None if
    that can be said of none. It is wrong with a chance of `level` at most.

    Raises InputError without models/adapter/validation.parquet.
    """
    from pyarrow import ArrowInvalid

    if not VALIDATION.is_file():
        raise InputError(
            f"{VALIDATION}: not found; make it with `dvc repro train` or `dvc checkout {VALIDATION.parent}`"
        )
    try:
        rows = read_table(VALIDATION)[0]
    except ArrowInvalid as error:
        raise InputError(
            f"{VALIDATION}: {error}; bring it back with `dvc checkout --force {VALIDATION.parent}`"
        ) from None
    return guaranteed_confidence(rows["unseen_confidence"].to_numpy(), rows["unseen_right"].to_numpy(), target, level)


def rows_needed(target: float, level: float) -> int:
    """The fewest rows, all of them right, that show an accuracy of `target`: at half of the level, see below.

    >>> rows_needed(0.95, 0.05)
    72
    """
    return int(np.ceil(np.log(level / 2) / np.log(target)))


def guaranteed_confidence(confidence: np.ndarray, right: np.ndarray, target: float, level: float) -> float | None:
    """confidence, right: (rows,). Cut to four decimals, as the metrics show it.

    Choosing the threshold whose own accuracy looks right would miss the target half of the time. So thresholds are
    fixed beforehand, by how many rows are above each, from rows_needed to all, and tested in this order by the exact
    binomial test. The widest one that passes is taken. Half of the level goes to the first test and the rest in equal
    parts to the others; a test that passes hands its level on to the next. This is the fallback procedure (Wiens 2003,
    "A fixed sequence Bonferroni procedure"; see Angelopoulos et al. 2021, "Learn then Test"). If the first test that
    fails were the last, one wrong label among the most confident rows would leave no threshold.
    """
    from scipy.stats import binom

    if len(confidence) < (fewest := rows_needed(target, level)):
        return None
    falling, place = np.unique(-np.floor(confidence * 1e4) / 1e4, return_inverse=True)
    rows, hits = np.bincount(place).cumsum(), np.bincount(place, right).cumsum()  # above each different confidence
    counts = fewest * GROWTH ** np.arange(np.log(len(confidence) / fewest) / np.log(GROWTH))
    counts = [*np.ceil(counts), len(confidence)]
    chosen, handed_on = None, 0.0
    for number, count in enumerate(counts):
        at = np.searchsorted(rows, count)
        own = handed_on + level / 2 / (1 if number == 0 else len(counts) - 1)
        passes = binom.sf(hits[at] - 1, rows[at], target) <= own
        chosen, handed_on = (float(-falling[at]), own) if passes else (chosen, 0.0)
    return chosen


def confidence_needed(min_confidence: float = 0.0, min_accuracy: float | None = None, level: float = 0.05) -> float:
    """The confidence below which an answer is uncertain: the one given, or the one that an accuracy needs, which is
    missed with a chance of `level` at most.

    Raises InputError for shares that are none, if both are given, or if no confidence is enough.
    """
    if not is_share(min_confidence):
        raise InputError(f"min_confidence: {min_confidence!r}: a number from 0 to 1 is needed")
    if min_accuracy is None:
        return min_confidence
    if not is_share(min_accuracy) or min_accuracy in (0, 1):
        raise InputError(f"min_accuracy: {min_accuracy!r}: a number between 0 and 1 is needed")
    if min_confidence:
        raise InputError("min_confidence and min_accuracy: give one of them")
    if (threshold := confidence_threshold(min_accuracy, level)) is None:
        raise InputError(
            f"no confidence is shown to give an accuracy of {min_accuracy:.1%}: among the validation rows too many "
            f"mistakes are of high confidence, or the rows are too few (at least {rows_needed(min_accuracy, level)} "
            "are needed); ask for less, or train with more of them"
        )
    return threshold


def is_share(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= value <= 1
