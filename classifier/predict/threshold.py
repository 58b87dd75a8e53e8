"""Choose the lowest confidence at and above which the classifier's answers are accurate enough, with a guarantee.

Input: the validation rows in models/adapter/validation.parquet. For each row the file holds the confidence of the
answer, by a calibration that was not fitted on the row, and whether the answer is right.

Output: the lowest confidence for which the validation rows show this: of all texts like the validation rows whose
confidence is at least that high, a share of at least `target` gets the right answer. The statement is wrong with a
probability of at most `level`.

A simple choice would be the lowest confidence above which the accuracy on the validation rows reaches the target. On
other texts it would miss the target about half of the time, because it was picked where chance made the validation rows
look good. So the choice is made by statistical tests:

1. Fix the candidates before looking at which answers are right. Sort the rows by falling confidence. The first
   candidate is the confidence of row number `rows_needed(target, level)`. Each next candidate takes in about 10% more
   rows, and the last one takes in all of them.
2. Test each candidate by the exact binomial test. The null hypothesis is "the accuracy above this confidence is below
   the target". Its p-value is the probability of at least as many right answers as were counted, if each answer is
   right with a probability of exactly `target`.
3. Share `level` among the tests by the fallback procedure (Wiens 2003, "A fixed sequence Bonferroni procedure"; see
   Angelopoulos et al. 2021, "Learn then Test"). The first test gets half of it, and the others get equal parts of the
   rest. The tests run in order. A test passes if its p-value is at most its level. A test that passes hands its level
   on to the next test, which adds it to its own part. A test that fails hands on nothing. The probability that any
   wrong candidate passes is then at most `level`.
4. Return the last candidate that passes, which is the lowest confidence.

Why not stop at the first test that fails? Then a single wrong answer among the most confident rows would leave no
threshold at all.
"""

from collections.abc import Sequence
from numbers import Real

import numpy as np
import pandas as pd

from classifier.errors import InputError
from classifier.files.formats import read_table
from classifier.files.places import VALIDATION

LEVEL = 0.05  # the chance of error of a threshold or of prediction sets, unless another one is asked for
GROWTH = 1.1  # ratio of the numbers of rows above two successive candidates


def threshold_for(target: float, level: float) -> float | None:
    """Return the lowest confidence at and above which the adapter's validation rows show the target accuracy.

    Args:
        target: The accuracy that the answers of at least this confidence must reach, between 0 and 1.
        level: The highest probability that these answers miss the target, between 0 and 1.

    Returns:
        The confidence, cut to four decimals; None if the validation rows show the target for no confidence.

    Raises:
        InputError: models/adapter/validation.parquet is missing or broken, or the answers are numbers, which have no
            confidence.
    """
    rows = validation_rows()
    if "unseen_confidence" not in rows:
        raise InputError("a number has an interval in place of a confidence; leave the threshold out")
    return find_threshold(rows["unseen_confidence"].to_numpy(), rows["unseen_right"].to_numpy(), target, level)


def validation_rows() -> pd.DataFrame:
    """Return the rows of models/adapter/validation.parquet. Raises InputError if it is missing or broken."""
    from pyarrow import ArrowInvalid

    if not VALIDATION.is_file():
        raise InputError(
            f"{VALIDATION}: not found; make it with `dvc repro train` or `dvc checkout {VALIDATION.parent}`"
        )
    try:
        return read_table(VALIDATION)[0]
    except ArrowInvalid as error:
        raise InputError(
            f"{VALIDATION}: {error}; bring it back with `dvc checkout --force {VALIDATION.parent}`"
        ) from None


def rows_needed(target: float, level: float) -> int:
    """Return the smallest number of rows that can show an accuracy of `target` if all their answers are right.

    The p-value of that many right answers, target ** rows, is at most the level of the first test, level / 2.

    >>> rows_needed(0.95, 0.05)
    72
    """
    return int(np.ceil(np.log(level / 2) / np.log(target)))


def find_threshold(confidence: np.ndarray, right: np.ndarray, target: float, level: float) -> float | None:
    """Return the lowest confidence that passes the procedure described at the top of this file.

    Confidences are cut to four decimals first, as the metrics show them. Rows of equal confidence stay together.

    Args:
        confidence: (rows,) floats from 0 to 1, in any order.
        right: (rows,) bool, whether the answer is right.
        target: The accuracy to reach, between 0 and 1.
        level: The highest probability that the accuracy at and above the result is below the target.

    Returns:
        The confidence, or None if no candidate passes or there are fewer rows than `rows_needed`.
    """
    from scipy.stats import binom

    if len(confidence) < (fewest := rows_needed(target, level)):
        return None
    # For each distinct confidence, the highest first: the number of rows at or above it, and of right rows among them.
    negated, place = np.unique(-np.floor(confidence * 1e4) / 1e4, return_inverse=True)
    rows, right_rows = np.bincount(place).cumsum(), np.bincount(place, right).cumsum()
    counts = fewest * GROWTH ** np.arange(np.log(len(confidence) / fewest) / np.log(GROWTH))
    candidates = np.searchsorted(rows, [*np.ceil(counts), len(confidence)])
    p_values = binom.sf(right_rows[candidates] - 1, rows[candidates], target)
    passed = last_passed(p_values, level)
    return None if passed is None else float(-negated[candidates[passed]])


def last_passed(p_values: Sequence[float], level: float) -> int | None:
    """Return the number of the last test, from 0, that passes in the fallback procedure; None if none passes.

    Args:
        p_values: The p-values of the tests, in order.
        level: The probability of error that the tests share: half for the first, equal parts for the others.

    In the example, the three tests begin with the levels 0.05, 0.025 and 0.025. Test 0 passes and hands on 0.05, so
    that test 1 has 0.075. Test 1 passes too and hands on 0.075, so that test 2 has 0.1. Its p-value is 0.2: it fails.

    >>> last_passed([0.01, 0.07, 0.2], 0.1)
    1
    """
    passed, handed_on = None, 0.0
    for number, p_value in enumerate(p_values):
        test_level = handed_on + level / 2 / (1 if number == 0 else len(p_values) - 1)
        passed, handed_on = (number, test_level) if p_value <= test_level else (passed, 0.0)
    return passed


def required_confidence(min_confidence: float = 0.0, min_accuracy: float | None = None, level: float = LEVEL) -> float:
    """Return the confidence below which an answer counts as uncertain, from `min_confidence` or `min_accuracy`.

    Args:
        min_confidence: The confidence itself, from 0 to 1. The default 0 makes no answer uncertain.
        min_accuracy: The accuracy that the remaining answers must reach, between 0 and 1; see `threshold_for`.
        level: The highest probability that the remaining answers miss `min_accuracy`.

    Raises:
        InputError: A share is out of range, both are given, the validation rows show no confidence that reaches
            `min_accuracy`, or `threshold_for` raises an error.
    """
    if not is_share(min_confidence):
        raise InputError(f"min_confidence: {min_confidence!r}: a number from 0 to 1 is needed")
    if min_accuracy is None:
        return min_confidence
    if not is_share(min_accuracy) or min_accuracy in (0, 1):
        raise InputError(f"min_accuracy: {min_accuracy!r}: a number between 0 and 1 is needed")
    if min_confidence:
        raise InputError("min_confidence and min_accuracy: give only one of them")
    if (threshold := threshold_for(min_accuracy, level)) is None:
        raise InputError(
            f"the validation rows show no confidence that gives an accuracy of {min_accuracy:.1%}: too many of their "
            f"confident answers are wrong, or the rows are too few (at least {rows_needed(min_accuracy, level)} are "
            "needed); ask for a lower accuracy, or train with more validation rows"
        )
    return threshold


def is_share(value: object) -> bool:
    """Return whether a value is a number from 0 to 1; True and False are not numbers here."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= value <= 1
