"""What a training reads at each step; its end is in test_pipeline.py, its interruptions in test_resume.py."""

from types import SimpleNamespace

import pytest
from conftest import read, run_stages
from tiny import edit_params

from classifier.model.fast.attention import MATMUL_ATTENTION
from classifier.model.fast.first_token import FirstTokenBertAttention
from classifier.runner.params import arguments, load_params
from classifier.text.tokens import open_tokens
from classifier.training.progress import Progress
from classifier.training.training import Training
from stages.train import last_tenth, train


@pytest.mark.parametrize(("short_epoch", "longest"), [(8, [8, 24, 24]), (24, [24, 24]), (None, [24, 24])])
def test_the_first_epoch_is_on_less_of_each_text(finished, short_epoch, longest):
    edit_params(finished, **{"train.short_epoch": short_epoch, "train.epochs": 2})
    tokens = open_tokens("train")
    training = Training(**arguments(train, load_params()), tokens=tokens, held_out=open_tokens("validation"))
    steps = len(tokens) // 8
    assert training.plan.steps == steps * len(longest)
    taken = map(training.plan.batch, range(1, training.plan.steps + 1))
    read = [max(map(len, tokens[rows])) for tokens, rows in taken]
    assert [max(read[start : start + steps]) for start in range(0, len(read), steps)] == longest


@pytest.mark.parametrize(("precision", "attention"), [("bf16", MATMUL_ATTENTION), ("fp32", "sdpa")])
def test_attention_follows_the_precision(finished, precision, attention):
    edit_params(finished, **{"train.precision": precision})
    held_out = open_tokens("validation")
    training = Training(**arguments(train, load_params()), tokens=open_tokens("train"), held_out=held_out)
    assert training.network.config._attn_implementation == attention
    assert any(isinstance(module, FirstTokenBertAttention) for module in training.network.modules())


def test_the_loss_of_the_last_tenth_by_hand():
    """A row is the mean of the steps since the last one: of nine and of one."""
    progress = Progress(step=20, training=[[2, 0.9, 0.1], [10, 0.8, 0.1], [19, 0.6, 0.1], [20, 0.2, 0.0]])
    assert last_tenth(SimpleNamespace(progress=progress)) == pytest.approx((9 * 0.6 + 0.2) / 10)


def test_few_labels_are_read_until_they_are_learned(finished):
    """Of 40 train texts, in batches of 8, one epoch is five steps: no better than a guess."""
    few = {"datasets.imdb-wheel.train": 40, "datasets.imdb-wheel.validation": None, "train.epochs": None}
    accuracies = {}
    for min_steps in (100, 1):
        edit_params(finished, **few, **{"train.min_steps": min_steps})
        run_stages(*["data", "tokenize", "baseline", "train", "evaluate"][3 * (min_steps == 1) :])
        accuracies[min_steps] = read("metrics/evaluate.json")["accuracy"]
    assert read("metrics/data.json")["validation"] == 20
    assert accuracies[100] > 0.85
    assert accuracies[1] < 0.65


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({}, 60),  # all, of 160 texts in five epochs
        ({"train.validation_rows": 50}, 50),
        ({"train.validations": 100}, None),  # at a fortieth of an epoch: few
        ({"train.validations": 100, "train.keep": "best"}, 60),  # they choose
        ({"train.validations": 100, "train.patience": 3}, 60),
    ],
)
def test_validations_take_at_most_a_quarter_of_the_time(finished, changes, texts):
    edit_params(finished, **changes)
    held_out = open_tokens("validation")
    training = Training(**arguments(train, load_params()), tokens=open_tokens("train"), held_out=held_out)
    if texts is None:
        scored = held_out.head(training.followed).lengths.sum() * training.recipe.validations
        assert 1 < training.followed < 60
        assert 0.5 < scored / 2 / (training.plan.tokens_read / 3) <= 1  # a token is scored in half the time
    else:
        assert training.followed == texts
