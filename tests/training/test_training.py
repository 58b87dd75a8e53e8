"""The steps and validations of a training. See test_pipeline.py for its result, test_resume.py for interruptions."""

import pytest
from commands import read, run_stages
from tiny import edit_params

from classifier.model.fast.attention import MATMUL_ATTENTION
from classifier.model.fast.first_token import FirstTokenBertAttention
from classifier.runner.params import arguments, load_params
from classifier.text.tokens import open_tokens
from classifier.training.progress import Progress
from classifier.training.training import Training
from stages.train import final_training_loss, train


def set_up() -> Training:
    """Return the training of the current folder, before its first step."""
    tokens = {f"{split}_tokens": open_tokens(split) for split in ("train", "validation")}
    return Training(**arguments(train, load_params()), **tokens)


@pytest.mark.parametrize(("short_epoch", "longest"), [(8, [8, 24, 24]), (24, [24, 24]), (None, [24, 24])])
def test_the_short_epoch_comes_first(finished, short_epoch, longest):
    edit_params(finished, **{"train.short_epoch": short_epoch, "train.epochs": 2})
    plan = set_up().plan
    steps = len(plan.tokens) // 8
    assert plan.steps == steps * len(longest)
    lengths = [max(map(len, tokens[rows])) for tokens, rows in map(plan.batch, range(1, plan.steps + 1))]
    assert [max(lengths[start : start + steps]) for start in range(0, len(lengths), steps)] == longest


@pytest.mark.parametrize(("precision", "attention"), [("bf16", MATMUL_ATTENTION), ("fp32", "sdpa")])
def test_the_precision_chooses_the_attention(finished, precision, attention):
    edit_params(finished, **{"train.precision": precision})
    network = set_up().network
    assert network.config._attn_implementation == attention
    assert any(isinstance(module, FirstTokenBertAttention) for module in network.modules())


def test_the_final_training_loss_by_hand():
    """Each row of the curve is the mean of the steps since the row before: here of nine steps and of one."""
    progress = Progress(step=20, training=[[2, 0.9, 0.1], [10, 0.8, 0.1], [19, 0.6, 0.1], [20, 0.2, 0.0]])
    assert final_training_loss(progress) == pytest.approx((9 * 0.6 + 0.2) / 10)


def test_few_texts_are_read_until_they_are_learned(finished):
    """One epoch of 40 texts in batches of 8 is five steps, which learn nothing."""
    few = {"datasets.imdb-wheel.train": 40, "datasets.imdb-wheel.validation": None, "train.epochs": None}
    accuracies = {}
    for enough_steps in (2000, 1):  # 20 epochs, and one
        edit_params(finished, **few, **{"train.enough_steps": enough_steps})
        run_stages(*["data", "tokenize", "baseline", "train", "evaluate"][3 * (enough_steps == 1) :])
        accuracies[enough_steps] = read("metrics/evaluate.json")["accuracy"]
    assert read("metrics/data.json")["validation"] == 20
    assert accuracies[2000] > 0.85
    assert accuracies[1] < 0.65


@pytest.mark.parametrize(
    ("min_texts", "method", "trains"),
    [
        (160, {}, True),  # as many texts as train has
        (161, {}, False),
        (161, {"modules_to_save": ["pooler"]}, True),  # the method asks for it
        (0, {}, True),
    ],
)
def test_modules_beside_the_adapter_stay_frozen_with_few_texts(finished, min_texts, method, trains):
    model = {"target_modules": ["query", "value"], "modules_to_save": ["pooler"]}
    edit_params(finished, **{"models.minilm.peft": model, "train.min_texts_for_modules": min_texts})
    for name, value in method.items():
        edit_params(finished, **{f"methods.lora.peft.{name}": value})
    trained = {name for name, weights in set_up().network.named_parameters() if weights.requires_grad}
    assert any("pooler" in name for name in trained) == trains
    assert any("lora_A" in name for name in trained)
    assert any("classifier" in name for name in trained)


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({}, 60),  # all texts, because the training reads 160 texts in five epochs
        ({"train.validation_rows": 50}, 50),
        ({"train.validations": 100}, None),  # 20 validations an epoch: few texts for each
        ({"train.validations": 100, "train.keep": "best"}, 60),  # the validations choose the weights
        ({"train.validations": 100, "train.patience": 3}, 60),
    ],
)
def test_validations_take_at_most_a_quarter_of_the_time(finished, changes, texts):
    edit_params(finished, **changes)
    training = set_up()
    if texts is not None:
        assert training.texts_per_validation == texts
        return
    assert 1 < training.texts_per_validation < 60
    tokens_scored = training.validation_tokens.first_texts(training.texts_per_validation).lengths.sum() * 100
    assert 0.5 < tokens_scored / 2 / (training.plan.tokens_read / 3) <= 1  # to score a token takes half the time


def test_only_the_last_validation_has_features(finished):
    training = set_up()
    assert training.validate(10)[1].shape == (10, 0)
    assert training.validate()[1].shape == (60, 32)
