"""The loss of each task: by hand, as transformers and torch compute it, and in NumPy as in torch."""

import numpy as np
import pytest
import torch
from encoders import small_bert
from torch.nn import functional

from classifier.errors import InputError
from classifier.tasks import multi_label, ordinal, regression, single_label
from classifier.tasks.task import TASKS
from classifier.training.recipe import balanced_or_by_label

ROWS, NAMES = 7, ["1", "2", "3"]
RNG = np.random.default_rng(0)
LABELS = {
    "single-label": RNG.integers(0, 3, ROWS),
    "multi-label": RNG.integers(0, 2, (ROWS, 3)).astype(np.uint8),
    "regression": RNG.normal(50.0, 9.0, ROWS),
    "ordinal": RNG.integers(0, 3, ROWS),
}
LOGITS = {name: RNG.normal(0, 2, (ROWS, 1 if name == "regression" else 3)).astype(np.float32) for name in LABELS}


def tensor(values: np.ndarray | None):
    return None if values is None else torch.from_numpy(values)


def targets(name: str, labels: np.ndarray, settings: np.ndarray | None):
    return tensor(TASKS[name].targets(labels, settings))


def mean_loss(name: str, settings: np.ndarray | None) -> float:
    return TASKS[name].loss(tensor(LOGITS[name]), targets(name, LABELS[name], settings), tensor(settings)).item() / ROWS


def test_losses_by_hand():
    """Probabilities 1/4 and 3/4, whose logit is ln 3.

    multi-label: -(ln 1/4 + ln 3/4) / 2 for a text with both labels; the first label counts twice with its weight 2.
    regression: with mean 10 and deviation 2, 14 is 2; (2 - 0.5)² = 2.25.
    ordinal: the target of the first of two ratings is softmax(0, -1) = (0.7311, 0.2689).
    """
    quarter, three = -np.log(0.25), -np.log(0.75)
    logits = torch.tensor([[-np.log(3), np.log(3)]])
    assert multi_label.loss(logits, torch.tensor([[1, 1]]), None).item() == pytest.approx((quarter + three) / 2)
    weighted = multi_label.loss(logits, torch.tensor([[1, 1]]), torch.tensor([2.0, 1.0])).item()
    assert weighted == pytest.approx((2 * quarter + three) / 2)
    standardised = tensor(regression.targets(np.array([14.0]), np.array([10.0, 2.0])))
    assert regression.loss(torch.tensor([[0.5]]), standardised, None).item() == 2.25
    two = torch.tensor([[0.0, np.log(3)]])
    assert ordinal.loss(two, torch.tensor([0]), None).item() == pytest.approx(0.731059 * quarter + 0.268941 * three)


@pytest.mark.parametrize("name", ["single-label", "multi-label", "regression"])
def test_the_loss_is_that_of_transformers(name):
    model, labels = small_bert(labels=LOGITS[name].shape[1]).eval(), LABELS[name]
    model.config.problem_type = TASKS[name].PROBLEM_TYPE
    settings = TASKS[name].loss_settings(None, labels, NAMES)
    theirs = (labels - labels.mean()) / labels.std() if name == "regression" else labels
    theirs = torch.from_numpy(theirs).to(torch.int64 if name == "single-label" else torch.float32)
    ids = torch.randint(5, 20, (ROWS, 6), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        result = model(input_ids=ids, labels=theirs)
    mine = TASKS[name].loss(result.logits, targets(name, labels, settings), tensor(settings)).item() / ROWS
    assert mine == pytest.approx(result.loss.item(), abs=1e-6)


@pytest.mark.parametrize("setting", ["balanced", {"1": 3.0, "3": 0.5}], ids=["balanced", "by name"])
def test_weights_are_those_of_torch(setting):
    labels, logits = LABELS["multi-label"], tensor(LOGITS["multi-label"])
    weights = multi_label.loss_settings(setting, labels, NAMES)
    counts = labels.sum(axis=0)
    assert weights == pytest.approx((ROWS - counts) / counts if setting == "balanced" else [3.0, 1.0, 0.5])
    expected = functional.binary_cross_entropy_with_logits(logits, tensor(labels).float(), pos_weight=tensor(weights))
    assert mean_loss("multi-label", weights) == pytest.approx(expected.item(), abs=1e-6)

    labels, logits = LABELS["single-label"], tensor(LOGITS["single-label"])
    weights = single_label.loss_settings(setting, labels, NAMES)
    assert weights[labels].mean() == pytest.approx(1, abs=1e-6)
    expected = functional.cross_entropy(logits, tensor(labels), tensor(weights))  # divided by the sum of the weights
    assert mean_loss("single-label", weights) == pytest.approx(expected.item(), abs=1e-6)
    soft = torch.from_numpy(ordinal.soft_labels(3)).float()[LABELS["ordinal"]]
    weights = ordinal.loss_settings(setting, LABELS["ordinal"], NAMES)
    rows = functional.cross_entropy(tensor(LOGITS["ordinal"]), soft, reduction="none")
    expected = (rows * tensor(weights)[LABELS["ordinal"]]).mean()
    assert mean_loss("ordinal", weights) == pytest.approx(expected.item(), abs=1e-6)


def test_balanced_weights_of_labels_that_no_text_or_every_text_has():
    assert ordinal.loss_settings("balanced", np.array([0, 0, 2]), NAMES) == pytest.approx([0.75, 1.5, 1.5])
    labels = np.array([[1, 0, 1], [1, 0, 0]], dtype=np.uint8)
    assert multi_label.loss_settings("balanced", labels, NAMES).tolist() == [0.0, 2.0, 1.0]


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("weights", [None, "balanced"])
def test_the_quality_has_the_loss_of_the_training(name, weights):
    if name == "regression":
        weights = None
    settings = TASKS[name].loss_settings(weights, LABELS[name], NAMES)
    loss, score = TASKS[name].quality(LOGITS[name], LABELS[name], settings)
    assert loss == pytest.approx(mean_loss(name, settings), rel=1e-5)
    assert np.isfinite(score)


def test_soft_labels():
    """softmax(-distance²): a rating two away gets e^-4 of the share of the rating itself."""
    shares = ordinal.soft_labels(5)
    assert shares.sum(axis=1) == pytest.approx(np.ones(5))
    assert shares.argmax(axis=1).tolist() == [0, 1, 2, 3, 4]
    assert shares[2] == pytest.approx(shares[2, ::-1])
    assert shares[0, 2] / shares[0, 0] == pytest.approx(np.exp(-4))
    assert shares[2, 1] / shares[2, 2] == pytest.approx(np.exp(-1))
    near, far = (np.log(shares[number])[None] for number in (3, 0))
    losses = [ordinal.quality(logits, np.array([4]))[0] for logits in (near, far)]
    assert losses[0] < losses[1]  # 4 for 5 is better than 1 for 5


@pytest.mark.parametrize(
    ("weights", "labels", "problem"),
    [
        ("balanced", [1.0, 2.0], "a number has no labels to weigh; set it to null"),
        (None, [3.0, 3.0], "all 2 train texts have the number 3; nothing can be learned"),
    ],
)
def test_numbers_that_cannot_be_learned_are_refused(weights, labels, problem):
    with pytest.raises(InputError, match=problem):
        regression.loss_settings(weights, np.array(labels), ["score"])


def test_weights_of_labels_that_are_numbers():
    """The labels of ratings, and of `labels: [0, 1]`, are written as numbers."""
    assert balanced_or_by_label({1: 3.0, "2": 1}) == {"1": 3.0, "2": 1}
    with pytest.raises(ValueError, match="the label 1 has two weights; take out one"):
        balanced_or_by_label({1: 3.0, "1": 2})
