"""Batches for the network: padding and sizes."""

import numpy as np

from classifier.model.padding import batches_by_length, pad_batch


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
