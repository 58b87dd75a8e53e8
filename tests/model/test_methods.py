"""Each entry of `methods:` in params.yaml trains the weights that it names, and reloads to equal logits."""

import numpy as np
import pytest
import torch
from encoders import SAVED, write_encoder
from tiny import ROOT, reviews
from transformers import AutoTokenizer

from classifier.errors import InputError
from classifier.files.places import BASE
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier
from classifier.model.fast.lora import FastLinear
from classifier.model.forward import logits
from classifier.model.loading import load_classifier, silence_libraries
from classifier.model.padding import pad_batch
from classifier.model.saving import save_classifier
from classifier.params.catalogue import Method
from classifier.runner.params import load_params
from classifier.tasks import single_label
from classifier.text.encoding import encode
from classifier.training.calibration import calibrate
from classifier.training.gradient import Gradient, orthogonality_penalty
from classifier.training.optimizer import make_optimizer

PARAMS = load_params(ROOT / "params.yaml")
STEPS = 10
LABELS = np.array([0, 1, 1, 0, 1, 0])


@pytest.fixture
def bert(tmp_path, monkeypatch) -> list[np.ndarray]:
    """Write a tiny BERT to models/base; return the token ids of a few texts."""
    monkeypatch.chdir(tmp_path)
    silence_libraries()
    write_encoder("bert")
    texts = [text for text, _ in reviews(len(LABELS))]
    return [np.array(ids) for (ids,) in encode(texts, AutoTokenizer.from_pretrained(BASE), 24, "head", False)]


def build(method: Method):
    torch.manual_seed(1)
    model, head = build_classifier(["negative", "positive"], dropout=0.0)
    return apply_method(model, head, method, PARAMS.models["bert"].peft, STEPS)


@pytest.mark.parametrize("name", PARAMS.methods)
def test_trains_saves_and_reloads(bert, name):
    method = PARAMS.methods[name]
    model = build(method)
    start = {key: p.detach().clone() for key, p in model.named_parameters()}
    trained = {key for key, p in model.named_parameters() if p.requires_grad}
    assert any("classifier" in key for key in trained)
    fast = any(isinstance(module, FastLinear) for module in model.modules())
    assert fast == (isinstance(method.peft, dict) and method.peft["peft_type"] == "LORA")
    if name == "full":
        assert trained == set(start)
    elif name == "head":
        assert trained == {"classifier.weight", "classifier.bias"}
    else:
        assert any("classifier" not in key for key in trained)
        assert not any(key in trained for key in start if "embeddings." in key and "prompt" not in key)
    optimizer = make_optimizer(model, 1e-2, 0.0, method.loraplus_lr_ratio)
    for step in range(STEPS):
        Gradient(model.train(), single_label, 4)(bert, LABELS, len(bert))
        optimizer.step()
        if name == "adalora":
            model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
    for key, parameter in model.named_parameters():
        assert torch.equal(parameter, start[key]) == (key not in trained), key
    scores = logits(model, bert)
    temperature, bias = calibrate(model, scores, LABELS, single_label)
    save_classifier(model, SAVED)
    np.testing.assert_allclose(logits(load_classifier()[0], bert), scores / temperature + bias, rtol=1e-5, atol=5e-5)


def test_loraplus_rates(bert):
    model = build(PARAMS.methods["loraplus"])
    optimizer = make_optimizer(model, 1e-4, 0.01, 16.0)
    assert {group["lr"] for group in optimizer.param_groups if group["params"]} == {1e-4, 16e-4}
    fast = {id(p) for group in optimizer.param_groups if group["lr"] == 16e-4 for p in group["params"]}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert fast == {id(p) for name, p in trained.items() if "lora_B" in name or p.ndim == 1}
    for group in optimizer.param_groups:
        assert all(p.ndim == (2 if group["weight_decay"] else 1) for p in group["params"])


def test_adalora_ends_at_its_rank_and_keeps_its_penalty(bert):
    """The penalty is the one that peft adds to a loss that the model computes itself."""
    model = build(PARAMS.methods["adalora"])
    inputs, labels = pad_batch(bert, 0), torch.from_numpy(LABELS)
    outputs = model(**inputs, labels=labels)
    plain = torch.nn.functional.cross_entropy(outputs.logits, labels)
    torch.testing.assert_close(orthogonality_penalty(model), outputs.loss - plain, atol=1e-4, rtol=1e-4)
    assert orthogonality_penalty(build(PARAMS.methods["lora"])) is None
    optimizer = make_optimizer(model, 1e-2, 0.0, None)
    for step in range(STEPS):
        Gradient(model.train(), single_label, 6)(bert, LABELS, len(bert))
        optimizer.step()
        model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
    kept = [sum(mask) for mask in model.active_peft_config.rank_pattern.values()]
    assert np.mean(kept) == PARAMS.methods["adalora"].peft["target_r"]
    assert max(kept) > min(kept)


@pytest.mark.parametrize(
    ("peft", "problem"),
    [
        ({"peft_type": "LORO"}, "peft_type: 'LORO' is not a method of peft"),
        ({}, "peft_type: 'None' is not a method of peft"),
        ({"peft_type": "LORA", "rank": 8}, "argument 'rank'"),
        ({"peft_type": "LORA", "r": 0}, "`r` should be a positive integer"),
        ({"peft_type": "LORA", "r": "eight"}, "not supported between instances of 'str' and 'int'"),
        ({"peft_type": "LORA", "target_modules": "*query"}, "nothing to repeat"),
        ({"peft_type": "LORA", "modules_to_save": "classifier"}, "modules_to_save: 'classifier' is not a list"),
        ({"peft_type": "ADALORA", "beta1": 1.5}, "AssertionError"),
        (
            {"peft_type": "P_TUNING", "num_virtual_tokens": 64},
            "num_virtual_tokens: 64 leave no room for a text below the model's limit of 64",
        ),
        ({"peft_type": "ADALORA", "init_r": 8, "target_r": 8}, "target_r: 8 is not below init_r, 8; lower it"),
        ({"peft_type": "LORA", "init_lora_weights": "pissa_niter_4"}, "pissa_niter_4 is random, .*; use pissa"),
        ({"peft_type": "ADALORA", "deltaT": 0}, "deltaT: 0 is not a number of steps; raise it to 1 or more"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(bert, peft, problem):
    with pytest.raises(InputError, match=f"params.yaml: the peft settings of the method: .*{problem}") as error:
        build(Method(peft=peft))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")])
def test_out_of_memory_is_not_a_wrong_setting(bert, monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr("peft.get_peft_model", fail)
    with pytest.raises(type(error)) as raised:
        build(PARAMS.methods["lora"])
    assert raised.value is error


def test_matrices_of_any_rank_decay(bert):
    for settings in ({"peft_type": "LORA", "r": 1}, {"peft_type": "ADALORA", "init_r": 1, "target_r": 0}):
        model = build(Method(peft=settings))
        names = {id(p): name for name, p in model.named_parameters()}
        groups = make_optimizer(model, 1e-3, 0.01, None).param_groups
        decayed, undecayed = ([names[id(p)] for p in group["params"]] for group in groups)
        assert {part for name in decayed for part in ("lora_A", "lora_B") if part in name} == {"lora_A", "lora_B"}
        assert all(name.endswith("bias") or "lora_E" in name for name in undecayed), undecayed


def test_all_weights_after_an_adapter(bert):
    """Only DVC removes outputs before a training. Without it, no file of the adapter may stay beside the weights."""
    save_classifier(build(PARAMS.methods["lora"]), SAVED)
    model = build(PARAMS.methods["full"])
    save_classifier(model, SAVED)
    np.testing.assert_allclose(logits(load_classifier()[0], bert), logits(model, bert), atol=2e-5)


def test_a_prefix_needs_an_encoder_that_takes_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    silence_libraries()
    write_encoder("distilbert")
    with pytest.raises(InputError, match="does not support past key values"):
        build(PARAMS.methods["prefix"])
    assert logits(build(PARAMS.methods["p-tuning"]), [np.array([2, 5, 3])]).shape == (1, 2)


@pytest.mark.parametrize("name", ["prefix", "prompt", "p-tuning"])
def test_logits_of_prompts_ignore_padding(bert, name):
    model = build(PARAMS.methods[name]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.2)  # with its initial weights the model hardly tells texts apart
    batch = pad_batch([*bert, np.full(40, 5)], 0)
    with torch.inference_mode():
        alone = np.array([model(**pad_batch([row], 0)).logits[0].numpy() for row in bert])
        together = model(**batch).logits[:-1].numpy()
        unmasked = model(**batch | {"attention_mask": torch.ones_like(batch["attention_mask"])}).logits[:-1].numpy()
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.abs(unmasked - alone).max() > 1e-2  # attention to padding changes the logits


def test_a_method_without_a_merge_is_loaded_unmerged(bert):
    model = build(Method(peft={"peft_type": "LILY", "r": 4}))
    expected = logits(model, bert)
    save_classifier(model, SAVED)
    np.testing.assert_allclose(logits(load_classifier()[0], bert), expected, atol=2e-5)
