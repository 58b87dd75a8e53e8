import numpy as np
import torch
from encoders import sequences, small_bert

from classifier.model.forward import batches, logits, pad


def test_pad_by_hand():
    batch = pad([np.array([5, 6, 7]), np.array([8])], 9)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    for limit, ids, mask in (
        (None, [5, 6, 7, 9], [1, 1, 1, 0]),
        (4, [5, 6, 7, 9], [1, 1, 1, 0]),
        (3, [5, 6, 7], [1] * 3),
    ):
        wider = pad([np.array([5, 6, 7]), np.array([8])], 9, multiple=4, limit=limit)
        assert [wider["input_ids"].tolist()[0], wider["attention_mask"].tolist()[0]] == [ids, mask]
    assert pad([np.array([5, 6])], 9, multiple=2)["input_ids"].tolist() == [[5, 6]]


def test_batches_hold_every_row_once_within_the_budget():
    lengths = np.array([3, 10, 4, 9, 50, 2])
    found = list(batches(lengths, 20))
    assert found[0].tolist() == [4]  # longer than the budget: alone
    assert [rows.tolist() for rows in found[1:]] == [[1, 3], [2, 0, 5]]


def test_logits_do_not_depend_on_the_batch():
    model, rows = small_bert(labels=3).eval(), sequences(40)
    with torch.no_grad():
        alone = [model(input_ids=torch.from_numpy(row)[None]).logits[0].numpy() for row in rows]
    np.testing.assert_allclose(logits(model, rows), alone, atol=1e-5)
