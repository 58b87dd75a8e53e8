"""The two-sample test between the features of a file's texts and those of the validation texts."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from classifier.predict.distance import FEWEST, distance, two_sample_test


def drawn(rows: int, seed: int, shift: float = 0.0, width: int = 4) -> np.ndarray:
    """Draw Gaussian features whose first column has the mean `shift`."""
    features = np.random.default_rng(seed).normal(size=(rows, width))
    features[:, 0] += shift
    return features


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_the_auc_is_that_of_two_gaussians(shift):
    """The best discriminant of two Gaussians at a distance d has an AUC of Phi(d / sqrt 2)."""
    auc, p_value = two_sample_test(drawn(4000, 1, shift), drawn(4000, 2))
    assert auc == pytest.approx(norm.cdf(shift / 2**0.5), abs=0.015)
    assert p_value < 1e-20


def test_features_apart_by_hand():
    """The classifier separates the halves, so the AUC is 1. The ranks then have the sum of squares of 20 and 30."""
    sample, reference = np.linspace(5, 6, 40)[:, None], np.linspace(0, 1, 60)[:, None]
    auc, p_value = two_sample_test(sample, reference)
    deviation = (20 * 30 * (20 + 30 + 1) / 12) ** 0.5  # of the number of pairs, whose mean is 300
    assert (auc, p_value) == (1.0, pytest.approx(norm.sf((600 - 0.5 - 300) / deviation)))


def test_the_level():
    p_values = [two_sample_test(drawn(60, seed), drawn(80, seed + 10_000))[1] for seed in range(400)]
    for level in (0.05, 0.2):
        assert binomtest(sum(p < level for p in p_values), 400, level).pvalue > 0.01


def test_a_small_difference_does_not_alarm():
    small = distance(drawn(2000, 1, 0.3), drawn(2000, 2))
    assert small["p_value"] < 0.001
    assert 0.53 < small["auc"] < 0.64
    assert not small["differs"]
    assert distance(drawn(2000, 1, 1.0), drawn(2000, 2))["differs"]
    few = distance(drawn(30, 3, 0.8), drawn(30, 6))
    assert few["auc"] >= 0.64
    assert not few["differs"]  # an AUC that 15 texts beside 15 often have by chance


def test_the_rows_of_a_file_can_be_sorted():
    """The file's numbers are larger by 0.6, but those of its first half are smaller than the others by 0.2."""
    sample, reference = np.sort(drawn(1000, 1, 0.6, width=1), axis=0), drawn(1000, 2, width=1)
    auc, p_value = two_sample_test(sample, reference)
    assert auc == pytest.approx(norm.cdf(0.6 / 2**0.5), abs=0.03)
    assert p_value < 0.001


def test_too_few_texts_and_an_adapter_without_features():
    assert distance(drawn(FEWEST - 1, 1), drawn(500, 2)) == {
        "texts": FEWEST - 1,
        "validation_texts": 500,
        "not_compared": "fewer than 30 texts",
    }
    assert "not_compared" in distance(drawn(500, 1), drawn(FEWEST - 1, 2))
    assert "not_compared" not in distance(drawn(FEWEST, 1), drawn(FEWEST, 2))
    assert distance(np.array([]), drawn(500, 2))["texts"] == 0
    without = distance(drawn(500, 1), None)
    assert without["not_compared"].startswith("models/adapter has no features of validation texts; train it again")


def test_features_that_are_all_equal():
    """A network that reads nothing gives all texts the same features."""
    same = distance(np.ones((50, 3)), np.ones((60, 3)))
    assert (same["auc"], same["differs"]) == (0.5, False)
