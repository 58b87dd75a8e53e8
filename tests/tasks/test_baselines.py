"""The baselines of the tasks: held-out scores as scikit-learn's cross_val_predict computes them."""

import warnings

import numpy as np
import pytest
from scipy.sparse import random as random_terms
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, cross_val_predict

from classifier.tasks.folds import out_of_fold
from classifier.tasks.task import TASKS

TERMS = random_terms(60, 20, 0.3, format="csr", random_state=0)
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("task", ["single-label", "ordinal"])
def test_held_out_log_probabilities_as_in_scikit_learn(task):
    """Label 1 has fewer texts than folds, and label 3 has none."""
    labels = np.array([1] * 4 + [0, 2] * 28)
    rows, scores = out_of_fold(TASKS[task], TERMS, labels, 4, 2.0)
    expected = cross_val_predict(LogisticRegression(C=2.0), TERMS[4:], labels[4:], cv=5, method="predict_proba")
    assert rows.tolist() == [*range(4, 60)]
    np.testing.assert_allclose(np.exp(scores[:, [0, 2]]), expected)
    assert np.isneginf(scores[:, [1, 3]]).all()


def test_held_out_log_odds_are_those_of_each_label_by_itself():
    """All texts have the last label, and none has the one before it."""
    labels = np.column_stack([RNG.integers(0, 2, (60, 2)), np.zeros(60), np.ones(60)]).astype(np.uint8)
    rows, scores = out_of_fold(TASKS["multi-label"], TERMS, labels, 4, 2.0)
    assert rows.tolist() == [*range(60)]
    for number in (0, 1):
        model = LogisticRegression(C=2.0)
        expected = cross_val_predict(model, TERMS, labels[:, number], cv=KFold(5), method="predict_proba")[:, 1]
        np.testing.assert_allclose(expit(scores[:, number]), expected)
    assert expit(scores[:, 2:]).tolist() == [[0, 1]] * 60


def test_held_out_numbers_as_in_scikit_learn():
    labels = RNG.normal(size=60)
    rows, scores = out_of_fold(TASKS["regression"], TERMS, labels, 1, 2.0)
    assert rows.tolist() == [*range(60)]
    np.testing.assert_allclose(scores[:, 0], cross_val_predict(Ridge(alpha=2.5, solver="lsqr"), TERMS, labels, cv=5))


@pytest.mark.parametrize("task", TASKS)
def test_too_few_rows_have_no_folds(task):
    labels = np.array([[0, 1], [1, 0]] * 2 if task == "multi-label" else [0, 1] * 2)
    rows, scores = out_of_fold(TASKS[task], TERMS[:4], labels, 2, 2.0)
    assert (len(rows), scores.shape) == (0, (0, 2))


def test_a_fit_hides_its_own_warnings_alone():
    """scikit-learn warns of a label that all texts have or none has."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        TASKS["multi-label"].fit_baseline(TERMS, np.tile([0, 1], (60, 1)), 2.0)
        assert warnings.filters == before
    assert shown == []
