"""MPNet's fused attention, against transformers' plain products."""

import pytest
import torch
from encoders import FAMILIES, write_encoder
from peft import LoraConfig, get_peft_model
from tiny import ROOT, reviews
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from classifier.files.places import BASE
from classifier.model.adapters import with_method
from classifier.model.build import classifier
from classifier.model.fast import attention as module
from classifier.model.fast import mpnet
from classifier.model.fast.first_token import first_token_only
from classifier.model.fast.mpnet import fused_attention
from classifier.params.catalogue import Method
from classifier.runner.params import load_params

TEXTS = [" ".join(text.split()[: 2 + 3 * number]) for number, (text, _) in enumerate(reviews(5))]


@pytest.fixture
def encoder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_encoder("mpnet")


def pair(*changes, **settings):
    """The same model twice, the second one changed, with weights so large that what is attended to has a say."""
    models = []
    for changed in (False, True):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(BASE, num_labels=3, **settings).eval()
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2 and ("embeddings" not in name):
                parameter.data *= 20 if "relative_attention_bias" in name else 5
        for change in changes if changed else ():
            change(model)
        models.append(model)
    return models


def batch(texts: list[str]):
    return AutoTokenizer.from_pretrained(BASE)(texts, padding=True, return_tensors="pt", return_token_type_ids=False)


def outcome(model, inputs) -> dict[str, torch.Tensor]:
    """The logits, and every gradient of a loss of them, but those that are rounding alone: a key's bias adds the same
    to all scores of a query.
    """
    model.zero_grad()
    logits = model(**inputs).logits
    logits.square().sum().backward()
    gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    return {"logits": logits} | {name: each for name, each in gradients.items() if not name.endswith("k.bias")}


@pytest.mark.parametrize(
    "changes", [[fused_attention], [first_token_only, fused_attention]], ids=["whole", "first token"]
)
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[-1:]], ids=["padded", "alone"])
def test_same_logits_and_gradients(encoder, monkeypatch, changes, texts):
    plain, fused = pair(*changes)
    expected = outcome(plain, batch(texts))
    calls = []
    monkeypatch.setattr(mpnet, "attention", lambda *args: calls.append(args) or module.attention(*args))
    found = outcome(fused, batch(texts))
    assert len(calls) == 3 - len(changes)
    assert "mpnet.encoder.relative_attention_bias.weight" in expected
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert (found[name] - tensor).norm() <= 1e-5 * tensor.norm(), name
    assert fused.state_dict().keys() == plain.state_dict().keys()


def test_in_bf16_within_its_rounding(encoder):
    """With LoRA, whose gradients count: as near to those in fp32 as transformers' own bf16 is."""
    models = []
    for model in pair(first_token_only, fused_attention):
        torch.manual_seed(1)
        settings = LoraConfig(r=4, target_modules=["q", "k", "v", "o"], init_lora_weights=False)
        models.append(get_peft_model(model, settings))
    exact = {name: each.clone() for name, each in outcome(models[0], batch(TEXTS)).items()}
    with torch.autocast("cpu", torch.bfloat16):
        rough, found = (outcome(model, batch(TEXTS)) for model in models)
    assert len(exact) > 15
    assert exact.keys() == rough.keys() == found.keys()
    ours, theirs = (
        torch.stack([(each[name].float() - tensor).norm() / tensor.norm() for name, tensor in exact.items()])
        for each in (found, rough)
    )
    assert 1e-3 < ours.mean() < 1.2 * theirs.mean()
    assert (ours < 3 * theirs).all()


@pytest.mark.parametrize("changes", [[fused_attention], [first_token_only, fused_attention]], ids=["whole", "short"])
def test_the_attentions_weights_are_there_for_who_asks(encoder, changes):
    """But for the last layer's, of the first token alone."""
    plain, changed = pair(*changes)
    inputs = batch(TEXTS)
    expected, found = (model(**inputs, output_attentions=True).attentions for model in (plain, changed))
    assert len(found) == 2
    torch.testing.assert_close(found[0], expected[0])
    if len(changes) == 1:
        torch.testing.assert_close(found[1], expected[1])


def test_lora_stands_in_the_layers_that_the_catalogue_names(encoder):
    model, head = classifier(["a", "b"], dropout=0.0)
    settings = load_params(ROOT / "params.yaml").models["mpnet"].peft | {"layers_to_transform": [1]}
    model = with_method(model, head, Method(peft={"peft_type": "LORA"}), settings, 10)
    adapted = {name for name, _ in model.named_parameters() if "lora_A" in name}
    assert len(adapted) == 6
    assert all(".layer.1." in name for name in adapted)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "mpnet"])
def test_others_stay_as_they_are(tmp_path, monkeypatch, family):
    monkeypatch.chdir(tmp_path)
    write_encoder(family)
    model = AutoModelForSequenceClassification.from_pretrained(BASE)
    kinds = [type(each) for each in model.modules()]
    fused_attention(model)
    assert [type(each) for each in model.modules()] == kinds
