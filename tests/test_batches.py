"""Batches, their gradient, and going on from a checkpoint; the whole training is in test_pipeline.py."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from stages.batches import epoch_batches, gradient, multiplies_bf16
from stages.checkpoint import pack, unpack


def small_bert(labels: int = 2, dropout: float = 0.0) -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        num_labels=labels,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    return BertForSequenceClassification(config)


def sequences(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.empty(count, dtype=object)
    for number in range(count):
        rows[number] = rng.integers(5, 50, rng.integers(3, 30))
    return rows


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


def test_micro_batches_give_the_gradient_of_the_whole_batch():
    model, rows, labels = small_bert(), sequences(10), np.arange(10) % 2

    def gradients(micro_batch_size):
        model.zero_grad()
        loss = gradient(model, rows, labels, micro_batch_size)
        return loss, torch.cat([p.grad.flatten() for p in model.parameters()])

    whole, parts = gradients(10), gradients(3)  # 3 + 3 + 3 + 1
    assert parts[0] == pytest.approx(whole[0], rel=1e-6)
    torch.testing.assert_close(parts[1], whole[1], rtol=1e-4, atol=1e-7)


def test_bf16_gives_nearly_the_gradient_of_fp32():
    model, rows, labels = small_bert(), sequences(10), np.arange(10) % 2

    def gradients(bf16):
        model.zero_grad()
        gradient(model, rows, labels, 10, bf16)
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
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: gpu or including_emulation)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    assert multiplies_bf16() is expected


def test_unpacked_state_goes_on_exactly():
    def some_steps(model, optimizer, count):
        for _ in range(count):
            model.train()
            gradient(model, sequences(4), np.array([0, 1, 0, 1]), 4)
            optimizer.step()
            optimizer.zero_grad()

    def fresh():
        model = small_bert(dropout=0.3)  # the random state matters
        return model, torch.optim.AdamW(model.parameters(), lr=0.01)

    first = fresh()
    some_steps(*first, 3)
    saved = {name: tensor.clone() for name, tensor in pack(*first).items()}
    some_steps(*first, 3)
    second = fresh()
    torch.manual_seed(99)
    unpack(saved, *second)
    some_steps(*second, 3)
    for one, other in zip(first[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(one, other)
