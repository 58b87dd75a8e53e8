"""Encoders of five families and two decoders: tokens, LoRA's layers, gradients, calibration, saving and loading."""

import json

import numpy as np
import pytest
import torch
from commands import read
from encoders import (
    DECODERS,
    FAMILIES,
    HEADS,
    LORA,
    SAVED,
    TEXTS,
    build_trainable,
    peft_defaults,
    token_ids,
    write_encoder,
)
from safetensors.torch import load_file
from tiny import ROOT
from transformers import AutoTokenizer

from classifier.errors import InputError
from classifier.files.places import ADAPTER, BASE
from classifier.model.build import build_classifier
from classifier.model.forward import logits
from classifier.model.loading import load_classifier, silence_libraries
from classifier.model.padding import pad_batch
from classifier.model.saving import save_classifier
from classifier.params.catalogue import Method
from classifier.runner.params import load_params
from classifier.tasks import single_label
from classifier.text.encoding import encode
from classifier.training.calibration import calibrate
from classifier.training.gradient import Gradient
from classifier.training.optimizer import make_optimizer


@pytest.fixture(params=FAMILIES + DECODERS)
def family(request, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    silence_libraries()
    write_encoder(request.param)
    return request.param


def test_tokens(family):
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    whole = tokenizer(TEXTS)["input_ids"]
    assert max(len(ids) for ids in whole) > 12
    head = [ids for (ids,) in encode(TEXTS, tokenizer, 12, "head", False)]
    assert head == tokenizer(TEXTS, truncation=True, max_length=12)["input_ids"]
    for (ids,), all_ids in zip(encode(TEXTS, tokenizer, 12, "head+tail", False), whole, strict=True):
        if family not in DECODERS:
            assert ids[0] == tokenizer.cls_token_id
            assert ids[-1] == tokenizer.sep_token_id
        assert ids == (all_ids if len(all_ids) <= 12 else all_ids[:3] + all_ids[-9:])
    assert tokenizer.decode(whole[0], skip_special_tokens=True).split() == TEXTS[0].split()


def test_lora_is_on_all_linear_layers_but_those_of_the_head(family):
    model, head = build_trainable(family)
    assert head == HEADS[family]
    plain, _ = build_classifier(["a", "b", "c"], None)
    linear = {
        name: module
        for name, module in plain.named_modules()
        if isinstance(module, torch.nn.Linear) and name.split(".")[0] not in head
    }
    adapted = {
        name.removeprefix("base_model.model.").partition(".lora_A")[0]
        for name, _ in model.named_parameters()
        if "lora_A" in name
    }
    assert adapted == set(linear)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    in_head = sum(p.numel() for name, p in plain.named_parameters() if name.split(".")[0] in head)
    assert trained == in_head + sum(4 * (layer.in_features + layer.out_features) for layer in linear.values())


def test_save_and_reload(family):
    config = BASE / "config.json"
    config.write_text(json.dumps(read(config) | {"problem_type": "multi_label_classification"}))
    model, head = build_trainable(family)
    ids, labels = token_ids(), np.array([0, 0, 0, 1, 1, 2])
    before = logits(model, ids)
    optimizer = make_optimizer(model, 3e-2, 0.0, None)
    for _ in range(10):
        Gradient(model.train(), single_label, 6)(ids, labels, len(ids))
        optimizer.step()
        optimizer.zero_grad()
    trained = logits(model, ids)
    assert np.abs(trained - before).max() > 0.05
    temperature, bias = calibrate(model, 3 * trained, labels, single_label)
    assert bias.any() == (family not in DECODERS)
    expected = trained / temperature + bias
    np.testing.assert_allclose(logits(model, ids), expected, rtol=1e-5, atol=1e-5)
    save_classifier(model, SAVED)
    reloaded, tokenizer = load_classifier()
    np.testing.assert_allclose(logits(reloaded, ids), expected, rtol=1e-5, atol=1e-5)
    assert tokenizer(TEXTS)["input_ids"] == AutoTokenizer.from_pretrained(BASE)(TEXTS)["input_ids"]
    saved_config = read(ADAPTER / "config.json")
    assert saved_config["id2label"] == {"0": "label 0", "1": "label 1", "2": "label 2"}
    assert saved_config["problem_type"] == "single_label_classification"  # for pipeline() to apply a softmax
    saved = load_file(ADAPTER / "adapter_model.safetensors")
    fresh = build_classifier(["a", "b", "c"], None)[0].state_dict()
    head_weights = [name for name in fresh if name.split(".")[0] in head]
    assert {name.split(".")[0] for name in head_weights} == set(head)
    for name in head_weights:  # the whole trained head is saved
        torch.testing.assert_close(saved[f"base_model.model.{name}"], reloaded.state_dict()[name].cpu())


def test_ia3_scales_keys_values_and_the_feed_forward(family):
    """As in the paper, each key, value and inner activation has a factor, the latter at the input of a layer."""
    model, _ = build_trainable(family, load_params(ROOT / "params.yaml").methods["ia3"])
    factors = {name: p for name, p in model.named_parameters() if "ia3_l" in name}
    config = model.config
    if family in DECODERS:  # keys and values of two heads
        per_layer = 2 * 2 * config.head_dim + config.intermediate_size
    elif family == "modernbert":  # queries, keys and values in one layer
        per_layer = 3 * config.hidden_size + config.intermediate_size
    else:
        inner = config.hidden_dim if family == "distilbert" else config.intermediate_size
        per_layer = 2 * config.hidden_size + inner
    assert sum(p.numel() for p in factors.values()) == config.num_hidden_layers * per_layer
    at_input = {p.shape[1] for p in factors.values() if p.shape[0] == 1}
    assert at_input == {config.hidden_dim if family == "distilbert" else config.intermediate_size}
    decayed, undecayed = (group["params"] for group in make_optimizer(model, 1e-3, 0.01, None).param_groups)
    # Weight decay would pull a factor to 0 instead of 1.
    assert {id(p) for p in factors.values()} <= {id(p) for p in undecayed}
    assert decayed


def test_adapter_config_is_sorted(family):
    lora = LORA.peft | {"layers_to_transform": [1, 0]}  # a list keeps its order; sets are sorted
    model, _ = build_trainable(family, Method(peft=lora))
    save_classifier(model, SAVED)
    config = read(ADAPTER / "adapter_config.json")
    assert config["layers_to_transform"] == [1, 0]
    assert config["target_modules"] == sorted(peft_defaults(family)["target_modules"])
    assert list(config) == sorted(config)


def test_micro_batches_add_up_to_the_large_batch(family):
    model, _ = build_trainable(family)
    ids, labels = token_ids(), np.array([0, 1, 2, 0, 1, 2])
    assert len({len(row) for row in ids}) > 1  # each micro-batch has its own padding
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)  # with B = 0, A has no gradient
    loss = torch.nn.functional.cross_entropy(
        model(**pad_batch(ids, model.config.pad_token_id)).logits, torch.tensor(labels)
    )
    loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    assert all(grad.abs().max() > 0 for grad in expected.values())
    for micro in (6, 4, 1):
        model.zero_grad()
        assert Gradient(model, single_label, micro)(ids, labels, len(ids)) == pytest.approx(loss.item(), rel=1e-5)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                torch.testing.assert_close(parameter.grad, expected[name], atol=1e-6, rtol=1e-4)


def test_classifier_as_target(family):
    """target_modules: [classifier] trains the head in full, since its weights are fresh, and nothing else."""
    name = HEADS[family][0]
    method = Method(peft={"peft_type": "LORA", "r": 8, "lora_alpha": 32, "target_modules": [name]})
    model, head = build_trainable(family, method, labels=2)
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    assert {name.split(".")[0] for name in trained} == set(head)
    dense, last = 32 * 32 + 32, 32 * 2 + 2  # hidden size 32, two labels; ModernBERT has a norm of 32 instead of a bias
    in_head = {"bert": last} | dict.fromkeys(DECODERS, last - 2)  # a decoder's head has no bias
    assert sum(trained.values()) == in_head.get(family, dense + last)
    # [query, classifier] trains the same weights as [query]: the head trains in full anyway.
    queries = {"distilbert": "q_lin", "mpnet": "q", "modernbert": "Wqkv", "qwen3": "q_proj", "llama": "q_proj"}
    query = queries.get(family, "query")
    peft = {"peft_type": "LORA", "r": 8, "target_modules": [query]}
    alone, _ = build_trainable(family, Method(peft=peft))
    both, _ = build_trainable(family, Method(peft=peft | {"target_modules": [query, name]}))
    names = [[name for name, p in model.named_parameters() if p.requires_grad] for model in (alone, both)]
    assert names[0] == names[1]
    assert any("lora_A" in name for name in names[0])
    # The modules in modules_to_save train as well.
    settings = method.peft | {"modules_to_save": [query]}
    saved, _ = build_trainable(family, method.model_copy(update={"peft": settings}))
    names = {name for name, p in saved.named_parameters() if p.requires_grad}
    assert names == set(trained) | {name for name, _ in saved.named_parameters() if f".{query}." in name}
    assert len(names) > len(trained)
    # A method without the setting modules_to_save trains the head.
    other = method.model_copy(update={"peft": {"peft_type": "TRAINABLE_TOKENS", "target_modules": [name]}})
    model, _ = build_trainable(family, other, labels=2)
    assert {name: p.numel() for name, p in model.named_parameters() if p.requires_grad} == trained


def test_a_target_that_the_model_lacks(family):
    with pytest.raises(InputError, match=r"params.yaml: target_modules: the model has no layer 'no_such'; its linear"):
        build_trainable(family, Method(peft={"peft_type": "LORA", "target_modules": ["no_such"]}))


def test_modules_to_save_of_a_method_do_not_replace_the_head(family):
    names = {"distilbert": "transformer.layer.0.ffn", "bert": "layer.0.intermediate"}
    names |= dict.fromkeys(("roberta", "mpnet"), "layer.0.intermediate")
    first = names.get(family, "layers.0.mlp")
    model, head = build_trainable(family, Method(peft=LORA.peft | {"modules_to_save": [first]}))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(any(f".{part}." in name for name in trained) for part in [*head, first])
    expected = logits(model, token_ids())
    save_classifier(model, SAVED)
    np.testing.assert_allclose(logits(load_classifier()[0], token_ids()), expected, atol=1e-5)
