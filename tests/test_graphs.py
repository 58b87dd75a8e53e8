"""Gradients as CUDA graphs. Which networks they are for is asked on any machine; the rest needs a GPU."""

from functools import partial

import numpy as np
import pytest
import torch
from encoders import FAMILIES, sequences, small_bert, write_encoder
from tiny import ROOT

from stages.classifier.batches import cross_entropy, gradient
from stages.classifier.forward import quiet
from stages.classifier.graphs import Graphs, repeatable
from stages.classifier.network import classifier, with_method
from stages.settings.params import load_params

PARAMS = load_params(ROOT / "params.yaml")
MOVING = {"adalora", "prefix", "p-tuning", "prompt"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("weights", [None, [0.5, 1.5]])
@pytest.mark.parametrize("bf16", [False, True])
def test_graphs_give_the_gradients_of_their_rows(weights, bf16):
    """Cut into micro-batches, of shapes in turn, and after the weights have moved; and the same bytes again."""
    model, rows, labels = small_bert().cuda().train(), sequences(24), np.arange(24) % 2
    options = {"bf16": bf16, "weights": weights and torch.tensor(weights, device="cuda")}
    loss = partial(cross_entropy, model, **options)
    graphs = Graphs(loss, [*model.parameters()], model.config.pad_token_id, max(map(len, rows)))
    for part in (slice(10), slice(4), slice(10, 20), slice(20, 24), slice(10)):
        of_part = []
        for by in (None, graphs, graphs):
            model.zero_grad(set_to_none=False)
            value = gradient(model, rows[part], labels[part], 10, 4, **options, graphs=by)
            of_part.append((value, torch.cat([parameter.grad.flatten() for parameter in model.parameters()])))
        (expected, theirs), (found, ours), (_, again) = of_part
        assert found == pytest.approx(expected, rel=1e-2 if bf16 else 1e-5)
        assert (ours - theirs).norm() < (2e-2 if bf16 else 1e-4) * theirs.norm()
        assert torch.equal(ours, again)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(parameter.grad)
    assert len(graphs.recorded) == 2  # of 4 rows and of 2, all of at most 32 tokens


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
    assert repeatable(build("bert", method)) == (method not in MOVING)


def test_dropout_cannot_be_repeated(build):
    assert not repeatable(build("bert", dropout=0.1))
