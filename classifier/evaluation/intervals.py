"""Intervals and tests of accuracies, by scipy's binomial test."""

import numpy as np


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """(low, high) of the 95% interval of the share right / n (Wilson 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(int(right), int(n)).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided exact p-value that two classifiers are equally often right on the same rows (McNemar 1947).

    first, second: (rows,) bool, whether each is right.
    """
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    disagreements = only_first + only_second
    return float(binomtest(only_first, disagreements).pvalue) if disagreements else 1.0
