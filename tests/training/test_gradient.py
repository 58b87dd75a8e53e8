"""The gradient of a batch. Micro-batches are tested in test_network.py, CUDA graphs in test_graphs.py."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from encoders import sequences, small_bert

from classifier.tasks import single_label
from classifier.training.gradient import Gradient


def test_the_weighted_gradient_is_that_of_torch():
    """In micro-batches, and of 10 rows of a batch of 20."""
    model, rows, labels = small_bert().eval(), sequences(10), np.arange(10) % 2
    weights = np.array([0.5, 2.5], dtype=np.float32)

    def gradients(backward) -> torch.Tensor:
        model.zero_grad()
        backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    def reference() -> None:
        losses = [
            torch.nn.functional.cross_entropy(
                model(input_ids=torch.tensor(row)[None]).logits, torch.tensor([label]), reduction="sum"
            )
            for row, label in zip(rows, labels, strict=True)
        ]
        sum(loss * weight for loss, weight in zip(losses, weights[labels].tolist(), strict=True)).div(20).backward()

    weighted = gradients(lambda: Gradient(model, single_label, 4, settings=weights)(rows, labels, 20))
    torch.testing.assert_close(weighted, gradients(reference), rtol=1e-4, atol=1e-6)


def test_bf16_has_few_shapes(monkeypatch):
    """Rows are padded to a multiple of 16 tokens, but not beyond the largest length."""
    model, shapes = small_bert(), []
    monkeypatch.setattr(model, "forward", lambda input_ids, **other: shapes.append(tuple(input_ids.shape)) or 1 / 0)
    for bf16 in (True, False):
        for length in (9, 16, 17, 39):
            gradient = Gradient(model, single_label, 2, bf16, max_length=40)
            with pytest.raises(ZeroDivisionError):
                gradient([np.full(length, 5), np.full(3, 5)], np.array([0, 1]), 2)
    assert shapes == [(2, tokens) for tokens in (16, 16, 32, 40, 9, 16, 17, 39)]


def test_bf16_gives_nearly_the_gradient_of_fp32():
    model, rows, labels = small_bert(), sequences(10), np.arange(10) % 2

    def gradients(bf16):
        model.zero_grad()
        Gradient(model, single_label, 10, bf16)(rows, labels, 10)
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    fp32, bf16 = gradients(False), gradients(True)
    assert bf16.dtype == torch.float32
    assert 1e-4 < (bf16 - fp32).norm() / fp32.norm() < 0.05  # bf16 has 8 bits: a number is right to 0.4%


def test_graphs_are_freed_with_their_gradient(monkeypatch):
    """At once, and not by the garbage collector: during the capture of another graph that is a CUDA error."""
    backward = type("Backward", (), {"__init__": lambda self, function, trained: setattr(self, "function", function)})
    monkeypatch.setattr("classifier.training.graphs.GraphedBackward", backward)
    monkeypatch.setattr("classifier.training.graphs.can_capture", lambda network: True)
    network = SimpleNamespace(device=SimpleNamespace(type="cuda"), parameters=list)
    gradient = Gradient(network, single_label, 4, use_cuda_graphs=True)
    graphs = weakref.ref(gradient.backward)
    gc.disable()
    try:
        del gradient
        assert graphs() is None
    finally:
        gc.enable()
