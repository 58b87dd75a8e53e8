"""The faster LoRA layers against peft's, and their gradients against finite differences."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode

from classifier.model.fast.lora import FoldedLora, SeparateLora
from classifier.model.fast.modules import use_fast_modules

SETTINGS = {"r": 3, "lora_alpha": 12, "target_modules": ["0", "2"]}


def model_pair(with_bias: bool = True, **settings):
    """Return the same two layers with the same adapters twice: with fast layers, and with peft's."""
    models = []
    for fast in (True, False):
        torch.manual_seed(0)
        layers = [torch.nn.Linear(7, 11, with_bias), torch.nn.GELU(), torch.nn.Linear(11, 5, with_bias)]
        model = get_peft_model(torch.nn.Sequential(*layers), LoraConfig(**SETTINGS | settings))
        if fast:
            use_fast_modules(model)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)  # a fresh adapter has B = 0 and changes nothing
        models.append(model)
    return models


def output_and_gradients(model, x) -> dict[str, torch.Tensor]:
    """Return the output and every gradient of a loss of it."""
    torch.manual_seed(1)  # for dropout
    x = x.clone().requires_grad_()
    output = model(x)
    output.square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {"output": output, "x": x.grad} | gradients


@pytest.mark.parametrize("shape", [(4, 7), (2, 3, 7), (0, 7)])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"init_lora_weights": "pissa"},
        {"fan_in_fan_out": True},  # peft resets it for a Linear
        {"with_bias": False},
        {"bias": "lora_only"},
    ],
    ids=str,
)
def test_equal_to_pefts_layer(monkeypatch, shape, settings):
    fast, plain = model_pair(**settings)
    x = torch.randn(shape)
    expected = output_and_gradients(plain, x)
    monkeypatch.setattr("peft.tuners.lora.Linear.forward", None)  # a fallback would fail
    computed = output_and_gradients(fast, x)
    assert computed.keys() == expected.keys()
    assert len(computed) == (8 if settings.get("bias") else 6)
    torch.testing.assert_close(computed, expected, rtol=1e-4, atol=1e-4)


def test_gradients_against_finite_differences():
    torch.manual_seed(0)
    tensors = [torch.randn(shape, dtype=torch.float64) for shape in ((2, 3, 7), (5, 7), (5,), (3, 7), (5, 3))]
    for position in (0, 2, 3, 4):
        tensors[position].requires_grad_()
    assert torch.autograd.gradcheck(FoldedLora.apply, (*tensors, 1.5))


@pytest.mark.parametrize("settings", [{"lora_dropout": 0.5}, {"use_dora": True}, {"lora_bias": True}], ids=str)
def test_other_lora_falls_back_to_peft(monkeypatch, settings):
    fast, plain = model_pair(**settings)
    for function in (FoldedLora, SeparateLora):
        monkeypatch.setattr(function, "apply", None)
    x = torch.randn(4, 7)
    expected = output_and_gradients(plain, x)
    torch.testing.assert_close(output_and_gradients(fast, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"with_bias": False}, {"bias": "lora_only"}], ids=str)
def test_under_autocast_as_near_to_fp32_as_peft(monkeypatch, settings):
    """The second layer's input is in bf16. Each gradient has its tensor's dtype."""
    fast, plain = model_pair(**settings)
    x = torch.randn(2, 30, 7)
    exact = output_and_gradients(model_pair(**settings)[1], x)
    with torch.autocast("cpu", torch.bfloat16):
        by_peft = output_and_gradients(plain, x)
        monkeypatch.setattr("peft.tuners.lora.Linear.forward", None)  # a fallback would fail
        computed = output_and_gradients(fast, x)
    assert computed.keys() == exact.keys()
    for name, tensor in exact.items():
        assert computed[name].dtype == by_peft[name].dtype
        gap, peft_gap = ((tensors[name].float() - tensor).norm() / tensor.norm() for tensors in (computed, by_peft))
        assert 1e-4 < gap < 2 * peft_gap < 0.03, name  # a bf16 number has 8 bits: an error of 0.4%


@pytest.mark.parametrize("function", [FoldedLora, SeparateLora])
def test_no_gradient_is_computed_for_an_input_that_needs_none(monkeypatch, function):
    monkeypatch.setattr("classifier.model.fast.lora.linear", torch.nn.functional.linear)  # torch counts no oneDNN
    x, weight, a, b = (torch.randn(shape) for shape in ((4, 7), (5, 7), (3, 7), (5, 3)))
    counts = []
    for needed in (True, False):
        output = function.apply(x.requires_grad_(needed), weight, None, a.requires_grad_(), b.requires_grad_(), 1.5)
        with FlopCounterMode(display=False) as counter:
            output.sum().backward()
        counts.append(counter.get_total_flops())
    folded = 2 * 3 * 5 * 7 if function is FoldedLora else 0  # torch does not count SeparateLora's addmm_
    assert counts[0] - counts[1] == 2 * 4 * 5 * 7 + folded


@pytest.mark.parametrize(
    ("autocast", "dtype"),
    [
        (torch.float16, torch.float32),
        (torch.float16, torch.float16),
        (torch.float16, torch.bfloat16),
    ],
)
def test_other_dtypes_fall_back_to_peft(monkeypatch, autocast, dtype):
    fast, plain = model_pair()
    x = torch.randn(4, 7).to(dtype)
    for function in (FoldedLora, SeparateLora):
        monkeypatch.setattr(function, "apply", None)
    with torch.autocast("cpu", autocast):
        assert torch.equal(fast(x), plain(x))


@pytest.mark.parametrize(
    ("autocast", "dtype"),
    [(torch.bfloat16, torch.float64), (torch.float16, torch.float64), (None, torch.bfloat16), (None, torch.float64)],
)
def test_dtypes_that_peft_refuses_are_refused(autocast, dtype):
    """The frozen layer, whose dtype differs, raises the error. No fast layer casts its input unasked."""
    x = torch.randn(4, 7).to(dtype)
    for model in model_pair():
        with (
            torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None),
            pytest.raises(RuntimeError, match="must have the same dtype"),
        ):
            model(x)


def test_merged_and_disabled(monkeypatch):
    fast = model_pair()[0]
    x = torch.randn(4, 7)
    before = fast(x)
    for function in (FoldedLora, SeparateLora):
        monkeypatch.setattr(function, "apply", None)
    with fast.disable_adapter():
        assert torch.equal(fast(x), fast.get_base_model()(x))
    fast.merge_adapter()
    torch.testing.assert_close(fast(x), before, rtol=1e-4, atol=1e-4)
    assert isinstance(fast.merge_and_unload()[0], torch.nn.Linear)


def test_a_merge_forgets_the_rounded_weights():
    fast, x = model_pair()[0], torch.randn(4, 7)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected, without = fast(x), fast.get_base_model()[0].base_layer(x)
        assert not torch.allclose(fast.get_base_model()[0](x), without, atol=0.1)
        fast.merge_adapter()
        torch.testing.assert_close(fast(x), expected, rtol=0.02, atol=0.05)
        fast.unmerge_adapter()
        torch.testing.assert_close(fast(x), expected, rtol=0.02, atol=0.05)
