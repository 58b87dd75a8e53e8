"""The forward pass: the logits do not depend on the batches, and the features are the inputs of the last layer."""

import numpy as np
import torch
from datasets import Dataset
from encoders import sequences, small_bert

from classifier.model.forward import logits, logits_and_features
from classifier.text.tokens import Tokens


def test_logits_do_not_depend_on_the_batch():
    model, rows = small_bert(labels=3).eval(), sequences(40)
    with torch.no_grad():
        alone = [model(input_ids=torch.from_numpy(row)[None]).logits[0].numpy() for row in rows]
    np.testing.assert_allclose(logits(model, rows), alone, atol=1e-5)


def test_features_are_the_inputs_of_the_last_layer():
    model, rows = small_bert(labels=3).eval(), sequences(40)
    scores, features = logits_and_features(model, rows)
    assert scores.tobytes() == logits(model, rows).tobytes()
    with torch.no_grad():
        alone = [model.bert(input_ids=torch.from_numpy(row)[None]).pooler_output[0].numpy() for row in rows]
        np.testing.assert_allclose(features, alone, atol=1e-5)
        np.testing.assert_allclose(model.classifier(torch.from_numpy(features)), scores, atol=1e-5)
    assert not model.classifier._forward_hooks
    assert logits_and_features(model, rows, with_features=False)[1].shape == (40, 0)


def test_the_features_of_a_text_are_the_mean_of_its_windows():
    model, rows = small_bert(labels=3), sequences(5)
    ids = Dataset.from_dict({"input_ids": rows}).with_format("numpy")
    tokens = Tokens(ids, np.array([len(row) for row in rows]), np.zeros(5), {}, np.array([0, 0, 1, 2, 2]))
    scores, features = logits_and_features(model, tokens)
    each = logits_and_features(model, rows)
    for whole, parts in zip((scores, features), each, strict=True):
        expected = [(parts[0] + parts[1]) / 2, parts[2], (parts[3] + parts[4]) / 2]
        np.testing.assert_allclose(whole, expected, atol=1e-5)
