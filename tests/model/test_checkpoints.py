"""Checkpoints of an encoder or a classifier: heads for other labels, missing or shared weights, pickles."""

import numpy as np
import pytest
import torch
from encoders import (
    DECODERS,
    FAMILIES,
    HEADS,
    LORA,
    SAVED,
    TEXTS,
    build_trainable,
    peft_defaults,
    small_bert,
    token_ids,
    write_encoder,
)
from safetensors.torch import load_file, save_file
from tiny import ROOT
from transformers import AutoConfig, AutoModelForSequenceClassification

from classifier.errors import InputError
from classifier.files.places import ADAPTER, BASE
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier, check_checkpoint
from classifier.model.forward import logits
from classifier.model.loading import load_classifier, silence_libraries
from classifier.model.saving import save_classifier
from classifier.params.catalogue import Method
from classifier.runner.params import load_params


@pytest.fixture(params=FAMILIES + DECODERS)
def family(request, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    silence_libraries()
    write_encoder(request.param)
    return request.param


@pytest.mark.parametrize("before", [3, 5])
def test_all_of_the_head_trains_on_a_classifier_for_other_labels(family, before):
    """The checkpoint was fine-tuned for as many labels, or for more. Only the last layer of its head is fresh."""
    config = AutoConfig.from_pretrained(BASE, num_labels=before)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(BASE)
    for method in (Method(peft="head"), LORA):
        model, head = build_trainable(family, method)
        assert head == HEADS[family]
        for name, parameter in model.named_parameters():
            if name.removeprefix("base_model.model.").split(".")[0] in head and "original_module" not in name:
                assert parameter.requires_grad, name


def test_a_checkpoint_with_a_head_for_other_labels(family):
    build_classifier(["a", "b"], None)[0].save_pretrained(BASE)
    model, head = build_classifier(["a", "b", "c"], None)
    assert head == HEADS[family]
    model = apply_method(model, head, LORA, peft_defaults(family), 10)
    expected = logits(model, token_ids())
    assert expected.shape == (len(TEXTS), 3)
    save_classifier(model, SAVED)
    np.testing.assert_allclose(logits(load_classifier()[0], token_ids()), expected, atol=1e-5)


def test_a_checkpoint_with_a_head_for_as_many_labels(family):
    """The head was trained for another task, so the weights of its last layer are fresh here too."""
    torch.manual_seed(1)
    checkpoint = build_classifier(["a", "b"], None)[0]
    checkpoint.save_pretrained(BASE)
    torch.manual_seed(2)
    model, head = build_classifier(["c", "d"], None)
    assert head == HEADS[family]
    last = f"{HEADS[family][0]}."
    weights = [name for name, p in checkpoint.named_parameters() if name.startswith(last) and p.ndim == 2]
    assert weights
    for name in weights:
        fresh, old = model.get_parameter(name), checkpoint.get_parameter(name)
        assert not torch.equal(fresh, old)
        assert fresh.std().item() == pytest.approx(old.std().item(), rel=0.5)


def test_a_head_that_does_not_end_in_a_linear_layer_is_refused():
    model = small_bert()
    model.classifier = torch.nn.Bilinear(16, 16, 2)
    with pytest.raises(InputError, match="the head of bert does not end in a linear layer, into which the calibration"):
        check_checkpoint(model, set())


def test_a_checkpoint_without_all_of_the_encoder_is_refused(family):
    weights = load_file(BASE / "model.safetensors")
    lacking = next(name for name in weights if "0" in name.split(".") and name.endswith("weight"))
    save_file({name: tensor for name, tensor in weights.items() if name != lacking}, BASE / "model.safetensors")
    with pytest.raises(InputError, match=r"models/base: the checkpoint lacks 1 weights of the encoder .*0.*weight"):
        build_classifier(["a", "b"], None)


def test_embeddings_that_the_checkpoint_has_as_the_output_layer(family):
    """A conversion to safetensors stores shared weights under one name, here that of the output layer."""
    ids, weights = token_ids(), load_file(BASE / "model.safetensors")
    expected = build_trainable(family)[0].get_input_embeddings().weight
    embeddings = {"qwen3": "model.embed_tokens.weight", "llama": "model.embed_tokens.weight"} | {
        "modernbert": "model.embeddings.tok_embeddings.weight", "mpnet": "mpnet.embeddings.word_embeddings.weight",
        "roberta": "roberta.embeddings.word_embeddings.weight",
    }  # fmt: skip
    output = {"modernbert": "decoder.weight", "roberta": "lm_head.decoder.weight", "mpnet": "lm_head.decoder.weight"}
    if family not in embeddings:
        pytest.skip("no language model, or another output layer")
    weights[output.get(family, "lm_head.weight")] = weights.pop(embeddings[family])
    save_file(weights, BASE / "model.safetensors", {"format": "pt"})
    model, head = build_trainable(family)
    assert head == HEADS[family]
    assert torch.equal(model.get_input_embeddings().weight, expected)
    scores = logits(model, ids)
    save_classifier(model, SAVED)
    reloaded, _ = load_classifier()
    np.testing.assert_allclose(logits(reloaded, ids), scores, atol=1e-5)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_pickle_of_weights_is_not_loaded(family, method):
    """Beside safetensors a pickle is ignored. In their place it is refused, and the error asks for the safetensors."""
    model, _ = build_trainable(family, load_params(ROOT / "params.yaml").methods[method])
    save_classifier(model, SAVED)
    weights = ADAPTER / ("model.safetensors" if method == "full" else "adapter_model.safetensors")
    name = "pytorch_model.bin" if method == "full" else "adapter_model.bin"
    torch.save(load_file(weights), ADAPTER / name)
    expected = logits(model, token_ids())
    np.testing.assert_allclose(logits(load_classifier()[0], token_ids()), expected, atol=1e-5)
    weights.unlink()
    with pytest.raises(InputError, match=f"models/adapter: no {weights.name} there"):
        load_classifier()


def test_a_pickle_of_the_encoder_is_not_loaded(family):
    model, _ = build_trainable(family)
    save_classifier(model, SAVED)
    torch.save(load_file(BASE / "model.safetensors"), BASE / "pytorch_model.bin")
    (BASE / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"models/base: no model\*.safetensors there"):
        load_classifier()
