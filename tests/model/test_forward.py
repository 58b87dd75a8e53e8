"""Batches of the forward pass: padding, sizes, and that the logits do not depend on them."""

import numpy as np
import torch
from datasets import Dataset
from encoders import sequences, small_bert

from classifier.model.forward import batches_by_length, logits, logits_and_features, pad_batch
from classifier.text.tokens import Tokens


def test_pad_batch_by_hand():
    batch = pad_batch([np.array([5, 6, 7]), np.array([8])], 9)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    for max_length, ids, mask in (
        (None, [5, 6, 7, 9], [1, 1, 1, 0]),
        (4, [5, 6, 7, 9], [1, 1, 1, 0]),
        (3, [5, 6, 7], [1] * 3),
    ):
        wider = pad_batch([np.array([5, 6, 7]), np.array([8])], 9, multiple=4, max_length=max_length)
        assert [wider["input_ids"].tolist()[0], wider["attention_mask"].tolist()[0]] == [ids, mask]
    assert pad_batch([np.array([5, 6])], 9, multiple=2)["input_ids"].tolist() == [[5, 6]]


def test_batches_hold_every_row_once_within_the_limit():
    lengths = np.array([3, 10, 4, 9, 50, 2])
    batches = [rows.tolist() for rows in batches_by_length(lengths, 20)]
    assert batches == [[4], [1, 3], [2, 0, 5]]  # the row of 50 tokens is above the limit and alone


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
