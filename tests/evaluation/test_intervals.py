"""Intervals and tests, compared with their formulas."""

import numpy as np
import pytest

from classifier.evaluation.intervals import mcnemar, wilson_interval


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
