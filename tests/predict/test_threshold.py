"""The confidence threshold: examples by hand, and a simulation of its guarantee."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binomtest

from classifier.predict.threshold import find_threshold, rows_needed
from classifier.tasks import single_label
from classifier.tasks.single_label import fit_calibration, prediction_columns
from classifier.training.calibration import cross_calibrate


def test_by_hand():
    confidence = np.linspace(1, 0.51, 50)
    right = np.ones(50, dtype=bool)
    assert rows_needed(0.8, 0.1) == 14  # 0.8 to the power of 14 is 0.044
    assert find_threshold(confidence, right, 0.8, 0.1) == pytest.approx(0.51, abs=1e-4)
    assert find_threshold(confidence[:13], right[:13], 0.8, 0.1) is None  # too few to tell
    assert find_threshold(confidence[:14], right[:14], 0.8, 0.1) == pytest.approx(0.87, abs=1e-4)
    assert find_threshold(confidence, ~right, 0.8, 0.1) is None
    right[30:] = False  # 30 of 31 right show it, with a chance of 0.009; 30 of 34 do not, with 0.2
    assert find_threshold(confidence, right, 0.8, 0.1) == pytest.approx(confidence[30], abs=1e-4)


def test_one_mistake_among_the_most_confident_rows_does_not_end_the_procedure():
    confidence, right = np.linspace(1, 0.51, 50), np.arange(50) > 0
    # 13 of 14 right have a chance of 0.2; 36 of 37 have one of 0.003, less than 0.05 / 14, and later ones have less.
    assert find_threshold(confidence, right, 0.8, 0.1) == pytest.approx(0.51, abs=1e-4)
    assert find_threshold(confidence[:30], right[:30], 0.8, 0.1) is None  # 0.01, above 0.05 / 8


def test_rows_of_equal_confidence_in_four_decimals_stay_together():
    confidence = np.array([0.9] * 20 + [0.85439] * 20 + [0.85432] * 20)
    right = np.array([True] * 40 + [False] * 20)
    assert find_threshold(confidence, right, 0.8, 0.1) == 0.9
    assert find_threshold(confidence, right | True, 0.8, 0.1) == 0.8543


@pytest.mark.parametrize("seed", range(5))
def test_the_widest_threshold_that_passes_is_taken(seed):
    """Compared with scipy's test at the numbers of rows that are fixed beforehand, each at its level by then."""
    rng = np.random.default_rng(seed)
    confidence = np.sort(rng.uniform(0.5, 1, 400))[::-1]
    right = rng.random(400) < confidence - 0.02
    counts = [14]
    while counts[-1] < 400:
        counts.append(min(400, int(np.ceil(14 * 1.1 ** len(counts)))))
    levels, passed = [0.05, *[0.05 / (len(counts) - 1)] * (len(counts) - 1)], []
    for number, count in enumerate(counts):
        if passed and passed[-1] == number - 1:
            levels[number] += levels[number - 1]
        if binomtest(int(right[:count].sum()), count, 0.8, alternative="greater").pvalue <= levels[number]:
            passed.append(number)
    expected = pytest.approx(confidence[counts[passed[-1]] - 1], abs=1e-4) if passed else None
    assert find_threshold(confidence, right, 0.8, 0.1) == expected
    assert bool(passed) == (seed != 1)


@pytest.mark.parametrize(
    ("labels", "rows", "target", "level", "draws"),
    [
        (2, 200, 0.9, 0.1, 300),
        (20, 200, 0.85, 0.05, 150),  # ten rows of each label, which the biases of the labels can overfit
        pytest.param(2, 200, 0.9, 0.1, 2000, marks=pytest.mark.scale),
        pytest.param(20, 200, 0.85, 0.05, 2000, marks=pytest.mark.scale),
        pytest.param(2, 1000, 0.95, 0.05, 2000, marks=pytest.mark.scale),
    ],
)
def test_the_guarantee_holds(labels, rows, target, level, draws):
    """In at most a share `level` of the draws, the accuracy of all texts above the threshold is below the target.

    Each draw has its own validation rows, whose logits are too confident and shifted, and its own calibration.
    """
    rng, missed, thresholds = np.random.default_rng(0), 0, 0

    def drawn(count: int) -> np.ndarray:
        """Return true log-odds, by which 81% of the answers are right with two labels, and 75% with twenty."""
        scores = rng.normal(0, 2.5 / np.sqrt(2) if labels == 2 else 1, (count, labels))
        scores[np.arange(count), rng.integers(labels, size=count)] += 0 if labels == 2 else 5
        return scores

    def overconfident(scores: np.ndarray) -> np.ndarray:
        """Return the logits of a network that is too confident and prefers a label."""
        return 1.8 * scores + 0.4 * (np.arange(labels) == 0)

    all_texts = drawn(2000)
    chances = softmax(all_texts, axis=1)
    for _ in range(draws):
        scores = drawn(rows)
        answers = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)  # drawn by their probabilities
        _, unseen = cross_calibrate(overconfident(scores), answers, [""] * labels, single_label, True)
        threshold = find_threshold(unseen["unseen_confidence"], unseen["unseen_right"], target, level)
        if threshold is None:
            continue
        temperature, bias = fit_calibration(overconfident(scores), answers)
        of_all = prediction_columns(overconfident(all_texts) / temperature + bias, [""] * labels, {})
        above = of_all["confidence"] >= threshold
        missed += chances[np.arange(len(chances)), of_all["predicted"]][above].mean() < target
        thresholds += 1
    assert thresholds > draws / 4
    assert missed / draws <= level + 2 * np.sqrt(level * (1 - level) / draws)
