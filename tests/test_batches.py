"""Which rows form the batches; the whole training is in test_pipeline.py."""

import numpy as np
import pytest
from tiny import ROOT

from stages.classifier.batches import Plan, epoch_batches
from stages.classifier.tokens import Tokens
from stages.settings.params import load_params


def test_each_epoch_has_every_row_once_in_another_order():
    lengths = np.random.default_rng(0).integers(5, 256, 1003)
    first, second = (epoch_batches(lengths, 16, 7, epoch) for epoch in (0, 1))
    for batches in (first, second):
        assert sorted(np.concatenate(batches)) == list(range(1003))
        assert sorted({len(batch) for batch in batches}) == [11, 16]  # 62 whole batches and the rest
    assert np.concatenate(first).tolist() != np.concatenate(second).tolist()
    assert np.concatenate(epoch_batches(lengths, 16, 7, 0)).tolist() == np.concatenate(first).tolist()


def test_how_many_epochs_some_steps_are():
    """Of 100 rows in batches of 16, seven steps each; the short epoch comes first."""
    recipe = load_params(ROOT / "params.yaml").train
    lengths = np.full(100, 70, dtype=np.int32)
    rows = Tokens(ids=None, lengths=lengths, row_labels=np.zeros(100, dtype=np.int64), metadata={})
    plan = Plan(rows, recipe, epochs=2)
    assert (plan.steps, plan.short_epochs) == (21, 1)
    assert plan.epochs_of(21) == {"short_epochs": 1, "epochs": 2}
    assert plan.epochs_of(10) == {"short_epochs": 1, "epochs": 0.4286}
    assert plan.epochs_of(5) == {"short_epochs": 0.7143, "epochs": 0}
    plan = Plan(rows, recipe.model_copy(update={"short_epoch": None}), epochs=2)
    assert plan.epochs_of(10) == {"short_epochs": 0, "epochs": 1.4286}


def test_batches_of_similar_length_need_little_padding():
    lengths = np.random.default_rng(0).integers(5, 256, 4000)
    padded = sum(lengths[batch].max() * len(batch) for batch in epoch_batches(lengths, 16, 7, 0))
    assert padded < 1.1 * lengths.sum()
    batches = epoch_batches(lengths, 16, 7, 0)
    assert np.corrcoef(np.arange(len(batches)), [lengths[b].mean() for b in batches])[0, 1] == pytest.approx(0, abs=0.2)
