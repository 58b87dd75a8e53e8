import numpy as np
import pytest
import torch
from encoders import small_bert
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from scipy.stats import norm

from classifier.model.adapters import apply_method
from classifier.model.build import last_layer
from classifier.params.catalogue import Method
from classifier.tasks import single_label
from classifier.tasks.single_label import fit_calibration, quality
from classifier.training.calibration import calibrate, cross_calibrate


def test_calibrate_finds_the_temperature_and_biases_that_made_the_labels():
    rng = np.random.default_rng(0)
    true_logits = rng.normal(0, 2, (20000, 3))
    labels = np.array([rng.choice(3, p=row) for row in softmax(true_logits, axis=1)])
    model, batch = small_bert(labels=3), {"input_ids": torch.tensor([[1, 9, 2]])}
    before = model.eval()(**batch).logits
    overconfident_and_shifted = 2.5 * (true_logits - [1, -1, 0])
    temperature, bias = calibrate(model, overconfident_and_shifted, labels, single_label)
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


def test_a_head_without_a_bias_gets_a_temperature_alone():
    """The reference is a search for the temperature alone, with the same prior."""
    rng = np.random.default_rng(5)
    logits, labels = 3 * rng.normal(0, 1, (200, 3)) + [1, 0, 0], rng.integers(3, size=200)
    model, batch = small_bert(labels=3), {"input_ids": torch.tensor([[1, 9, 2]])}
    model.classifier.bias = None
    before = model.eval()(**batch).logits
    temperature, bias = calibrate(model, logits, labels, single_label)

    def negative_log_posterior(log_temperature):
        return 200 * quality(logits / np.exp(log_temperature), labels)[0] - norm.logpdf(log_temperature)

    expected = minimize_scalar(negative_log_posterior, bounds=(-3, 3), options={"xatol": 1e-8}).x
    assert np.log(temperature) == pytest.approx(expected, abs=1e-5)
    assert bias.tolist() == [0, 0, 0]
    torch.testing.assert_close(model(**batch).logits, before / temperature)
    alone, _ = cross_calibrate(logits, labels, list("abc"), single_label, with_bias=False)
    np.testing.assert_array_equal(alone.argmax(axis=1), logits.argmax(axis=1))  # no answer changes


def test_no_row_is_calibrated_by_its_own_label():
    """Each fold has the calibration of the other folds. A changed label leaves the logits of its own row unchanged."""
    rng = np.random.default_rng(3)
    logits, labels, names = rng.normal(0, 2, (53, 3)), rng.integers(3, size=53), list("abc")
    calibrated, unseen = cross_calibrate(logits, labels, names, single_label, with_bias=True)
    not_in_fold_2 = np.arange(53) % 5 != 2
    temperature, bias = fit_calibration(logits[not_in_fold_2], labels[not_in_fold_2])
    np.testing.assert_allclose(calibrated[2::5], logits[2::5] / temperature + bias)
    np.testing.assert_allclose(unseen["unseen_confidence"], softmax(calibrated, axis=1).max(axis=1))
    np.testing.assert_array_equal(unseen["unseen_right"], calibrated.argmax(axis=1) == labels)
    changed_labels = labels.copy()
    changed_labels[7] = (labels[7] + 1) % 3
    changed, _ = cross_calibrate(logits, changed_labels, names, single_label, with_bias=True)
    np.testing.assert_array_equal(changed[2::5], calibrated[2::5])
    assert not np.allclose(changed[3::5], calibrated[3::5])
    assert cross_calibrate(logits[:2], labels[:2], names, single_label, with_bias=True)[0].shape == (2, 3)
