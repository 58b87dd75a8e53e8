"""The gate of the export: a form passes if the validation texts show that its answers are as good as those in fp32.

Two values of each text are compared: whether the answer is right, and its log loss (for numbers: the absolute and the
squared error, divided by their means in fp32). A form passes if, by the bounds of the 95% intervals, neither value can
be worse than in fp32 by more than the tolerance. So a form does not pass if there are too few texts to tell.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from classifier.errors import InputError
from classifier.evaluation.comparison import paired_difference
from classifier.evaluation.intervals import paired_share_interval

COMPARED = 2  # the first values of a task's `paired_values`
LOG_LOSS = "log_loss"  # it is compared as it is; errors, which have the unit of the numbers, are divided by their mean


@dataclass(frozen=True)
class Difference:
    """The difference of a form to fp32 in one value, with its 95% interval.

    Attributes:
        mean: The form's mean minus that in fp32.
        low, high: The bounds of the interval.
        higher_is_better: True for shares of right answers, false for losses.
    """

    mean: float
    low: float
    high: float
    higher_is_better: bool

    @property
    def possible_loss(self) -> float:
        """By how much the form may be worse, by the bound of the interval."""
        return -self.low if self.higher_is_better else self.high


def differences(fp32: dict[str, pd.Series], form: dict[str, pd.Series]) -> dict[str, Difference]:
    """Return the differences of a form to fp32, by the name of the value.

    Args:
        fp32: The values of each text in fp32, as `paired_values` of a task's measures returns them.
        form: The same values by the form.

    Raises InputError if there is a single text, whose interval would have no bounds.

    >>> values = {"accuracy": pd.Series([True] * 1000), "log_loss": pd.Series([0.5] * 1000)}
    >>> {name: (found.mean, round(found.low, 4)) for name, found in differences(values, values).items()}
    {'accuracy': (0.0, -0.002), 'log_loss': (0.0, 0.0)}
    """
    found = {}
    for name in list(fp32)[:COMPARED]:
        before, after = fp32[name].to_numpy(), form[name].to_numpy()
        if len(before) == 1:
            raise InputError(
                "export.formats: a validation or test split of one text cannot show how a form differs from fp32; "
                "take more texts, or set export.formats to []"
            )
        if before.dtype == bool:
            found[name] = difference_of_shares(before, after)
        else:
            scale = 1.0 if name == LOG_LOSS else before.mean() or 1.0
            found[name] = difference_of_losses(before / scale, after / scale)
    return found


def difference_of_shares(fp32: np.ndarray, form: np.ndarray) -> Difference:
    """Compare which answers are right, (texts,) bool."""
    low, high = paired_share_interval(form, fp32)
    return Difference(float(form.mean() - fp32.mean()), low, high, higher_is_better=True)


def difference_of_losses(fp32: np.ndarray, form: np.ndarray) -> Difference:
    """Compare the losses of the answers, (texts,) float."""
    row = paired_difference(fp32, form)
    return Difference(*(float(row[name]) for name in ("difference", "low", "high")), higher_is_better=False)


def passes(found: dict[str, Difference], tolerance: float) -> bool:
    """Return whether, by the bounds of the intervals, no value can be worse than in fp32 by more than the tolerance."""
    return all(difference.possible_loss <= tolerance for difference in found.values())


def in_words(found: dict[str, Difference], texts: int, tolerance: float) -> str:
    """Return the differences in words, and which values can be worse than in fp32 by more than the tolerance."""
    found = {name.replace("_", " "): difference for name, difference in found.items()}
    parts = [f"{name} {d.mean:+z.4f} ({d.low:+z.4f} to {d.high:+z.4f})" for name, d in found.items()]
    words = f"difference to fp32 on {texts:,} validation texts: {', '.join(parts)}"
    failed = [name for name, difference in found.items() if difference.possible_loss > tolerance]
    if not failed:
        return words
    return f"{words}; {' and '.join(failed)} may be worse by more than export.tolerance, {tolerance:g}"
