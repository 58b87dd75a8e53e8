"""The confidence that an accuracy needs: by hand, and that it keeps what it says, by simulation."""

import numpy as np
import pytest
from encoders import small_bert
from scipy.special import expit
from scipy.stats import binomtest

from stages.classifier.calibration import calibrate, predictions
from stages.use.threshold import guaranteed_confidence, rows_needed


def test_by_hand():
    confidence = np.linspace(1, 0.51, 50)
    right = np.ones(50, dtype=bool)
    assert rows_needed(0.8, 0.1) == 11  # 0.8 to the power of 11 is 0.086
    assert guaranteed_confidence(confidence, right, 0.8, 0.1) == pytest.approx(0.51, abs=1e-4)
    assert guaranteed_confidence(confidence[:10], right[:10], 0.8, 0.1) is None  # too few to tell
    assert guaranteed_confidence(confidence[:11], right[:11], 0.8, 0.1) == pytest.approx(0.9, abs=1e-4)
    assert guaranteed_confidence(confidence, ~right, 0.8, 0.1) is None
    right[0] = False  # the most confident one: 10 of 11 right do not show it, and there the tests end
    assert guaranteed_confidence(confidence, right, 0.8, 0.1) is None
    right[0], right[30:] = True, False  # 30 of 32 right show it, with a chance of 0.03; 30 of 35 do not, with 0.27
    assert guaranteed_confidence(confidence, right, 0.8, 0.1) == pytest.approx(confidence[31], abs=1e-4)


def test_what_is_equal_in_four_decimals_stands_or_falls_together():
    confidence = np.array([0.9] * 20 + [0.85439] * 20 + [0.85432] * 20)
    right = np.array([True] * 40 + [False] * 20)
    assert guaranteed_confidence(confidence, right, 0.8, 0.1) == 0.9
    assert guaranteed_confidence(confidence, right | True, 0.8, 0.1) == 0.8543


def test_the_last_threshold_is_the_widest_that_all_tests_before_it_pass():
    """Against exact intervals, which scipy computes in another way, at the counts that are fixed beforehand."""
    rng = np.random.default_rng(1)
    confidence = np.sort(rng.uniform(0.5, 1, 400))[::-1]
    right = rng.random(400) < confidence
    counts, expected = [11], None
    while counts[-1] < 400:
        counts.append(min(400, int(np.ceil(11 * 1.1 ** len(counts)))))
    for count in counts:
        hits = int(right[:count].sum())
        if binomtest(hits, count, alternative="greater").proportion_ci(0.9, "exact").low < 0.8:
            break
        expected = np.floor(confidence[count - 1] * 1e4) / 1e4
    assert 0.5 < expected < 0.99
    assert guaranteed_confidence(confidence, right, 0.8, 0.1) == pytest.approx(expected)


@pytest.mark.parametrize(("rows", "target", "level"), [(1000, 0.95, 0.05), (200, 0.9, 0.1)])
def test_it_keeps_its_promise(rows, target, level):
    """2,000 draws of validation rows whose logits are too sure and shifted, the calibration refitted in each: the
    accuracy of all texts above the threshold is below the target in no more of them than the level says.
    """
    rng, network, missed, found = np.random.default_rng(0), small_bert(), 0, 0
    everyone = rng.normal(0, 2.5, 20_000)  # true log-odds

    def shown(odds: np.ndarray) -> np.ndarray:
        """The logits of a network that is too sure, prefers a label and errs a little."""
        return np.column_stack([np.zeros_like(odds), 1.8 * odds + 0.4])

    for _ in range(2000):
        odds = rng.normal(0, 2.5, rows)
        labels = (rng.random(rows) < expit(odds)).astype(int)
        temperature, bias = calibrate(network, shown(odds), labels)
        validation = predictions(shown(odds) / temperature + bias, ["a", "b"])
        right = validation["predicted"] == labels
        threshold = guaranteed_confidence(validation["confidence"], right, target, level)
        if threshold is None:
            continue
        answers = predictions(shown(everyone) / temperature + bias, ["a", "b"])
        above = answers["confidence"] >= threshold
        chance = np.where(answers["predicted"] == 1, expit(everyone), expit(-everyone))
        missed += chance[above].mean() < target
        found += 1
    assert found > 1000
    assert missed / 2000 <= level + 2 * np.sqrt(level * (1 - level) / 2000)
