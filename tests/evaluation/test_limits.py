"""The limits that the report names: each is named if the numbers show it, and not otherwise."""

from types import SimpleNamespace

import pandas as pd
import pytest

from classifier.evaluation.limits import MOST, labels_without_texts, limits

TRAIN = {"seed": 13, "keep": "last", "class_weights": None}
# A run without a limit but those of every run.
RESULTS = {
    "data": {"official_test": True, "test": 5000, "validation": 2000, "train_share_a": 0.4, "train_share_b|c": 0.6},
    "baseline": {"learned": True, "train": 1000, "doubtful_labels": 0},
    "evaluate": {
        "accuracy_low": 0.9,
        "accuracy_high": 0.92,
        "difference": 0.02,
        "mcnemar_p": 0.01,
        "ece": 0.01,
        "ece_by_chance": 0.02,
        "labels": {"a": {"recall": 0.431, "support": 2000}, "b|c": {"recall": 0.9, "support": 3000}},
        "above_threshold": {"target": 0.95, "threshold": 0.8, "validation_texts_needed": 72},
    },
    "training": {"train_loss": 0.2, "validation_loss": 0.25, "validation_accuracy": 0.9},
}


def found(losses=(0.5, 0.3), train=None, **changes) -> list[str]:
    """The limits of a run whose results, validation losses or settings differ from those above."""
    results = {name: values | changes.get(name, {}) for name, values in RESULTS.items()}
    validation = pd.DataFrame({"step": [10 * (number + 1) for number in range(len(losses))], "loss": losses})
    return limits(results, validation, SimpleNamespace(**TRAIN | (train or {})), ["a", "b|c"])


def test_a_run_without_other_limits_has_two():
    first, last = found()
    assert "data set" in first
    assert "train.seed=14" in last
    assert found(data={"official_test": False})[0] != first


def test_rows_that_belong_together():
    """They may stand in several splits, unless a group is set or the test split is the source's own."""
    official, held_out, in_groups = (
        found(data=data)[0] for data in ({}, {"official_test": False}, {"official_test": False, "groups": 300})
    )
    assert [("No `group` is set" in sentence) for sentence in (official, held_out, in_groups)] == [False, True, False]
    assert [("reviews of one film" in sentence) for sentence in (held_out, in_groups)] == [True, False]
    assert "in whole groups" in in_groups
    assert found(data={"groups": 300})[0] == official


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"evaluate": {"difference": 0.02, "mcnemar_p": 0.31}}, ["+2.0 points", "p = 0.31"]),
        ({"evaluate": {"difference": -0.02}}, ["-2.0 points"]),
        ({"baseline": {"learned": False, "doubtful_labels": 0}, "evaluate": {"guessing_accuracy": 0.905}}, ["90.5%"]),
        ({"evaluate": {"accuracy_low": 0.7, "accuracy_high": 0.9}}, ["5,000 test texts", "20.0 points", "`test`"]),
        # Wilson's interval of 90 of 100 is 82.6% to 94.5%.
        ({"data": {"validation": 100}}, ["100 validation texts", "11.9 points", "`validation`"]),
        (
            {"evaluate": {"above_threshold": {"target": 0.95, "validation_texts_needed": 72}}},
            ["95.0%", "more texts", "`evaluate.target_accuracy`"],
        ),
        ({"losses": (0.5, 0.3, 0.31)}, ["step 20", "0.3000", "0.3100", "train.keep=best"]),
        ({"training": {"validation_loss": 0.31}}, ["0.3100", "0.2000"]),
        ({"data": {"train_share_b|c": 0.24}}, ["24.0%", "b\\|c", "90.0%", "class_weights=balanced"]),
        ({"evaluate": {"labels": {"a": {"support": 5}, "b|c": {"support": 0}}}}, ["no text with the label 'b\\|c',"]),
        ({"evaluate": {"ece": 0.03}}, ["0.0300", "0.0200"]),
        ({"baseline": {"doubtful_labels": 120}}, ["120 train labels", "12.0%", "data/doubtful_labels.csv"]),
    ],
)
def test_each_limit(changes, shown):
    _, limit, last = found(**changes)
    assert [words for words in shown if words not in limit] == []
    assert "train.seed=14" in last


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (2, "labels '0' and '1', so nothing is known of them."),
        (5, "labels '0', '1', '2', '3' and '4', so nothing is known of them."),
        (6, "labels '0', '1', '2', '3' and 2 others, so nothing is known of them."),
    ],
)
def test_labels_that_no_test_text_has(missing, named):
    labels = [str(number) for number in range(8)]
    evaluate = {"labels": {label: {"support": int(int(label) >= missing)} for label in labels}}
    assert labels_without_texts(evaluate, labels) == f"The test split has no text with the {named}"


def test_a_whole_test_split_that_is_too_small_cannot_be_raised():
    wide = {"accuracy_low": 0.7, "accuracy_high": 0.9}
    whole, sample = (" ".join(found(data={"test_available": rows}, evaluate=wide)) for rows in (5000, 9000))
    assert "20.0 points wide. The source's test split has no more." in whole
    assert "20.0 points wide. Raise `test` in the data set's entry." in sample


def test_a_rare_label_that_no_test_text_has():
    """Its recall is unknown, and both limits are named."""
    labels = {"a": {"support": 0}, "b|c": {"support": 5000, "recall": 0.9}}
    _, unknown, rare, _ = found(data={"train_share_a": 0.03}, evaluate={"labels": labels})
    assert "the label 'a'" in unknown
    assert rare == "Only 3.0% of the train texts are labelled a: try `dvc exp run -S train.class_weights=balanced`."
    rarest = found(data={"train_share_a": 0.00002}, evaluate={"labels": labels})[2]
    assert rarest.startswith("Only 0.002% of the train texts are labelled a: ")


def test_few_validation_texts_for_a_threshold():
    few = {"above_threshold": {"target": 0.95, "validation_texts_needed": 72}}
    sentences = found(data={"validation": 60}, evaluate=few)
    assert any("at least 72 texts" in sentence for sentence in sentences)


@pytest.mark.parametrize(
    "changes",
    [
        {"train": {"keep": "best"}, "losses": (0.3, 0.5)},
        {"train": {"class_weights": "balanced"}, "data": {"train_share_a": 0.1}},
        {"train": {"class_weights": "balanced"}, "training": {"validation_loss": 0.9}},  # the training loss is weighted
        {"losses": (0.3,)},
        {"losses": (0.3, 0.3)},
    ],
)
def test_what_is_no_limit(changes):
    assert len(found(**changes)) == 2


def test_at_most_four_limits_and_the_most_important_first():
    sentences = found(
        (0.2, 0.3),
        evaluate={"ece": 0.03, "difference": -0.01, "accuracy_low": 0.8},
        training={"validation_loss": 0.9},
        baseline={"doubtful_labels": 5},
    )
    assert len(sentences) == MOST == 4
    for words, sentence in zip(("data set", "-1.0", "12.0", "step 10"), sentences, strict=True):
        assert words in sentence
