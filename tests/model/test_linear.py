"""Linear layers by oneDNN against exact sums, and the inputs that torch computes."""

import numpy as np
import pytest
import torch

from classifier.model.fast import linear as module
from classifier.model.fast.linear import HAS_BF16, HAS_ONEDNN, OneDnnLinear, linear

pytestmark = pytest.mark.skipif(not HAS_ONEDNN, reason="torch has no oneDNN here")


@pytest.fixture(autouse=True)
def by_torch(monkeypatch):
    """Return a list that gets an entry for each call of torch's own layer."""
    calls = []
    of_torch = torch.nn.functional.linear
    monkeypatch.setattr(module.torch.nn.functional, "linear", lambda *args: calls.append(args) or of_torch(*args))
    return calls


@pytest.mark.parametrize("shape", [(7,), (5, 7), (2, 3, 7)], ids=str)
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_equal_to_the_sum_in_float64(by_torch, shape, has_bias, transposed):
    x, bias = torch.randn(shape), torch.randn(11) if has_bias else None
    weight = torch.randn(7, 11).T if transposed else torch.randn(11, 7)
    with torch.no_grad():
        computed = linear(x, weight, bias)
    expected = x.double().numpy() @ weight.double().numpy().T + (bias.double().numpy() if has_bias else 0)
    np.testing.assert_allclose(computed.numpy(), expected, rtol=1e-5, atol=1e-5)
    assert by_torch == []


@pytest.mark.parametrize("shape", [(7,), (5, 7), (2, 3, 7)], ids=str)
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("frozen", [(), ("x",), ("weight", "bias")], ids=str)
def test_gradients_are_those_of_torchs_layer(by_torch, shape, has_bias, frozen):
    layer, x = torch.nn.Linear(7, 11, has_bias), torch.randn(shape)
    inputs = {"x": x, **dict(layer.named_parameters())}
    for name, tensor in inputs.items():
        tensor.requires_grad_(name not in frozen)
    needed = [tensor for tensor in inputs.values() if tensor.requires_grad]
    expected = torch.autograd.grad(layer(x).square().sum(), needed)
    by_torch.clear()
    layer.__class__ = OneDnnLinear
    computed = torch.autograd.grad(layer(x).square().sum(), needed)
    assert by_torch == []
    for gradient, of_torch in zip(computed, expected, strict=True):
        torch.testing.assert_close(gradient, of_torch, rtol=1e-5, atol=1e-5)


def test_the_input_of_a_frozen_layer_takes_no_memory_until_the_backward_pass():
    layer, x, kept = OneDnnLinear(7, 11), torch.randn(5, 7, requires_grad=True), []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.shape) or tensor, lambda kept: kept
    ):
        layer(x)
        assert kept == [x.shape, layer.weight.shape]
        layer.requires_grad_(False)(x)
    assert kept[2:] == [layer.weight.shape]


def test_other_dtypes_autocast_and_no_rows_are_torchs(by_torch, monkeypatch):
    layer, x = OneDnnLinear(7, 11), torch.randn(5, 7)
    with torch.autocast("cpu", torch.float16):
        assert layer(x).dtype == torch.float16
    assert layer(x[:0]).shape == (0, 11)
    assert layer.double()(x.double()).dtype == torch.float64
    monkeypatch.setattr(module, "HAS_BF16", False)  # a processor with AVX2 only, on which oneDNN's operator fails
    assert layer.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
    assert len(by_torch) == 4


needs_bf16 = pytest.mark.skipif(not HAS_BF16, reason="oneDNN does not multiply in bf16 here")


@needs_bf16
@pytest.mark.parametrize("shape", [(384,), (5, 384), (16, 64, 384)], ids=str)
@pytest.mark.parametrize("has_bias", [False, True])
def test_in_bf16_the_bits_are_torchs(by_torch, shape, has_bias):
    layer, x = torch.nn.Linear(384, 48, has_bias).bfloat16(), torch.randn(shape).bfloat16().requires_grad_()
    needed = [x, *layer.parameters()]
    expected = layer(x)
    of_torch = torch.autograd.grad(expected.float().square().sum(), needed)
    by_torch.clear()
    layer.__class__ = OneDnnLinear
    computed = layer(x)
    assert by_torch == []
    assert torch.equal(computed, expected)
    gradients = torch.autograd.grad(computed.float().square().sum(), needed)
    assert torch.equal(gradients[0], of_torch[0])
    for gradient, expected in zip(gradients[1:], of_torch[1:], strict=True):
        torch.testing.assert_close(gradient, expected, rtol=0.01, atol=0.05)  # sums over rows, in another order


@needs_bf16
def test_a_frozen_layer_under_autocast_rounds_its_weights_once(by_torch, monkeypatch):
    layer, x, weights = OneDnnLinear(7, 11).requires_grad_(False), torch.randn(5, 7, requires_grad=True), []
    product = module.onednn_product
    monkeypatch.setattr(module, "onednn_product", lambda *args: weights.append(args[1]) or product(*args))
    with torch.autocast("cpu", torch.bfloat16):
        expected = [torch.nn.Linear.forward(layer, x)]
        by_torch.clear()
        computed = [layer(x), layer(x)]
        assert weights[0] is weights[1]
        assert weights[0].dtype == torch.bfloat16
        (gradient,) = torch.autograd.grad(computed[0].float().square().sum(), x, retain_graph=True)
        (of_torch,) = torch.autograd.grad(expected[0].float().square().sum(), x)
        layer.weight.mul_(2)
        computed.append(layer(x))
        assert by_torch == []
        expected.append(torch.nn.Linear.forward(layer, x))
    assert torch.equal(gradient, of_torch)
    assert [torch.equal(*pair) for pair in zip(computed[1:], expected, strict=True)] == [True, True]


def test_an_exported_graph_has_torchs_operators(by_torch):
    with torch.no_grad():
        graph = torch.export.export(OneDnnLinear(7, 11), (torch.randn(5, 7),)).graph
    assert not [node for node in graph.nodes if "mkldnn" in str(node.target)]
