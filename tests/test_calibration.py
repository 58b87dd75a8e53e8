import numpy as np
import pytest
import torch
from encoders import small_bert
from scipy.special import softmax

from stages.classifier.calibration import calibrate, quality


def test_quality_by_hand():
    loss, accuracy = quality(np.log([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]), np.array([0, 1, 1]))
    assert loss == pytest.approx(-np.log([0.5, 0.8, 0.1]).mean())
    assert accuracy == pytest.approx(2 / 3)


def test_calibrate_finds_the_temperature_that_made_the_labels():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (20000, 3))
    labels = np.array([rng.choice(3, p=row) for row in softmax(true, axis=1)])
    model, batch = small_bert(labels=3), {"input_ids": torch.tensor([[1, 9, 2]])}
    before = model.eval()(**batch).logits
    temperature = calibrate(model, 2.5 * true, labels)  # logits 2.5 times too sure
    assert temperature == pytest.approx(2.5, rel=0.03)
    torch.testing.assert_close(model(**batch).logits, before / temperature)
