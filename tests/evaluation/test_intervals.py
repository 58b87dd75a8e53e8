"""Intervals and tests, compared with their formulas."""

import numpy as np
import pytest

from classifier.evaluation.intervals import mcnemar, paired_share_interval, wilson_interval


def test_wilson_interval_by_hand():
    # Wilson 1927: (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n), with p = 3/5
    z, n, p = 1.959964, 5, 0.6
    centre, half = p + z * z / 2 / n, z * (p * (1 - p) / n + z * z / 4 / n / n) ** 0.5
    expected = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    assert wilson_interval(3, 5) == pytest.approx(expected, abs=1e-6)
    assert wilson_interval(5, 5)[1] == 1


def test_mcnemar_by_hand():
    # On 10 rows only the first is right, on 2 only the second: 2 * (C(12,0) + C(12,1) + C(12,2)) / 2**12
    first = np.array([True] * 10 + [False] * 2 + [True] * 20)
    second = np.array([False] * 10 + [True] * 2 + [True] * 20)
    assert mcnemar(first, second) == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert mcnemar(second, first) == mcnemar(first, second)
    assert mcnemar(first, first) == 1.0


def test_paired_share_interval_is_wald_with_half_a_row_in_each_cell():
    """Agresti and Min 2005. Counted in whole rows: twice the rows, and one row of each of the four kinds.

    Wald's interval is the mean of the differences, +1, 0 or -1, and 1.96 times its standard error; twice the rows make
    the error smaller by the square root of 2.
    """
    rng = np.random.default_rng(0)
    for rows in (1, 7, 200):
        first, second = rng.random(rows) < 0.9, rng.random(rows) < 0.8
        cells = np.array([[True, True], [True, False], [False, True], [False, False]])
        both = np.concatenate([np.column_stack([first, second])] * 2 + [cells]).astype(float)
        gaps = both[:, 0] - both[:, 1]
        error = 2**0.5 * gaps.std() / len(gaps) ** 0.5
        expected = gaps.mean() - 1.959964 * error, gaps.mean() + 1.959964 * error
        assert paired_share_interval(first, second) == pytest.approx(expected, abs=1e-6)


def test_paired_share_interval_covers_the_difference():
    """In 95 of 100 samples of 200 rows of which the first classifier alone gets 6% right, and the second alone 2%."""
    rng, covered = np.random.default_rng(1), 0
    for _ in range(2000):
        drawn = rng.random(200)
        low, high = paired_share_interval(
            (drawn < 0.06) | (drawn > 0.2), (drawn > 0.06) & (drawn < 0.08) | (drawn > 0.2)
        )
        covered += low <= 0.04 <= high
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)
