"""minilm's pooler: which methods train it, and that it is saved and merged."""

import numpy as np
import pytest
import torch
from encoders import SAVED, token_ids, write_encoder
from tiny import ROOT

from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier
from classifier.model.forward import logits
from classifier.model.loading import load_classifier, silence_libraries
from classifier.model.saving import save_classifier
from classifier.runner.params import load_params

METHODS = list(load_params(ROOT / "params.yaml").methods)


@pytest.fixture
def minilm(tmp_path, monkeypatch):
    """Return a function from a method's name to a tiny BERT with minilm's settings, on the upper of two layers."""
    monkeypatch.chdir(tmp_path)
    silence_libraries()
    write_encoder("bert")
    params = load_params(ROOT / "params.yaml")
    defaults = params.models["minilm"].peft | {"layers_to_transform": [1]}
    return lambda name: apply_method(*build_classifier(["a", "b"], 0.0), params.methods[name], defaults, steps=10)


@pytest.mark.parametrize("name", METHODS)
def test_the_pooler_trains_with_methods_of_a_low_rate(minilm, name):
    """The pooler trains in full. A method's modules_to_save, even an empty list, replaces the model's list."""
    trained = [key for key, parameter in minilm(name).named_parameters() if parameter.requires_grad]
    pooler = {key.rpartition("dense.")[2] for key in trained if ".pooler." in key}
    frozen = name in {"ia3", "vera", "prefix", "p-tuning", "prompt", "head"}
    assert pooler == (set() if frozen else {"weight", "bias"})
    assert any("classifier" in key for key in trained)


def test_the_trained_pooler_is_saved_and_merged(minilm):
    model = minilm("lora")
    pooler = model.get_base_model().bert.pooler
    with torch.no_grad():
        pooler.modules_to_save["default"].dense.weight.normal_()
    expected = logits(model, token_ids())
    save_classifier(model, SAVED)
    merged, _ = load_classifier()
    weight = merged.get_parameter("bert.pooler.dense.weight").cpu()
    assert torch.equal(weight, pooler.modules_to_save["default"].dense.weight)
    assert not torch.equal(weight, pooler.original_module.dense.weight)
    np.testing.assert_allclose(logits(merged, token_ids()), expected, atol=1e-5)
