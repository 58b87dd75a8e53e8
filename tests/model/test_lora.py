"""The faster LoRA layers against peft's own, and their gradients against differences."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode

from classifier.model.fast.lora import Beside, Folded, fast_lora

SETTINGS = {"r": 3, "lora_alpha": 12, "target_modules": ["0", "2"]}


def pair(with_bias: bool = True, **settings):
    """The same two layers twice, with the same adapters: folded, and peft's own."""
    models = []
    for folded in (True, False):
        torch.manual_seed(0)
        layers = [torch.nn.Linear(7, 11, with_bias), torch.nn.GELU(), torch.nn.Linear(11, 5, with_bias)]
        model = get_peft_model(torch.nn.Sequential(*layers), LoraConfig(**SETTINGS | settings))
        if folded:
            fast_lora(model)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)  # as it begins, the adapter changes nothing
        models.append(model)
    return models


def outcome(model, x) -> dict[str, torch.Tensor]:
    """The output, and every gradient of a loss of it."""
    torch.manual_seed(1)  # of dropout
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
        {"fan_in_fan_out": True},  # which peft sets right
        {"with_bias": False},
        {"bias": "lora_only"},
    ],
    ids=str,
)
def test_equal_to_pefts_layer(monkeypatch, shape, settings):
    folded, plain = pair(**settings)
    x = torch.randn(shape)
    expected = outcome(plain, x)
    monkeypatch.setattr("peft.tuners.lora.Linear.forward", None)  # so it is not what answers
    found = outcome(folded, x)
    assert found.keys() == expected.keys()
    assert len(found) == (8 if settings.get("bias") else 6)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_gradients_against_differences():
    torch.manual_seed(0)
    tensors = [torch.randn(shape, dtype=torch.float64) for shape in ((2, 3, 7), (5, 7), (5,), (3, 7), (5, 3))]
    for position in (0, 2, 3, 4):
        tensors[position].requires_grad_()
    assert torch.autograd.gradcheck(Folded.apply, (*tensors, 1.5))


@pytest.mark.parametrize("settings", [{"lora_dropout": 0.5}, {"use_dora": True}, {"lora_bias": True}], ids=str)
def test_what_is_not_plain_lora_is_pefts(monkeypatch, settings):
    folded, plain = pair(**settings)
    for product in (Folded, Beside):
        monkeypatch.setattr(product, "apply", None)
    expected = outcome(plain, x := torch.randn(4, 7))
    torch.testing.assert_close(outcome(folded, x), expected, rtol=0, atol=0)


@pytest.mark.parametrize("settings", [{}, {"with_bias": False}, {"bias": "lora_only"}], ids=str)
def test_under_autocast_as_near_to_fp32_as_pefts(monkeypatch, settings):
    """Of what two layers give, the second on bf16, and of all gradients, which keep their tensors' types."""
    fast, plain = pair(**settings)
    x = torch.randn(2, 30, 7)
    exact = outcome(pair(**settings)[1], x)
    with torch.autocast("cpu", torch.bfloat16):
        pefts = outcome(plain, x)
        monkeypatch.setattr("peft.tuners.lora.Linear.forward", None)  # so it is not what answers
        found = outcome(fast, x)
    assert found.keys() == exact.keys()
    for name, tensor in exact.items():
        assert found[name].dtype == pefts[name].dtype
        gaps = [(each[name].float() - tensor).norm() / tensor.norm() for each in (found, pefts)]
        assert 1e-4 < gaps[0] < 2 * gaps[1] < 0.03, name  # bf16 has 8 bits: 0.4% a number


@pytest.mark.parametrize("product", [Folded, Beside])
def test_no_gradient_is_formed_of_what_needs_none(product):
    x, weight, a, b = (torch.randn(shape) for shape in ((4, 7), (5, 7), (3, 7), (5, 3)))
    counts = []
    for needed in (True, False):
        output = product.apply(x.requires_grad_(needed), weight, None, a.requires_grad_(), b.requires_grad_(), 1.5)
        with FlopCounterMode(display=False) as counter:
            output.sum().backward()
        counts.append(counter.get_total_flops())
    folded = 2 * 3 * 5 * 7 if product is Folded else 0  # the other adds LoRA's in place, which torch does not count
    assert counts[0] - counts[1] == 2 * 4 * 5 * 7 + folded


@pytest.mark.parametrize(
    ("autocast", "dtype"),
    [
        (torch.float16, torch.float32),
        (torch.float16, torch.float16),
        (torch.float16, torch.bfloat16),
    ],
)
def test_types_that_only_peft_computes(monkeypatch, autocast, dtype):
    fast, plain = pair()
    x = torch.randn(4, 7).to(dtype)
    for product in (Folded, Beside):
        monkeypatch.setattr(product, "apply", None)
    with torch.autocast("cpu", autocast):
        assert torch.equal(fast(x), plain(x))


@pytest.mark.parametrize(
    ("autocast", "dtype"),
    [(torch.bfloat16, torch.float64), (torch.float16, torch.float64), (None, torch.bfloat16), (None, torch.float64)],
)
def test_types_that_peft_refuses_are_refused(autocast, dtype):
    """By the frozen layer, whose type is another: no faster product casts the input unasked."""
    x = torch.randn(4, 7).to(dtype)
    for model in pair():
        with (
            torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None),
            pytest.raises(RuntimeError, match="must have the same dtype"),
        ):
            model(x)


def test_merged_and_disabled(monkeypatch):
    folded = pair()[0]
    x = torch.randn(4, 7)
    once = folded(x)
    for product in (Folded, Beside):
        monkeypatch.setattr(product, "apply", None)
    with folded.disable_adapter():
        assert torch.equal(folded(x), folded.get_base_model()(x))
    folded.merge_adapter()
    torch.testing.assert_close(folded(x), once, rtol=1e-4, atol=1e-4)
    assert type(folded.merge_and_unload()[0]) is torch.nn.Linear
