"""Calibration, intervals and thresholds of the tasks on made-up logits whose right calibration is known."""

import math
import warnings

import numpy as np
import pytest
import torch
from encoders import small_bert
from scipy.special import expit

from classifier.tasks import multi_label, regression
from classifier.tasks.task import TASKS
from classifier.training.calibration import calibrate, cross_calibrate, fold_masks


def test_each_label_gets_the_temperature_and_the_bias_that_made_it():
    rng = np.random.default_rng(0)
    temperatures, biases = np.array([2.5, 0.5, 1.0]), np.array([1.0, -2.0, 0.0])
    right = rng.normal(-0.5, 2, (5_000, 3))
    labels = (rng.random(right.shape) < expit(right)).astype(np.uint8)
    model, batch = small_bert(labels=3), {"input_ids": torch.tensor([[1, 9, 2]])}
    before = model.eval()(**batch).logits
    temperature, bias = calibrate(model, (right - biases) * temperatures, labels, multi_label)
    assert temperature == pytest.approx(temperatures, rel=0.1)
    assert bias == pytest.approx(biases, abs=0.2)
    expected = before / torch.from_numpy(temperature) + torch.from_numpy(bias)
    torch.testing.assert_close(model(**batch).logits.double(), expected)


def test_a_label_without_texts_does_not_spoil_the_others():
    logits = np.random.default_rng(0).normal(size=(60, 2))
    labels = np.column_stack([np.zeros(60), logits[:, 1] > 0]).astype(np.uint8)
    temperature, bias = multi_label.fit_calibration(logits, labels)
    assert np.isfinite(temperature).all()
    assert expit(logits / temperature + bias)[:, 0].max() < 0.1


def test_the_calibration_of_numbers_is_a_line_of_least_squares():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 1)).astype(np.float32)
    labels = 7 + 3 * logits[:, 0] + rng.normal(size=200)
    slope, intercept = np.polyfit(logits[:, 0].astype(float), labels, 1)
    model, batch = small_bert(labels=1), {"input_ids": torch.tensor([[1, 9, 2]])}
    before = model.eval()(**batch).logits.item()
    temperature, bias = calibrate(model, logits, labels, regression)
    assert (1 / temperature, *bias) == pytest.approx((slope, intercept))
    assert model(**batch).logits.item() == pytest.approx(slope * before + intercept, rel=1e-5)


@pytest.mark.parametrize("slope", [-2.0, 0.0])
def test_logits_that_say_nothing_about_the_numbers_give_their_mean(slope):
    logits = np.linspace(-1, 1, 21)[:, None]
    temperature, bias = regression.fit_calibration(logits, 5 + slope * logits[:, 0])
    assert logits / temperature + bias == pytest.approx(np.full((21, 1), 5.0), abs=1e-5)
    temperature, bias = regression.fit_calibration(logits * 0, 5 + logits[:, 0])
    assert (temperature, *bias) == pytest.approx((1e6, 5.0))


@pytest.mark.parametrize("rows", [60, 200])
def test_an_interval_holds_nine_of_ten_new_numbers(rows):
    """2,000 draws of calibration rows with skewed errors. A draw's coverage has a known distribution."""
    rng, draws = np.random.default_rng(rows), 2000
    coverage = []
    for errors in rng.exponential(size=(draws, rows)):
        margin = regression.decide(np.zeros((rows, 1)), errors)["margin"]
        coverage.append(-math.expm1(-margin))  # of the exponential distribution
    error = np.std(coverage) / np.sqrt(draws)
    exact = math.ceil((rows + 1) * 0.9) / (rows + 1)
    assert np.mean(coverage) >= 0.9 - 3 * error
    assert np.mean(coverage) == pytest.approx(exact, abs=4 * error)


def test_a_cross_fitted_interval_holds_nine_of_ten_new_numbers():
    """As the stage `train` computes it: the residuals are by calibrations that were fitted on other rows."""
    rng, rows, draws = np.random.default_rng(0), 60, 2000
    coverage = []
    for _ in range(draws):
        logits = rng.normal(size=(rows + 40, 1))
        labels = 3 * logits[:, 0] + rng.normal(size=rows + 40)
        fit, new = slice(0, rows), slice(rows, None)
        temperature, bias = regression.fit_calibration(logits[fit], labels[fit])
        scores, _ = cross_calibrate(logits[fit], labels[fit], ["score"], regression, True)
        margin = regression.decide(scores, labels[fit])["margin"]
        coverage.append((np.abs(labels[new] - (logits[new] / temperature + bias)[:, 0]) <= margin).mean())
    assert np.mean(coverage) >= 0.9 - 3 * np.std(coverage) / np.sqrt(draws)


def test_the_smallest_number_of_rows_with_an_interval():
    errors = np.arange(1.0, 10.0)
    assert regression.decide(np.zeros((9, 1)), errors) == {"margin": 9.0}
    assert regression.decide(np.zeros((8, 1)), errors[:8]) == {"margin": None}
    assert regression.answers(np.array([[2.0]]), ["score"], {"margin": None}, 0.0) == {
        "value": [2.0],
        "low": [None],
        "high": [None],
    }


def f1(label: np.ndarray, answered: np.ndarray) -> float:
    return 2 * (label & answered).sum() / (label.sum() + answered.sum())


@pytest.mark.parametrize("decimals", [1, 2, 8])
def test_a_threshold_has_the_highest_f1_of_all(decimals):
    """Rounded probabilities have ties, which are answered together."""
    rng = np.random.default_rng(decimals)
    for _ in range(10):
        label = (rng.random(60) < 0.6).astype(np.uint8)
        probability = expit(2.0 * label - 1 + rng.normal(size=60)).round(decimals)
        threshold = multi_label.best_threshold(probability, label)
        best = max(f1(label, probability >= value) for value in np.unique(probability))
        assert f1(label, probability >= threshold) == pytest.approx(best)


@pytest.mark.parametrize("near", [0.99999, 0.00004])
def test_a_threshold_between_probabilities_that_are_nearly_equal(near):
    label = np.repeat([1, 0], 30).astype(np.uint8)
    probability = np.where(label, near, near - 2e-5)
    threshold = multi_label.best_threshold(probability, label)
    assert ((probability >= threshold) == label).all()


@pytest.mark.parametrize(
    ("positives", "rows", "is_half"), [(19, 100, True), (20, 100, False), (100, 100, True), (0, 100, True)]
)
def test_a_label_with_few_texts_has_the_threshold_one_half(positives, rows, is_half):
    label = (np.arange(rows) < positives).astype(np.uint8)
    threshold = multi_label.best_threshold(np.where(label, 0.3, 0.1), label)
    assert threshold == pytest.approx(0.5 if is_half else 0.2)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 12])
def test_the_folds_have_each_row_once(count):
    parts = fold_masks(count)
    assert np.sum([held_out for held_out, _ in parts], axis=0).tolist() == [1] * count
    assert all(others.any() for _, others in parts)
    assert count == 1 or not any((held_out & others).any() for held_out, others in parts)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_a_few_validation_rows_give_finite_numbers(name, count):
    rng, names = np.random.default_rng(count), ["1", "2", "3"][: 1 if name == "regression" else 3]
    logits = rng.normal(size=(count, len(names))).astype(np.float32)
    labels = {"regression": rng.normal(size=count), "multi-label": rng.integers(0, 2, (count, 3)).astype(np.uint8)}
    labels, task = labels.get(name, rng.integers(0, 3, count)), TASKS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        temperature, bias = task.fit_calibration(logits, labels)
        scores, unseen = cross_calibrate(logits, labels, names, task, True)
        task.decide(scores, labels)
    assert all(np.isfinite(values.astype(float)).all() and len(values) == count for values in unseen.values())
    assert np.isfinite(logits / temperature + bias).all()
    assert all(name.startswith("unseen_") for name in unseen)
