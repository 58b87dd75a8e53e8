"""Choose the bounds of prediction sets, which hold the right label for enough texts, with a guarantee.

Input: the validation rows in models/adapter/validation.parquet. For each row the file holds the probability of the
right label, or the predicted number, by a calibration that was not fitted on the row.

Output: the bound of the sets. The set of a text has all labels whose probability is at least the bound. The statement
is: of all texts like the validation rows, at least a share of `target` have their right label in their set. The
statement is wrong with a probability of at most `level`.

This is split-conformal prediction (see Angelopoulos and Bates 2021, "A Gentle Introduction to Conformal Prediction and
Distribution-Free Uncertainty Quantification") in its training-conditional form (Vovk 2012, "Conditional validity of
inductive conformal predictors"):

1. Sort the rows' scores: the probabilities of the right labels or, of numbers, the negative absolute residuals.
2. Take the k-th lowest score as the bound. It is too high only if fewer than k of the rows are among the lowest share
   1 - `target` of all texts. The number of rows among them has a binomial distribution.
3. Compute, for each k, the probability of fewer than k rows among them: the chance that the bound is too high. Choose
   the largest k whose chance is at most `level`. If k = 1 has a larger chance, the rows are too few for a bound.

If a text can have several labels, each label has a bound of its own, chosen by the rows that have the label. The
statement then holds for each label, about the texts that have the label. It does not hold for all labels at once.

Why not the usual quantile of conformal prediction? Its sets reach the target on average over many draws of validation
rows. But the validation rows are drawn once. In about half of the draws, the share of all later texts whose set has the
right label stays below the target.
"""

import numpy as np
import pandas as pd

from classifier.errors import InputError
from classifier.files.places import VALIDATION
from classifier.model.loading import trained_settings
from classifier.predict.threshold import LEVEL, is_share, rows_needed, validation_rows
from classifier.tasks.task import TASKS, Task


def find_bound(scores: np.ndarray, target: float, level: float) -> float:
    """Return the bound that the procedure at the top of this file chooses; NaN if the rows are too few.

    Args:
        scores: The scores of the validation rows, (rows,), in any order.
        target: The share of all texts whose score must be at least the bound, between 0 and 1.
        level: The highest probability that this share is below the target.

    Of 59 rows the lowest can be the bound for 0.95, because 0.95 to the power of 59 is 0.048. Of 58 rows, none can.

    >>> find_bound(np.arange(59), 0.95, 0.05), find_bound(np.arange(58), 0.95, 0.05)
    (0.0, nan)
    """
    from scipy.stats import binom

    place = int(binom.ppf(level, len(scores), 1 - target))  # the smallest number whose cdf is at least the level
    return float(np.partition(scores, place - 1)[place - 1]) if place else float("nan")


def find_bounds(task: Task, rows: pd.DataFrame, target: float, level: float) -> np.ndarray:
    """Return the bounds of a task's sets, for `with_bounds` of the task; NaN where the rows are too few.

    Args:
        task: The task.
        rows: The rows of models/adapter/validation.parquet.
        target: The share of the texts whose set has the right label.
        level: The highest probability that this share is below the target.

    Raises:
        InputError: An older version of the code made the rows.
    """
    if not {"unseen_probability", "unseen_predicted"} & {*rows}:
        raise InputError(
            f"{VALIDATION}: has no column unseen_probability, which sets need; train again with `dvc repro train`"
        )
    return np.array([find_bound(scores, target, level) for scores in task.set_scores(rows)])


def texts_needed(target: float, level: float) -> int:
    """Return the smallest number of validation rows for which there is a bound.

    `rows_needed` counts the rows for a threshold, whose first test gets half of the level. A bound gets the whole
    level, hence the factor 2.

    >>> texts_needed(0.95, 0.05), texts_needed(0.99, 0.05)
    (59, 299)
    """
    return max(1, rows_needed(target, 2 * level))


def required_bounds(target: float, level: float = LEVEL) -> np.ndarray:
    """Return the bounds of the adapter's sets, as `find_bounds` does.

    Raises:
        InputError: The target is out of range, the rows are too few for any bound, the file with the rows is missing
            or broken, or an older version of the code made the file.
    """
    if not is_share(target) or target in (0, 1):
        raise InputError(f"sets: {target!r}: a number between 0 and 1 is needed")
    task, rows = TASKS[trained_settings()["task"]], validation_rows()
    bounds = find_bounds(task, rows, target, level)
    if np.isnan(bounds).all():
        most = max(map(len, task.set_scores(rows)))
        raise InputError(
            f"sets: too few validation rows for {target}: a bound needs at least {texts_needed(target, level)}, and "
            f"{most} are there; ask for a smaller share, or train with more validation rows"
        )
    return bounds
