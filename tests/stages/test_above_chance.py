"""The permutation test by which the stage `baseline` knows whether it has learned something."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from classifier.baseline import NothingLearnedError, Predictions, check_above_chance
from classifier.tasks import single_label


def above_chance(*tables: pd.DataFrame) -> bool:
    parts = [Predictions(*table[["label", "predicted"]].to_numpy(copy=True).T, table.index) for table in tables]
    try:
        check_above_chance(single_label, parts)
    except NothingLearnedError:
        return False
    return True


@pytest.mark.parametrize("n", [20, 200])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_the_permutation_test_agrees_with_fishers_exact_test(n, share):
    """With two labels, the permutation test is Fisher's one-sided test."""
    rng, outcomes = np.random.default_rng(0), set()
    for knows in np.linspace(-1, 1, 40):
        labels = (rng.random(n) < share).astype(int)
        predicted = np.where(rng.random(n) < abs(knows), labels if knows > 0 else 1 - labels, rng.permutation(labels))
        table = [[((labels == i) & (predicted == j)).sum() for j in (0, 1)] for i in (0, 1)]
        p = fisher_exact(table, alternative="greater").pvalue
        if not 0.03 < p < 0.08:  # in between, the result depends on the number of shuffles
            assert above_chance(pd.DataFrame({"label": labels, "predicted": predicted})) == (p < 0.05)
            outcomes.add(p < 0.05)
    assert outcomes == {True, False}


def test_better_than_chance_within_the_splits():
    """Labels that only differ between the splits show no learning; a few texts of several splits together may."""
    all_zero, all_one = (pd.DataFrame({"label": label, "predicted": label}, index=range(20)) for label in (0, 1))
    assert not above_chance(all_zero, all_one)
    assert above_chance(pd.concat([all_zero, all_one]))
    four = pd.DataFrame({"label": [0, 0, 1, 1], "predicted": [0, 0, 1, 1]})
    assert not above_chance(four)
    assert not above_chance(four, four[:0])
    assert above_chance(four, four, four)  # the chance is one in 6 * 6 * 6
