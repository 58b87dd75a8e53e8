"""The last layer for the first token alone, against the whole layer of transformers."""

import pytest
import torch
from encoders import FAMILIES, SAVED, peft_defaults, write_encoder
from peft import LoraConfig, PrefixTuningConfig, get_peft_model
from tiny import reviews
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from classifier.files.places import BASE
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier
from classifier.model.fast.first_token import (
    FirstTokenBertAttention,
    FirstTokenDistilBertLayer,
    FirstTokenMPNetAttention,
    first_token_classes,
)
from classifier.model.fast.modules import replace_classes, use_fast_modules
from classifier.model.loading import load_classifier
from classifier.model.saving import save_classifier
from classifier.params.catalogue import Method

TEXTS = [" ".join(text.split()[: 2 + 3 * number]) for number, (text, _) in enumerate(reviews(5))]
FIRST_TOKEN_FAMILIES = ["bert", "roberta", "distilbert", "mpnet"]


@pytest.fixture(params=FAMILIES)
def family(request, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_encoder(request.param)
    return request.param


def model_pair(**settings):
    """Return the same model twice: as transformers loads it, and with the last layer for the first token."""
    models = []
    for first_token_alone in (False, True):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(BASE, num_labels=3, **settings)
        if first_token_alone:
            replace_classes(model, first_token_classes(model))
        models.append(model.eval())
    return models


def tokenized(texts: list[str]):
    return AutoTokenizer.from_pretrained(BASE)(texts, padding=True, return_tensors="pt", return_token_type_ids=False)


def logits_and_gradients(model, inputs) -> dict[str, torch.Tensor]:
    """Return the logits and every gradient of a loss of them; parameters without influence have no gradient."""
    logits = model(**inputs).logits
    logits.square().sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {"logits": logits} | gradients


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1]], ids=["padded", "one text"])
def test_same_logits_and_gradients(family, texts, attention):
    if (family, attention) == ("mpnet", "sdpa"):
        pytest.skip("transformers has no sdpa attention for MPNet")
    whole, first_token = model_pair(attn_implementation=attention)
    expected = logits_and_gradients(whole, tokenized(texts))
    computed = logits_and_gradients(first_token, tokenized(texts))
    assert len(expected) > 15
    torch.testing.assert_close(computed, expected, rtol=1e-4, atol=1e-6)
    assert first_token.state_dict().keys() == whole.state_dict().keys()


@pytest.mark.parametrize("family", ["bert", "roberta"], indirect=True)
@pytest.mark.parametrize("settings", [{"is_decoder": True}, {"attn_implementation": "flex_attention"}], ids=str)
def test_decoders_and_other_attentions_stay_whole(family, settings):
    for model in model_pair(**settings):
        assert not any(isinstance(module, FirstTokenBertAttention) for module in model.modules())


def test_only_keys_and_values_are_computed_for_all_tokens(family):
    """The other linear layers of the last layer compute one token, by torch's count of operations.

    torch does not count fused attention. transformers does not fuse MPNet's.
    """
    whole, first_token = model_pair()
    inputs = tokenized([" ".join(["good film"] * 5)])
    tokens, hidden, inner = inputs["input_ids"].shape[1], 32, 64
    counts = []
    for model in (whole, first_token):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(**inputs)
        counts.append(counter.get_total_flops())
    weights = 2 * hidden * hidden + 2 * hidden * inner  # query, output and the feed-forward's two layers
    saved = 2 * weights * (tokens - 1) + 4 * hidden * tokens**2 * (family == "mpnet")
    assert counts[0] - counts[1] == (saved if family in FIRST_TOKEN_FAMILIES else 0)


def test_attention_dropout_is_that_of_the_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_encoder("bert")
    _, model = model_pair(attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.0, classifier_dropout=0.0)
    inputs = tokenized(TEXTS)
    for layer in model.bert.encoder.layer[:-1]:
        layer.eval()
    last = model.bert.encoder.layer[-1]
    assert torch.equal(model(**inputs).logits, model(**inputs).logits)
    last.train()
    assert not torch.allclose(model(**inputs).logits, model(**inputs).logits)


@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("family", FIRST_TOKEN_FAMILIES, indirect=True)
def test_with_fast_lora_layers(family, autocast):
    """LoRA is on the layers of params.yaml; under autocast to bf16 the tolerance is that of bf16."""
    targets, models = peft_defaults(family)["target_modules"], []
    for model in model_pair():
        torch.manual_seed(1)
        model = get_peft_model(model, LoraConfig(r=4, target_modules=targets, init_lora_weights=False))
        use_fast_modules(model)
        models.append(model)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        expected, computed = (logits_and_gradients(model, tokenized(TEXTS)) for model in models)
    tolerance = 3e-2 if autocast else 1e-4
    assert expected.keys() == computed.keys()
    for name, tensor in expected.items():
        gap = (computed[name].float() - tensor.float()).abs().max()
        assert gap <= tolerance * max(1.0, tensor.float().abs().max()), name


def test_training_and_scoring_both_use_the_first_token_alone(family):
    model, head = build_classifier(["a", "b", "c"], dropout=0.0)
    trained = apply_method(model, head, Method(peft={"peft_type": "LORA"}), peft_defaults(family), 10)
    save_classifier(trained, SAVED)
    classes = (FirstTokenBertAttention, FirstTokenDistilBertLayer, FirstTokenMPNetAttention)
    for model in (trained, load_classifier()[0]):
        layers = [module for module in model.modules() if isinstance(module, classes)]
        assert len(layers) == (family in FIRST_TOKEN_FAMILIES)


@pytest.mark.parametrize("family", ["bert", "roberta"], indirect=True)
def test_a_learned_prefix(family):
    models = []
    for model in model_pair():
        config = PrefixTuningConfig(
            task_type="SEQ_CLS", num_virtual_tokens=3, token_dim=32, num_layers=2, num_attention_heads=2,
            num_transformer_submodules=1,
        )  # fmt: skip
        torch.manual_seed(1)
        models.append(get_peft_model(model, config).eval())
    expected, computed = (logits_and_gradients(model, tokenized(TEXTS[:3])) for model in models)
    torch.testing.assert_close(computed, expected, rtol=1e-4, atol=1e-6)
