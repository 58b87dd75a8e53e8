"""Batches and their gradient; micro-batches are in test_network.py, the whole training in test_pipeline.py."""

import numpy as np
import pytest
import torch
from encoders import sequences, small_bert

from stages.classifier.batches import epoch_batches, gradient, multiplies_bf16


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
