"""The rows of each batch. The whole training is tested in test_pipeline.py."""

from dataclasses import replace

import numpy as np
import pytest
from tiny import ROOT

from classifier.runner.params import load_params
from classifier.text.tokens import Tokens
from classifier.training.batches import Plan, epoch_batches
from classifier.training.recipe import Recipe


def test_each_epoch_has_every_row_once_in_another_order():
    lengths = np.random.default_rng(0).integers(5, 256, 1003)
    first, second = (epoch_batches(lengths, 16, 7, epoch) for epoch in (0, 1))
    for batches in (first, second):
        assert sorted(np.concatenate(batches)) == list(range(1003))
        assert sorted({len(batch) for batch in batches}) == [11, 16]  # 62 full batches and one of 11 rows
    assert np.concatenate(first).tolist() != np.concatenate(second).tolist()
    assert np.concatenate(epoch_batches(lengths, 16, 7, 0)).tolist() == np.concatenate(first).tolist()


def shipped(**changes) -> Recipe:
    return load_params(ROOT / "params.yaml").train.model_copy(update=changes)


def texts(count: int) -> Tokens:
    """Return texts of 70 tokens each, without their ids."""
    lengths = np.full(count, 70, dtype=np.int32)
    return Tokens(ids=None, lengths=lengths, row_labels=np.zeros(count, dtype=np.int64), metadata={})


def test_pairs_have_no_short_epoch():
    tokens = replace(texts(100), metadata={"pair": True})
    assert Plan(tokens, shipped(enough_steps=1), model_epochs=2).short_epochs == 0


def test_fewer_steps_than_validations():
    """Each step has one validation, and a validation may take a quarter of the tokens of two steps, not of four."""
    plan = Plan(texts(16), shipped(epochs=1, validations=4), model_epochs=1)
    assert (plan.steps, plan.validation_steps) == (2, {1, 2})
    assert plan.texts_per_validation(texts(100)) == (16 * (64 + 70) * 2 // 3 // 2) // 70


def test_epochs_after_some_steps():
    """100 rows in batches of 16 are seven steps an epoch. The short epoch comes first."""
    recipe = shipped(enough_steps=1)
    plan = Plan(texts(100), recipe, model_epochs=2)
    assert (plan.steps, plan.short_epochs) == (21, 1)
    assert plan.epochs_after(21) == {"short_epochs": 1, "epochs": 2}
    assert plan.epochs_after(10) == {"short_epochs": 1, "epochs": 0.4286}
    assert plan.epochs_after(5) == {"short_epochs": 0.7143, "epochs": 0}
    assert str(plan) == "100 texts, epochs 2 after a short one of 64 tokens per text, 21 steps"
    plan = Plan(texts(100), shipped(enough_steps=1, short_epoch=None), model_epochs=2)
    assert plan.epochs_after(10) == {"short_epochs": 0, "epochs": 1.4286}
    assert str(plan) == "100 texts, epochs 2, 14 steps"


@pytest.mark.parametrize(
    ("count", "model_epochs", "changes", "expected"),
    [
        (80, 1, {}, (10, 55)),  # five steps an epoch, and five in the short epoch; the root of 100 is 10
        (160, 3, {}, (7, 80)),
        (400, 1, {}, (4, 125)),
        (800, 1, {}, (3, 200)),
        (1600, 1, {}, (2, 300)),
        (1600, 3, {}, (3, 400)),
        (3550, 1, {}, (2, 666)),  # 222 steps: the root is 1.501
        (3570, 1, {}, (1, 448)),  # 224 steps: the root is 1.494
        (6000, 1, {}, (1, 750)),
        (120000, 1, {}, (1, 15000)),
        (80, 1, {"epochs": 2}, (2, 15)),  # enough_steps does not change a number that is set
        (80, 1, {"enough_steps": 20}, (2, 15)),
        (80, 1, {"batch_size": 8}, (7, 80)),
    ],
)
def test_few_texts_take_more_epochs(count, model_epochs, changes, expected):
    plan = Plan(texts(count), shipped(**{"enough_steps": 500} | changes), model_epochs)
    assert (plan.epochs, plan.steps) == expected


def test_tokens_read():
    plan = Plan(texts(17), shipped(enough_steps=18), model_epochs=1)  # two steps an epoch
    assert plan.epochs == 3
    assert plan.tokens_read == 17 * 64 + 3 * 17 * 70


def test_batches_of_similar_length_need_little_padding():
    lengths = np.random.default_rng(0).integers(5, 256, 4000)
    padded = sum(lengths[batch].max() * len(batch) for batch in epoch_batches(lengths, 16, 7, 0))
    assert padded < 1.1 * lengths.sum()
    batches = epoch_batches(lengths, 16, 7, 0)
    assert np.corrcoef(np.arange(len(batches)), [lengths[b].mean() for b in batches])[0, 1] == pytest.approx(0, abs=0.2)
