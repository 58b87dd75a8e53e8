"""A batch's gradient; micro-batches are in test_network.py, CUDA graphs in test_graphs.py."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from encoders import sequences, small_bert

from classifier.training.gradient import Gradient, label_weights


def test_weights_of_the_labels_by_hand():
    labels = np.array([0] * 6 + [1] * 2)
    assert label_weights(None, labels, ["no", "yes"]) is None
    assert label_weights("balanced", labels, ["no", "yes"]).tolist() == pytest.approx([8 / (2 * 6), 8 / (2 * 2)])
    by_name = label_weights({"yes": 5}, labels, ["no", "yes"])  # mean of the rows' weights: (6 * 1 + 2 * 5) / 8 = 2
    assert by_name.tolist() == [0.5, 2.5]


def test_weighted_gradient_is_torchs():
    """Also cut into micro-batches, and the share of a batch whose rows stand elsewhere."""
    model, rows, labels = small_bert().eval(), sequences(10), np.arange(10) % 2
    weights = np.array([0.5, 2.5], dtype=np.float32)

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
        sum(loss * weight for loss, weight in zip(losses, weights[labels].tolist(), strict=True)).div(20).backward()

    got = gradients(lambda: Gradient(model, 4, weights=weights)(rows, labels, 20))
    torch.testing.assert_close(got, gradients(reference), rtol=1e-4, atol=1e-6)


def test_bf16_has_few_shapes(monkeypatch):
    """Multiples of 16 tokens, or the longest row's."""
    model, shapes = small_bert(), []
    monkeypatch.setattr(model, "forward", lambda input_ids, **more: shapes.append(tuple(input_ids.shape)) or 1 / 0)
    for bf16 in (True, False):
        for length in (9, 16, 17, 39):
            with pytest.raises(ZeroDivisionError):
                Gradient(model, 2, bf16, longest=40)([np.full(length, 5), np.full(3, 5)], np.array([0, 1]), 2)
    assert shapes == [(2, tokens) for tokens in (16, 16, 32, 40, 9, 16, 17, 39)]


def test_bf16_gives_nearly_the_gradient_of_fp32():
    model, rows, labels = small_bert(), sequences(10), np.arange(10) % 2

    def gradients(bf16):
        model.zero_grad()
        Gradient(model, 10, bf16)(rows, labels, 10)
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    exact, rough = gradients(False), gradients(True)
    assert rough.dtype == torch.float32
    assert 1e-4 < (rough - exact).norm() / exact.norm() < 0.05  # bf16 has 8 bits: 0.4% a number


def test_graphs_are_freed_with_their_gradient(monkeypatch):
    """At once, and not by the collector of garbage: in the midst of another recording that is an error of CUDA's."""
    kept = type("Graphs", (), {"__init__": lambda self, loss, trained: setattr(self, "loss", loss)})
    monkeypatch.setattr("classifier.training.graphs.Graphs", kept)
    monkeypatch.setattr("classifier.training.graphs.repeatable", lambda network: True)
    network = SimpleNamespace(device=SimpleNamespace(type="cuda"), parameters=list)
    gradient = Gradient(network, 4, repeats=True)
    graphs = weakref.ref(gradient.graphs)
    gc.disable()
    try:
        del gradient
        assert graphs() is None
    finally:
        gc.enable()
