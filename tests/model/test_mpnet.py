"""MPNet's fused attention, against the plain products of transformers."""

import pytest
import torch
from encoders import write_encoder
from peft import LoraConfig, get_peft_model
from tiny import ROOT, reviews
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from classifier.files.places import BASE
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier
from classifier.model.fast import mpnet
from classifier.model.fast.attention import attend_by_heads
from classifier.model.fast.modules import replace_classes, use_fast_modules
from classifier.model.fast.mpnet import mpnet_classes
from classifier.params.catalogue import Method
from classifier.runner.params import load_params

TEXTS = [" ".join(text.split()[: 2 + 3 * number]) for number, (text, _) in enumerate(reviews(5))]


@pytest.fixture
def encoder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_encoder("mpnet")


def fused_only(model) -> None:
    """Replace the attention; leave the last layer whole."""
    replace_classes(model, mpnet_classes(model))


def model_pair(change):
    """Return the same model twice, the second one changed by a function.

    With small weights attention would hardly change the logits, so the weights are large.
    """
    models = []
    for changed in (False, True):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(BASE, num_labels=3).eval()
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2 and "embeddings" not in name:
                parameter.data *= 20 if "relative_attention_bias" in name else 5
        if changed:
            change(model)
        models.append(model)
    return models


def tokenized(texts: list[str]):
    return AutoTokenizer.from_pretrained(BASE)(texts, padding=True, return_tensors="pt", return_token_type_ids=False)


def logits_and_gradients(model, inputs) -> dict[str, torch.Tensor]:
    """Return the logits and every gradient of a loss of them, but those of the keys' biases.

    A key's bias adds the same number to all scores of a query, so its gradient is rounding errors.
    """
    model.zero_grad()
    logits = model(**inputs).logits
    logits.square().sum().backward()
    parameters = {name: p for name, p in model.named_parameters() if not name.endswith("k.bias")}
    return {"logits": logits} | {name: p.grad for name, p in parameters.items() if p.grad is not None}


@pytest.mark.parametrize(
    ("change", "fused_layers"), [(fused_only, 2), (use_fast_modules, 1)], ids=["whole", "first token"]
)
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[-1:]], ids=["padded", "one text"])
def test_same_logits_and_gradients(encoder, monkeypatch, change, fused_layers, texts):
    plain, fused = model_pair(change)
    expected = logits_and_gradients(plain, tokenized(texts))
    calls = []
    monkeypatch.setattr(mpnet, "attend_by_heads", lambda *args: calls.append(args) or attend_by_heads(*args))
    computed = logits_and_gradients(fused, tokenized(texts))
    assert len(calls) == fused_layers
    assert "mpnet.encoder.relative_attention_bias.weight" in expected
    assert expected.keys() == computed.keys()
    for name, tensor in expected.items():
        assert (computed[name] - tensor).norm() <= 1e-5 * tensor.norm(), name
    assert fused.state_dict().keys() == plain.state_dict().keys()


def test_bf16_as_near_to_fp32_as_transformers(encoder):
    """Compare the logits and the gradients of LoRA."""
    models = []
    for model in model_pair(use_fast_modules):
        torch.manual_seed(1)
        settings = LoraConfig(r=4, target_modules=["q", "k", "v", "o"], init_lora_weights=False)
        models.append(get_peft_model(model, settings))
    fp32 = {name: tensor.clone() for name, tensor in logits_and_gradients(models[0], tokenized(TEXTS)).items()}
    with torch.autocast("cpu", torch.bfloat16):
        plain, fused = (logits_and_gradients(model, tokenized(TEXTS)) for model in models)
    assert len(fp32) > 15
    assert fp32.keys() == plain.keys() == fused.keys()
    plain_gaps, fused_gaps = (
        torch.stack([(bf16[name].float() - tensor).norm() / tensor.norm() for name, tensor in fp32.items()])
        for bf16 in (plain, fused)
    )
    assert 1e-3 < fused_gaps.mean() < 1.2 * plain_gaps.mean()
    assert (fused_gaps < 3 * plain_gaps).all()


@pytest.mark.parametrize(
    ("change", "whole_layers"), [(fused_only, 2), (use_fast_modules, 1)], ids=["whole", "first token"]
)
def test_attention_weights_are_returned_on_request(encoder, change, whole_layers):
    """A last layer for the first token returns none."""
    inputs = tokenized(TEXTS)
    expected, returned = (model(**inputs, output_attentions=True).attentions for model in model_pair(change))
    assert len(returned) == 2
    torch.testing.assert_close(returned[:whole_layers], expected[:whole_layers])


def test_lora_is_on_the_layers_of_params_yaml(encoder):
    model, head = build_classifier(["a", "b"], dropout=0.0)
    settings = load_params(ROOT / "params.yaml").models["mpnet"].peft | {"layers_to_transform": [1]}
    model = apply_method(model, head, Method(peft={"peft_type": "LORA"}), settings, 10)
    adapted = {name for name, _ in model.named_parameters() if "lora_A" in name}
    assert len(adapted) == 6
    assert all(".layer.1." in name for name in adapted)
