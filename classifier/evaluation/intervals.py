"""Confidence intervals and significance tests of accuracies, computed by scipy."""

import numpy as np


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """Return the 95% confidence interval (low, high) of the share right / n (Wilson 1927).

    >>> [round(bound, 3) for bound in wilson_interval(90, 100)]
    [0.826, 0.945]
    """
    from scipy.stats import binomtest

    interval = binomtest(int(right), int(n)).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sided exact p-value of McNemar's test (McNemar 1947).

    The null hypothesis is that two classifiers are right equally often on the same rows.

    Args:
        first: (rows,) bool, whether the first classifier is right.
        second: (rows,) bool, whether the second classifier is right.
    """
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    disagreements = only_first + only_second
    return float(binomtest(only_first, disagreements).pvalue) if disagreements else 1.0
