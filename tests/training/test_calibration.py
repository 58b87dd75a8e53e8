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
from classifier.training.calibration import calibrate, calibrated_by_others, calibration, quality


def test_quality_by_hand():
    loss, accuracy = quality(np.log([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]), np.array([0, 1, 1]))
    assert loss == pytest.approx(-np.log([0.5, 0.8, 0.1]).mean())
    assert accuracy == pytest.approx(2 / 3)
    weighted = quality(np.log([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]), np.array([0, 1, 1]), np.array([3.0, 1.0]))
    assert weighted == pytest.approx((-(3 * np.log(0.5) + np.log(0.8) + np.log(0.1)) / 5, accuracy))


def test_calibrate_finds_the_temperature_and_biases_that_made_the_labels():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (20000, 3))
    labels = np.array([rng.choice(3, p=row) for row in softmax(true, axis=1)])
    model, batch = small_bert(labels=3), {"input_ids": torch.tensor([[1, 9, 2]])}
    before = model.eval()(**batch).logits
    temperature, bias = calibrate(model, 2.5 * (true - [1, -1, 0]), labels)  # logits 2.5 times too sure, and shifted
    assert temperature == pytest.approx(2.5, rel=0.03)
    assert bias == pytest.approx([1, -1, 0], abs=0.05)
    torch.testing.assert_close(model(**batch).logits, before / temperature + torch.from_numpy(bias).float())


@pytest.mark.parametrize("peft_type", ["LORA", "P_TUNING"])
def test_the_head_is_calibrated_and_not_a_prompts_own_layer(peft_type):
    """Which is as wide as there are labels."""
    settings = {"P_TUNING": {"num_virtual_tokens": 3, "encoder_hidden_size": 2}}.get(peft_type, {})
    model, head = small_bert(), ["classifier"]
    layer = last_layer(apply_method(model, head, Method(peft={"peft_type": peft_type, **settings}), {}, steps=1))
    assert layer in model.classifier.modules()


def test_a_network_trained_with_weights_is_calibrated_to_the_labels_own_shares():
    """One in ten is positive, and a loss that is balanced makes the network see one in two."""
    rng = np.random.default_rng(2)
    labels = (rng.random(40_000) < 0.1).astype(int)
    signal = rng.normal(2.0 * labels - 1, 1.5)
    odds = 2 * 2.0 * signal / 1.5**2 / 2  # log of the likelihoods' ratio: the logit if both were as frequent
    scores = np.column_stack([np.zeros_like(odds), odds])
    fit, test = slice(0, 20_000), slice(20_000, None)
    assert softmax(scores, axis=1)[:, 1].mean() > 0.25
    temperature, bias = calibrate(small_bert(), scores[fit], labels[fit])
    probabilities = softmax(scores[test] / temperature + bias, axis=1)
    assert probabilities[:, 1].mean() == pytest.approx(labels[test].mean(), abs=0.005)
    assert expected_calibration_error(reliability(probabilities, labels[test], 15)) < 0.01
    alone = minimize_scalar(lambda t: quality(scores[fit] / t, labels[fit])[0], bounds=(0.1, 10)).x
    assert softmax(scores[test] / alone, axis=1)[:, 1].mean() > 0.2  # a temperature cannot undo it


def test_a_label_of_one_in_two_thousand():
    """Its balanced weight is a bias of 7.6, which the calibration takes back."""
    rng = np.random.default_rng(3)
    labels = (rng.random(200_000) < 0.0005).astype(int)
    odds = 2 * rng.normal(2.0 * labels - 1, 1.5) / 1.5**2
    scores = np.column_stack([np.zeros_like(odds), odds])
    temperature, bias = calibrate(small_bert(), scores, labels)
    assert bias[1] - bias[0] == pytest.approx(np.log(0.0005 / 0.9995), abs=0.5)
    assert softmax(scores / temperature + bias, axis=1)[:, 1].mean() == pytest.approx(labels.mean(), rel=0.01)


def test_a_few_labels_without_a_mistake_have_the_likeliest_calibration():
    """By a search without gradients over the posterior, written with scipy's normal distribution."""
    scores, labels = np.array([[2.0, 0.0], [0.0, 3.0], [0.0, 1.0]]), np.array([0, 1, 1])

    def surprise(values):
        likely = log_softmax(scores / np.exp(values[0]) + values[1:], axis=1)[range(3), labels].sum()
        return -likely - norm.logpdf(values[0]) - norm.logpdf(values[1:], scale=2).sum()

    temperature, bias = calibrate(small_bert(), scores, labels)
    expected = minimize(surprise, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}).x
    assert np.log(temperature) == pytest.approx(expected[0], abs=1e-4)
    assert bias == pytest.approx(expected[1:], abs=1e-4)
    assert 0.5 < temperature < 1


@pytest.mark.parametrize("rows", [50, 200, 1000])
def test_a_few_rows_do_not_spoil_what_needs_no_calibration(rows):
    """The logits are the true ones, of five labels of unequal shares, and nearly all rows are right. Without a prior
    the log loss of other rows was 8 times as high after 50 rows.
    """
    rng, shares = np.random.default_rng(4), np.array([0.6, 0.2, 0.1, 0.06, 0.04])

    def drawn(count):
        labels = rng.choice(5, count, p=shares)
        seen = rng.normal(4 * np.eye(5)[labels], 1.0)  # the likelihood of label k is exp(4 * seen[k]), up to a factor
        return 4 * seen + np.log(shares), labels

    others, others_labels = drawn(20_000)
    best = quality(others, others_labels)[0]
    found = [
        quality(others / temperature + bias, others_labels)[0]
        for temperature, bias in (calibrate(small_bert(labels=5), *drawn(rows)) for _ in range(10))
    ]
    assert np.mean(found) < 1.3 * best


def test_two_labels_as_scikit_learn_fits_them():
    """A logistic regression without penalty on the difference of the logits; of so many rows that a prior counts for
    little.
    """
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 2, (200_000, 2))
    labels = (rng.random(200_000) < expit(0.7 * (scores[:, 1] - scores[:, 0]) + 0.4)).astype(int)
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(scores[:, 1:] - scores[:, :1], labels)
    temperature, bias = calibrate(small_bert(), scores, labels)
    assert 1 / temperature == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert bias == pytest.approx([-reference.intercept_[0] / 2, reference.intercept_[0] / 2], abs=1e-4)


def test_no_row_is_calibrated_by_its_own_label():
    """Each fifth of the rows has the calibration of the other rows. A changed label leaves its own row as it was."""
    rng = np.random.default_rng(3)
    scores, labels = rng.normal(0, 2, (53, 3)), rng.integers(3, size=53)
    found = calibrated_by_others(scores, labels)
    others = np.arange(53) % 5 != 2
    temperature, bias = calibration(scores[others], labels[others])
    np.testing.assert_allclose(found[2::5], scores[2::5] / temperature + bias)
    changed = labels.copy()
    changed[7] = (labels[7] + 1) % 3
    again = calibrated_by_others(scores, changed)
    np.testing.assert_array_equal(again[2::5], found[2::5])
    assert not np.allclose(again[3::5], found[3::5])
    assert calibrated_by_others(scores[:2], labels[:2]).shape == (2, 3)
