import numpy as np
import pytest
import torch
from encoders import small_bert
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, softmax
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from classifier.evaluation.metrics import expected_calibration_error, reliability
from classifier.model.adapters import apply_method
from classifier.model.build import last_layer
from classifier.params.catalogue import Method
from classifier.training.calibration import calibrate, cross_calibrate, fit_calibration, loss_and_accuracy


def test_loss_and_accuracy_by_hand():
    loss, accuracy = loss_and_accuracy(np.log([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]), np.array([0, 1, 1]))
    assert loss == pytest.approx(-np.log([0.5, 0.8, 0.1]).mean())
    assert accuracy == pytest.approx(2 / 3)
    weighted = loss_and_accuracy(
        np.log([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]), np.array([0, 1, 1]), np.array([3.0, 1.0])
    )
    assert weighted == pytest.approx((-(3 * np.log(0.5) + np.log(0.8) + np.log(0.1)) / 5, accuracy))


def test_calibrate_finds_the_temperature_and_biases_that_made_the_labels():
    rng = np.random.default_rng(0)
    true_logits = rng.normal(0, 2, (20000, 3))
    labels = np.array([rng.choice(3, p=row) for row in softmax(true_logits, axis=1)])
    model, batch = small_bert(labels=3), {"input_ids": torch.tensor([[1, 9, 2]])}
    before = model.eval()(**batch).logits
    temperature, bias = calibrate(model, 2.5 * (true_logits - [1, -1, 0]), labels)  # overconfident and shifted
    assert temperature == pytest.approx(2.5, rel=0.03)
    assert bias == pytest.approx([1, -1, 0], abs=0.05)
    torch.testing.assert_close(model(**batch).logits, before / temperature + torch.from_numpy(bias).float())


@pytest.mark.parametrize("peft_type", ["LORA", "P_TUNING"])
def test_the_head_is_calibrated_and_not_the_prompt_encoder(peft_type):
    """A layer of the prompt encoder has as many outputs as there are labels."""
    settings = {"P_TUNING": {"num_virtual_tokens": 3, "encoder_hidden_size": 2}}.get(peft_type, {})
    model, head = small_bert(), ["classifier"]
    layer = last_layer(apply_method(model, head, Method(peft={"peft_type": peft_type, **settings}), {}, steps=1))
    assert layer in model.classifier.modules()


def test_a_network_trained_with_label_weights_is_calibrated_to_the_shares_of_the_labels():
    """One row in ten is positive. After a training with a balanced loss the network predicts as if one in two were."""
    rng = np.random.default_rng(2)
    labels = (rng.random(40_000) < 0.1).astype(int)
    signal = rng.normal(2.0 * labels - 1, 1.5)
    log_odds = 2 * 2.0 * signal / 1.5**2 / 2  # the logarithm of the likelihood ratio: the logit for equal shares
    logits = np.column_stack([np.zeros_like(log_odds), log_odds])
    fit, test = slice(0, 20_000), slice(20_000, None)
    assert softmax(logits, axis=1)[:, 1].mean() > 0.25
    temperature, bias = calibrate(small_bert(), logits[fit], labels[fit])
    probabilities = softmax(logits[test] / temperature + bias, axis=1)
    assert probabilities[:, 1].mean() == pytest.approx(labels[test].mean(), abs=0.005)
    assert expected_calibration_error(reliability(probabilities, labels[test], 15)) < 0.01
    alone = minimize_scalar(lambda t: loss_and_accuracy(logits[fit] / t, labels[fit])[0], bounds=(0.1, 10)).x
    assert softmax(logits[test] / alone, axis=1)[:, 1].mean() > 0.2  # a temperature alone cannot undo the weights


def test_a_label_of_one_row_in_two_thousand():
    """A balanced weight shifts its logit by 7.6. The calibration shifts it back."""
    rng = np.random.default_rng(3)
    labels = (rng.random(200_000) < 0.0005).astype(int)
    log_odds = 2 * rng.normal(2.0 * labels - 1, 1.5) / 1.5**2
    logits = np.column_stack([np.zeros_like(log_odds), log_odds])
    temperature, bias = calibrate(small_bert(), logits, labels)
    assert bias[1] - bias[0] == pytest.approx(np.log(0.0005 / 0.9995), abs=0.5)
    assert softmax(logits / temperature + bias, axis=1)[:, 1].mean() == pytest.approx(labels.mean(), rel=0.01)


def test_the_calibration_of_a_few_rows_without_a_mistake_maximizes_the_posterior():
    """The reference is a search without gradients, with scipy's normal distribution as the prior."""
    logits, labels = np.array([[2.0, 0.0], [0.0, 3.0], [0.0, 1.0]]), np.array([0, 1, 1])

    def negative_log_posterior(values):
        log_likelihood = log_softmax(logits / np.exp(values[0]) + values[1:], axis=1)[range(3), labels].sum()
        return -log_likelihood - norm.logpdf(values[0]) - norm.logpdf(values[1:], scale=2).sum()

    temperature, bias = calibrate(small_bert(), logits, labels)
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
    best = loss_and_accuracy(new_logits, new_labels)[0]
    losses = [
        loss_and_accuracy(new_logits / temperature + bias, new_labels)[0]
        for temperature, bias in (calibrate(small_bert(labels=5), *drawn(rows)) for _ in range(10))
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
    temperature, bias = calibrate(small_bert(), logits, labels)
    assert 1 / temperature == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert bias == pytest.approx([-reference.intercept_[0] / 2, reference.intercept_[0] / 2], abs=1e-4)


def test_a_head_without_a_bias_gets_a_temperature_alone():
    """The reference is a search for the temperature alone, with the same prior."""
    rng = np.random.default_rng(5)
    logits, labels = 3 * rng.normal(0, 1, (200, 3)) + [1, 0, 0], rng.integers(3, size=200)
    model, batch = small_bert(labels=3), {"input_ids": torch.tensor([[1, 9, 2]])}
    model.classifier.bias = None
    before = model.eval()(**batch).logits
    temperature, bias = calibrate(model, logits, labels)

    def negative_log_posterior(log_temperature):
        return 200 * loss_and_accuracy(logits / np.exp(log_temperature), labels)[0] - norm.logpdf(log_temperature)

    expected = minimize_scalar(negative_log_posterior, bounds=(-3, 3), options={"xatol": 1e-8}).x
    assert np.log(temperature) == pytest.approx(expected, abs=1e-5)
    assert bias.tolist() == [0, 0, 0]
    torch.testing.assert_close(model(**batch).logits, before / temperature)
    alone = cross_calibrate(logits, labels, with_bias=False)
    np.testing.assert_array_equal(alone.argmax(axis=1), logits.argmax(axis=1))  # no answer changes


def test_no_row_is_calibrated_by_its_own_label():
    """Each fold has the calibration of the other folds. A changed label leaves the logits of its own row unchanged."""
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(0, 2, (53, 3)), rng.integers(3, size=53)
    calibrated = cross_calibrate(logits, labels)
    not_in_fold_2 = np.arange(53) % 5 != 2
    temperature, bias = fit_calibration(logits[not_in_fold_2], labels[not_in_fold_2])
    np.testing.assert_allclose(calibrated[2::5], logits[2::5] / temperature + bias)
    changed_labels = labels.copy()
    changed_labels[7] = (labels[7] + 1) % 3
    changed = cross_calibrate(logits, changed_labels)
    np.testing.assert_array_equal(changed[2::5], calibrated[2::5])
    assert not np.allclose(changed[3::5], calibrated[3::5])
    assert cross_calibrate(logits[:2], labels[:2]).shape == (2, 3)
