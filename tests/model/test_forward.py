"""Batches of the forward pass: padding, sizes, and that the logits do not depend on them."""

import numpy as np
import torch
from encoders import sequences, small_bert

from classifier.model.forward import batches_by_length, logits, pad_batch


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
