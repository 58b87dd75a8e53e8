"""Single labels: weights, loss and calibration."""

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, softmax
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from classifier.evaluation.metrics import expected_calibration_error, reliability
from classifier.tasks.single_label import fit_calibration, loss_settings, quality


def test_weights_of_the_labels_by_hand():
    labels = np.array([0] * 6 + [1] * 2)
    assert loss_settings(None, labels, ["no", "yes"]) is None
    assert loss_settings("balanced", labels, ["no", "yes"]).tolist() == pytest.approx([8 / (2 * 6), 8 / (2 * 2)])
    by_name = loss_settings({"yes": 5}, labels, ["no", "yes"])  # the rows' mean weight is (6 * 1 + 2 * 5) / 8 = 2
    assert by_name.tolist() == [0.5, 2.5]


def test_loss_and_accuracy_by_hand():
    loss, accuracy = quality(np.log([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]), np.array([0, 1, 1]))
    assert loss == pytest.approx(-np.log([0.5, 0.8, 0.1]).mean())
    assert accuracy == pytest.approx(2 / 3)
    weighted = quality(np.log([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]), np.array([0, 1, 1]), np.array([3.0, 1.0]))
    assert weighted == pytest.approx((-(3 * np.log(0.5) + np.log(0.8) + np.log(0.1)) / 5, accuracy))


def test_a_network_trained_with_label_weights_is_calibrated_to_the_shares_of_the_labels():
    """One row in ten is positive. After a training with a balanced loss the network predicts as if one in two were."""
    rng = np.random.default_rng(2)
    labels = (rng.random(40_000) < 0.1).astype(int)
    signal = rng.normal(2.0 * labels - 1, 1.5)
    log_odds = 2 * 2.0 * signal / 1.5**2 / 2  # the logarithm of the likelihood ratio: the logit for equal shares
    logits = np.column_stack([np.zeros_like(log_odds), log_odds])
    fit, test = slice(0, 20_000), slice(20_000, None)
    assert softmax(logits, axis=1)[:, 1].mean() > 0.25
    temperature, bias = fit_calibration(logits[fit], labels[fit])
    probabilities = softmax(logits[test] / temperature + bias, axis=1)
    assert probabilities[:, 1].mean() == pytest.approx(labels[test].mean(), abs=0.005)
    assert expected_calibration_error(reliability(probabilities, labels[test], 15)) < 0.01
    alone = minimize_scalar(lambda t: quality(logits[fit] / t, labels[fit])[0], bounds=(0.1, 10)).x
    assert softmax(logits[test] / alone, axis=1)[:, 1].mean() > 0.2  # a temperature alone cannot undo the weights


def test_a_label_of_one_row_in_two_thousand():
    """A balanced weight shifts its logit by 7.6. The calibration shifts it back."""
    rng = np.random.default_rng(3)
    labels = (rng.random(200_000) < 0.0005).astype(int)
    log_odds = 2 * rng.normal(2.0 * labels - 1, 1.5) / 1.5**2
    logits = np.column_stack([np.zeros_like(log_odds), log_odds])
    temperature, bias = fit_calibration(logits, labels)
    assert bias[1] - bias[0] == pytest.approx(np.log(0.0005 / 0.9995), abs=0.5)
    assert softmax(logits / temperature + bias, axis=1)[:, 1].mean() == pytest.approx(labels.mean(), rel=0.01)


def test_the_calibration_of_a_few_rows_without_a_mistake_maximizes_the_posterior():
    """The reference is a search without gradients, with scipy's normal distribution as the prior."""
    logits, labels = np.array([[2.0, 0.0], [0.0, 3.0], [0.0, 1.0]]), np.array([0, 1, 1])

    def negative_log_posterior(values):
        log_likelihood = log_softmax(logits / np.exp(values[0]) + values[1:], axis=1)[range(3), labels].sum()
        return -log_likelihood - norm.logpdf(values[0]) - norm.logpdf(values[1:], scale=2).sum()

    temperature, bias = fit_calibration(logits, labels)
    expected = minimize(
        negative_log_posterior, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}
    ).x
    assert np.log(temperature) == pytest.approx(expected[0], abs=1e-4)
    assert bias == pytest.approx(expected[1:], abs=1e-4)
    assert 0.5 < temperature < 1


@pytest.mark.parametrize("rows", [50, 200, 1000])
def test_a_calibration_by_a_few_rows_does_not_spoil_calibrated_logits(rows):
    """The logits are the true ones of five labels with unequal shares, and nearly all rows are right.

    Without a prior, a calibration by 50 rows made the log loss of new rows 8 times as high.
    """
    rng, shares = np.random.default_rng(4), np.array([0.6, 0.2, 0.1, 0.06, 0.04])

    def drawn(count):
        labels = rng.choice(5, count, p=shares)
        signal = rng.normal(
            4 * np.eye(5)[labels], 1.0
        )  # the likelihood of label k is exp(4 * signal[k]) up to a factor
        return 4 * signal + np.log(shares), labels

    new_logits, new_labels = drawn(20_000)
    best = quality(new_logits, new_labels)[0]
    losses = [
        quality(new_logits / temperature + bias, new_labels)[0]
        for temperature, bias in (fit_calibration(*drawn(rows)) for _ in range(10))
    ]
    assert np.mean(losses) < 1.3 * best


def test_two_labels_as_scikit_learn_fits_them():
    """The reference is a logistic regression without penalty on the difference of the logits.

    There are so many rows that the prior hardly matters.
    """
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (200_000, 2))
    labels = (rng.random(200_000) < expit(0.7 * (logits[:, 1] - logits[:, 0]) + 0.4)).astype(int)
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, 1:] - logits[:, :1], labels)
    temperature, bias = fit_calibration(logits, labels)
    assert 1 / temperature == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert bias == pytest.approx([-reference.intercept_[0] / 2, reference.intercept_[0] / 2], abs=1e-4)
