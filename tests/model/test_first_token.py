"""The last layer of its first token alone, against the whole one as transformers has it."""

import pytest
import torch
from encoders import FAMILIES, peft_defaults, write_encoder
from peft import LoraConfig, PrefixTuningConfig, get_peft_model
from tiny import reviews
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from classifier.files.places import BASE
from classifier.model.adapters import with_method
from classifier.model.build import classifier
from classifier.model.fast.first_token import FirstOfBert, FirstOfDistilBert, FirstOfMPNet, first_token_only
from classifier.model.fast.lora import fast_lora
from classifier.model.loading import load_classifier
from classifier.model.saving import save_classifier
from classifier.params.catalogue import Method

TEXTS = [" ".join(text.split()[: 2 + 3 * number]) for number, (text, _) in enumerate(reviews(5))]
SHORTER = ["bert", "roberta", "distilbert", "mpnet"]


@pytest.fixture(params=FAMILIES)
def family(request, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_encoder(request.param)
    return request.param


def pair(**settings):
    """The same model twice: as transformers has it, and with the shorter last layer."""
    models = []
    for shorter in (False, True):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(BASE, num_labels=3, **settings)
        if shorter:
            first_token_only(model)
        models.append(model.eval())
    return models


def batch(texts: list[str]):
    return AutoTokenizer.from_pretrained(BASE)(texts, padding=True, return_tensors="pt", return_token_type_ids=False)


def outcome(model, inputs) -> dict[str, torch.Tensor]:
    """The logits, and every gradient of a loss of them; none of what has no influence."""
    logits = model(**inputs).logits
    logits.square().sum().backward()
    gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    return {"logits": logits} | gradients


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1]], ids=["padded", "alone"])
def test_same_logits_and_gradients(family, texts, attention):
    if (family, attention) == ("mpnet", "sdpa"):
        pytest.skip("transformers has it in products only")
    whole, shorter = pair(attn_implementation=attention)
    expected, found = outcome(whole, batch(texts)), outcome(shorter, batch(texts))
    assert len(expected) > 15
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert shorter.state_dict().keys() == whole.state_dict().keys()


@pytest.mark.parametrize("family", ["bert", "roberta"], indirect=True)
@pytest.mark.parametrize("settings", [{"is_decoder": True}, {"attn_implementation": "flex_attention"}], ids=str)
def test_what_attends_otherwise_stays_whole(family, settings):
    for model in pair(**settings):
        assert not any(isinstance(module, FirstOfBert) for module in model.modules())


def test_its_work_is_that_of_keys_and_values(family):
    """Of the last layer's linear layers all but those of keys and values have one token, by torch's own count (which
    leaves fused attention out: MPNet's is not fused as transformers has it).
    """
    whole, shorter = pair()
    inputs = batch([" ".join(["good film"] * 5)])
    tokens, hidden, inner = inputs["input_ids"].shape[1], 32, 64
    counts = []
    for model in (whole, shorter):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(**inputs)
        counts.append(counter.get_total_flops())
    weights = 2 * hidden * hidden + 2 * hidden * inner  # query, output, and the feed-forward's two
    saved = 2 * weights * (tokens - 1) + 4 * hidden * tokens**2 * (family == "mpnet")
    assert counts[0] - counts[1] == (saved if family in SHORTER else 0)


def test_dropout_of_the_attention_is_the_checkpoints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_encoder("bert")
    _, shorter = pair(attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.0, classifier_dropout=0.0)
    inputs = batch(TEXTS)
    for layer in shorter.bert.encoder.layer[:-1]:
        layer.eval()
    last = shorter.bert.encoder.layer[-1]
    assert torch.equal(shorter(**inputs).logits, shorter(**inputs).logits)
    last.train()
    assert not torch.allclose(shorter(**inputs).logits, shorter(**inputs).logits)


@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("family", SHORTER, indirect=True)
def test_with_lora_as_it_trains(family, autocast):
    """On the layers of the catalogue, by lora.py's products; under autocast to bf16 as near as that is."""
    targets, models = peft_defaults(family)["target_modules"], []
    for model in pair():
        torch.manual_seed(1)
        model = get_peft_model(model, LoraConfig(r=4, target_modules=targets, init_lora_weights=False))
        fast_lora(model)
        models.append(model)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        expected, found = (outcome(model, batch(TEXTS)) for model in models)
    near = 3e-2 if autocast else 1e-4
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        gap = (found[name].float() - tensor.float()).abs().max()
        assert gap <= near * max(1.0, tensor.float().abs().max()), name


def test_what_trains_and_what_scores_has_it(family):
    model, head = classifier(["a", "b", "c"], dropout=0.0)
    trained = with_method(model, head, Method(peft={"peft_type": "LORA"}), peft_defaults(family), 10)
    save_classifier(trained, {"tokenize": {}})
    kinds = (FirstOfBert, FirstOfDistilBert, FirstOfMPNet)
    for made in (trained, load_classifier()[0]):
        shorter = [module for module in made.modules() if isinstance(module, kinds)]
        assert len(shorter) == (family in SHORTER)


@pytest.mark.parametrize("family", ["bert", "roberta"], indirect=True)
def test_a_learned_prefix(family):
    models = []
    for model in pair():
        config = PrefixTuningConfig(
            task_type="SEQ_CLS", num_virtual_tokens=3, token_dim=32, num_layers=2, num_attention_heads=2,
            num_transformer_submodules=1,
        )  # fmt: skip
        torch.manual_seed(1)
        models.append(get_peft_model(model, config).eval())
    expected, found = (outcome(model, batch(TEXTS[:3])) for model in models)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
