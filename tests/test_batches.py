"""Batches and their gradient; micro-batches are in test_network.py, the whole training in test_pipeline.py."""

import numpy as np
import pytest
import torch
from encoders import sequences, small_bert

from stages.classifier.batches import epoch_batches, gradient, label_weights, multiplies_bf16


def test_each_epoch_has_every_row_once_in_another_order():
    lengths = np.random.default_rng(0).integers(5, 256, 1003)
    first, second = (epoch_batches(lengths, 16, 7, epoch) for epoch in (0, 1))
    for batches in (first, second):
        assert sorted(np.concatenate(batches)) == list(range(1003))
        assert sorted({len(batch) for batch in batches}) == [11, 16]  # 62 whole batches and the rest
    assert np.concatenate(first).tolist() != np.concatenate(second).tolist()
    assert np.concatenate(epoch_batches(lengths, 16, 7, 0)).tolist() == np.concatenate(first).tolist()


def test_batches_of_similar_length_need_little_padding():
    lengths = np.random.default_rng(0).integers(5, 256, 4000)
    padded = sum(lengths[batch].max() * len(batch) for batch in epoch_batches(lengths, 16, 7, 0))
    assert padded < 1.1 * lengths.sum()
    batches = epoch_batches(lengths, 16, 7, 0)
    assert np.corrcoef(np.arange(len(batches)), [lengths[b].mean() for b in batches])[0, 1] == pytest.approx(0, abs=0.2)


def test_weights_of_the_labels_by_hand():
    labels = np.array([0] * 6 + [1] * 2)
    assert label_weights(None, labels, ["no", "yes"]) is None
    assert label_weights("balanced", labels, ["no", "yes"]).tolist() == pytest.approx([8 / (2 * 6), 8 / (2 * 2)])
    by_name = label_weights({"yes": 5}, labels, ["no", "yes"])  # mean of the rows' weights: (6 * 1 + 2 * 5) / 8 = 2
    assert by_name.tolist() == [0.5, 2.5]


def test_weighted_gradient_is_torchs():
    """Also cut into micro-batches, and the share of a batch whose rows stand elsewhere."""
    model, rows, labels = small_bert().eval(), sequences(10), np.arange(10) % 2
    weights = torch.tensor([0.5, 2.5])

    def gradients(loss) -> torch.Tensor:
        model.zero_grad()
        loss()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    def reference() -> None:
        losses = [
            torch.nn.functional.cross_entropy(
                model(input_ids=torch.tensor(row)[None]).logits, torch.tensor([label]), reduction="sum"
            )
            for row, label in zip(rows, labels, strict=True)
        ]
        sum(loss * weight for loss, weight in zip(losses, weights[labels], strict=True)).div(20).backward()

    got = gradients(lambda: gradient(model, rows, labels, 20, 4, weights=weights))
    torch.testing.assert_close(got, gradients(reference), rtol=1e-4, atol=1e-6)


def test_bf16_gives_nearly_the_gradient_of_fp32():
    model, rows, labels = small_bert(), sequences(10), np.arange(10) % 2

    def gradients(bf16):
        model.zero_grad()
        gradient(model, rows, labels, 10, 10, bf16)
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    exact, rough = gradients(False), gradients(True)
    assert rough.dtype == torch.float32
    assert 1e-4 < (rough - exact).norm() / exact.norm() < 0.05  # bf16 has 8 bits: 0.4% a number


@pytest.mark.parametrize(
    ("gpu", "cpu", "expected"),
    [
        (None, {"avx512_bf16": True}, True),
        (None, {"amx_bf16": True, "avx512_bf16": False}, True),
        (None, {"avx2": True, "avx512_bf16": False}, False),
        (None, {}, False),  # not an x86
        (True, {}, True),
        (False, {"avx512_bf16": True}, False),  # an older GPU emulates it, and the GPU is what trains
    ],
)
def test_bf16_is_chosen_where_the_hardware_has_it(monkeypatch, gpu, cpu, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: gpu or including_emulation)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    assert multiplies_bf16(torch.device("cpu" if gpu is None else "cuda")) is expected
