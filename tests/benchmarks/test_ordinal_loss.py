"""The metrics of `make ordinal-loss`, and that its two trainings differ in the loss alone."""

import numpy as np
import pytest

from benchmarks.ordinal_loss import METRICS, for_task, metrics_of
from classifier.text.tokens import open_tokens


def test_metrics_by_hand():
    """Two ratings of three are right, and the third is two off; its expected value is 0.8 instead of 2."""
    probabilities = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.6, 0.0, 0.4]])
    values = metrics_of(probabilities, np.array([0, 1, 2]))
    # Weighted disagreements: observed 4, by chance (4 * 2 + 1 * 1 + 1 * 1 + 1 * 2) / 3 = 4.
    assert values == pytest.approx(dict(zip(METRICS, (0.0, 2 / 3, 0.4, 2 / 3, -np.log(0.4) / 3), strict=True)))


def test_another_task_has_the_same_rows(finished):
    tokens = open_tokens("train")
    other = for_task(tokens, "ordinal")
    assert (tokens.metadata["task"], other.metadata["task"]) == ("single-label", "ordinal")
    assert other.row_labels is tokens.row_labels
