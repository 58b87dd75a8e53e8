"""Compare two classifiers on the same texts."""

import numpy as np
import pandas as pd

from classifier.evaluation.intervals import mcnemar


def differences(first: dict[str, pd.Series], second: dict[str, pd.Series]) -> dict[str, dict[str, float]]:
    """Compare the values of two classifiers for the same rows, as `paired_values` of a task returns them.

    Returns:
        For each metric: its value for each classifier, the difference (second minus first), its 95% interval (low,
        high) by the paired t-test, and a p-value. If the values say whether an answer is right, the metric is in
        points, and the p-value is McNemar's. Otherwise it is the paired t-test's.
    """
    return {name: compared(first[name].to_numpy(), second[name].to_numpy()) for name in first if name in second}


def compared(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Compare two values of each text, (texts,) bool or floats, as described at `differences`."""
    if first.dtype == bool:
        return paired_difference(100.0 * first, 100.0 * second) | {"p": mcnemar(second, first)}
    return paired_difference(first, second)


def paired_difference(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Compare two values of each text, (texts,) floats, by the paired t-test.

    Returns:
        The two means (first, second), the mean difference, its 95% interval (low, high) and the p-value (p).
    """
    from scipy.stats import ttest_rel

    means = {"first": first.mean(), "second": second.mean(), "difference": (second - first).mean()}
    if np.array_equal(first, second):  # the t-test of equal values is undefined
        return means | {"low": 0.0, "high": 0.0, "p": 1.0}
    test = ttest_rel(second, first)
    low, high = test.confidence_interval()
    return means | {"low": low, "high": high, "p": test.pvalue}
