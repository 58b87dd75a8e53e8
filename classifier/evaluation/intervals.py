"""Confidence intervals and significance tests."""

from collections.abc import Callable

import numpy as np

DRAWS = 1000  # of the bootstrap


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """Return the 95% confidence interval (low, high) of the share right / n (Wilson 1927).

    >>> [round(bound, 3) for bound in wilson_interval(90, 100)]
    [0.826, 0.945]
    """
    from scipy.stats import binomtest

    interval = binomtest(int(right), int(n)).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95% confidence interval (low, high) of a mean by the t distribution; of a single value, the value."""
    from scipy.stats import t

    mean, count = float(np.mean(values)), len(values)
    width = t.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count) if count > 1 else 0.0
    return mean - float(width), mean + float(width)


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


def paired_share_interval(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return the 95% confidence interval (low, high) of the difference of two shares on the same rows.

    Half a row is added to each of the four cells of the table of pairs (Agresti and Min 2005, "Simple improved
    confidence intervals for comparing matched proportions"). So the interval has a width even if no row differs.

    Args:
        first: (rows,) bool, such as whether the first classifier is right.
        second: (rows,) bool. The difference is the share of `first` minus that of `second`.

    >>> same = np.ones(100, dtype=bool)
    >>> [round(bound, 4) for bound in paired_share_interval(same, same)]
    [-0.0192, 0.0192]
    """
    from scipy.stats import norm

    rows, only_first, only_second = len(first) + 2, (first & ~second).sum() + 0.5, (second & ~first).sum() + 0.5
    difference = (only_first - only_second) / rows
    variance = (only_first + only_second - rows * difference**2) / rows**2
    width = norm.ppf(0.975) * np.sqrt(variance)
    return float(difference - width), float(difference + width)


def bootstrap_interval(statistic: Callable[[np.ndarray], float], count: int) -> tuple[float, float]:
    """Return the 95% confidence interval (low, high) of a statistic by the bootstrap's percentiles (Efron 1979).

    For a difference of two systems on the same rows, this is the paired bootstrap. The draws are the same in every run.

    Args:
        statistic: A function of the numbers of drawn rows, (count,).
        count: The number of rows.
    """
    rng = np.random.default_rng(0)
    values = [statistic(rng.integers(count, size=count)) for _ in range(DRAWS)]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def with_interval(name: str, statistic: Callable[[np.ndarray], float], count: int) -> dict[str, float]:
    """Return a statistic of all rows and the bounds of its `bootstrap_interval`, as NAME, NAME_low and NAME_high."""
    low, high = bootstrap_interval(statistic, count)
    return {name: statistic(np.arange(count)), f"{name}_low": low, f"{name}_high": high}
