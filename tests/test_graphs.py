"""Gradients as CUDA graphs. Which networks they are for is asked on any machine; the rest needs a GPU."""

import shutil

import numpy as np
import pytest
import torch
from encoders import FAMILIES, sequences, small_bert, write_encoder
from tiny import ROOT

from stages.classifier.forward import quiet
from stages.classifier.gradient import Gradient
from stages.classifier.graphs import repeatable
from stages.classifier.network import classifier, with_method
from stages.files import BASE
from stages.settings.params import load_params

PARAMS = load_params(ROOT / "params.yaml")
ROWS = [np.minimum(row, 20) for row in sequences(8)]  # of the vocabularies of all families
REPEATED = {"lora", "rslora", "dora", "loraplus", "pissa", "ia3", "vera", "full", "head"}
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def compare(model, rows, labels, parts, count: int, rtol: float, **options) -> set[tuple[int, int, int]]:
    """Graphs beside plain gradients, of parts of the rows in turn, cut into micro-batches of 4, each time after the
    weights have moved; returns the shapes that were recorded.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    options["longest"] = max(map(len, rows))
    plain, by_graphs = (Gradient(model, 4, **options, repeats=repeats) for repeats in (False, True))
    for part in parts:
        of_part = []
        for gradient in (plain, by_graphs, by_graphs):
            model.zero_grad(set_to_none=False)
            value = gradient(rows[part], labels[part], count)
            of_part.append((value, torch.cat([parameter.grad.flatten() for parameter in trained])))
        (expected, theirs), (found, ours), (_, again) = of_part
        assert found == pytest.approx(expected, rel=rtol)
        assert (ours - theirs).norm() < rtol * theirs.norm()
        assert torch.equal(ours, again)
        with torch.no_grad():
            for parameter in trained:
                parameter.sub_(parameter.grad)
    return set(by_graphs.graphs.recorded)


@gpu
@pytest.mark.parametrize("weights", [None, [0.5, 1.5]])
@pytest.mark.parametrize("bf16", [False, True])
def test_graphs_give_the_gradients_of_their_rows(weights, bf16):
    model, rng = small_bert().cuda().train(), np.random.default_rng(0)
    lengths = [*[20] * 4, *[9] * 2, *[33] * 4, *[60] * 4]  # 20 and 9 are padded to 32, and 33 to the longest
    rows = [rng.integers(5, 50, length) for length in lengths]
    options = {"bf16": bf16, "weights": weights and np.array(weights, dtype=np.float32)}
    parts = [slice(6), slice(6, 14), slice(6), slice(6, 10)]
    recorded = compare(model, rows, np.arange(14) % 2, parts, 10, 2e-2 if bf16 else 1e-4, **options)
    assert recorded == {(4, 32, 10), (2, 32, 10), (4, 60, 10)}


@pytest.fixture
def build(tmp_path, monkeypatch):
    """(family, name of the method, dropout) -> network."""
    monkeypatch.chdir(tmp_path)
    quiet()

    def built(family: str, method: str = "lora", dropout: float = 0.0):
        write_encoder(family)
        return with_method(*classifier(["no", "yes"], dropout), PARAMS.methods[method], PARAMS.models[family].peft, 10)

    return built


@pytest.mark.parametrize("family", FAMILIES)
def test_encoders_that_can_be_repeated(build, family):
    assert repeatable(build(family)) == (family != "modernbert")


@pytest.mark.parametrize("method", PARAMS.methods)
def test_methods_that_can_be_repeated(build, method):
    assert repeatable(build("bert", method)) == (method in REPEATED)


def test_dropout_cannot_be_repeated(build, monkeypatch):
    assert not repeatable(build("bert", dropout=0.1))
    shutil.rmtree(BASE)
    lora = PARAMS.methods["lora"]
    monkeypatch.setitem(PARAMS.methods, "lora", lora.model_copy(update={"peft": {**lora.peft, "lora_dropout": 0.1}}))
    assert not repeatable(build("bert"))


@gpu
@pytest.mark.parametrize("family", ["distilbert", "roberta"])
def test_graphs_of_other_encoders(build, family):
    compare(build(family).cuda().train(), ROWS, np.arange(8) % 2, [slice(4), slice(8)], 8, 1e-4)


@gpu
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("method", sorted(REPEATED))
def test_graphs_of_each_method(build, method, bf16):
    near = 2e-2 if bf16 else 1e-4
    compare(build("bert", method).cuda().train(), ROWS, np.arange(8) % 2, [slice(4), slice(8)], 8, near, bf16=bf16)
