"""The sentences about what a user can rely on, for results that are made by hand."""

from classifier.evaluation.promises import promises
from classifier.evaluation.tasks.task import MEASURES

LABELS = {
    **{"accuracy": 0.9, "accuracy_low": 0.88, "accuracy_high": 0.92, "ece": 0.01, "ece_by_chance": 0.02},
    "above_threshold": {"target": 0.95, "level": 0.05, "threshold": 0.8123, "coverage": 0.7},
    "sets": {"target": 0.95, "level": 0.05, "probability": 0.2, "coverage": 0.96, "single": 0.85},
    "slices": {"source": {"web": {"n": 40, "accuracy": 0.8, "accuracy_low": 0.65, "accuracy_high": 0.9}}},
    "worst_slice": {
        **{"slice": "source", "value": "web", "n": 40, "accuracy": 0.8, "accuracy_of_others": 0.91},
        **{"p": 0.2, "looked_at": 3},
    },
}
SET_OF = "by `python -m apps.infer --sets 0.95`"
CHANCE = "with a chance of error of at most 5.0%"


def test_single_labels():
    assert promises(LABELS, MEASURES["single-label"]) == [
        "The accuracy is 90.0% (95% interval 88.0% to 92.0%).",
        "A confidence differs from the share of right answers by 1.0 points on average (ECE), which chance alone can "
        f"explain. At least 95.0% of the answers with a confidence of at least 0.8123 are right, {CHANCE}; 70.0% of "
        "the test texts have such an answer.",
        f"At least 95.0% of the prediction sets {SET_OF} hold the right label, {CHANCE}. On test, 85.0% of the sets "
        "have one label.",
        "The group of texts that is most clearly worse: where source is web, the accuracy is 80.0% (95% interval 65.0% "
        "to 90.0%), against 91.0% of all other texts. Chance alone can explain this: p = 0.2 by a one-sided Fisher's "
        "exact test, multiplied by the 3 groups that were looked at.",
        "All this holds for texts like the test texts. `python -m apps.infer --file` warns if the texts of a file "
        "differ from the validation texts, with a false alarm in at most 1% of the cases on average.",
    ]


def test_sets_with_another_chance_of_error_than_those_of_infer():
    found = promises(LABELS | {"sets": LABELS["sets"] | {"level": 0.01}}, MEASURES["single-label"])
    assert found[2].startswith(
        "At least 95.0% of the prediction sets hold the right label, with a chance of error of at most 1.0% "
        "(`python -m apps.infer --sets` allows 5.0%). On test,"
    )


def test_no_group_is_worse():
    better = LABELS["worst_slice"] | {"accuracy_of_others": 0.8, "p": 1.0}
    found = promises(LABELS | {"worst_slice": better}, MEASURES["single-label"])
    assert found[3] == "No group of texts is worse than all other texts."


def test_validation_chose_the_step():
    found = promises(LABELS | {"validation_chose_step": True}, MEASURES["single-label"])
    assert found[3] == "The chances of error above are higher, since validation also chose the step of the training."
    assert len(found) == 6


def test_too_few_texts():
    few = {"ece": 0.03, "ece_by_chance": 0.05, "above_threshold": {"target": 0.975}}
    few["sets"] = {"target": 0.95, "level": 0.05, "validation_texts_needed": 59}
    without_slices = {name: value for name, value in (LABELS | few).items() if "slice" not in name}
    found = promises(without_slices, MEASURES["single-label"])
    assert found[1:3] == [
        "A confidence differs from the share of right answers by 3.0 points on average (ECE), and the texts are too "
        "few to tell more; no confidence is shown above which 97.5% of the answers are right.",
        "Prediction sets that hold the right label of 95.0% of the texts need at least 59 validation texts.",
    ]
    assert len(found) == 4
    assert "which is more than chance explains (2.0)" in promises(LABELS | {"ece": 0.03}, MEASURES["single-label"])[1]


def test_several_labels_are_promised_one_by_one():
    several = {"micro_f1": 0.8, "micro_f1_low": 0.75, "micro_f1_high": 0.85, "ece": 0.01, "ece_by_chance": 0.02}
    several["above_threshold"] = {"target": 0.95}
    several["sets"] = LABELS["sets"] | {"probability": {"a": 0.2}, "labels_without_bound": 2}
    promised = f"Of the texts with a label, at least 95.0% have it in their set {SET_OF}, {CHANCE} for each label."
    found = promises(several, MEASURES["multi-label"])
    assert found[0] == "The micro F1 is 80.0% (95% interval 75.0% to 85.0%)."
    assert found[1].startswith("The probability of a label differs from the share of texts that have the label by 1.0")
    few = "It does not hold for 2 labels, which too few validation texts have."
    assert found[2] == f"{promised} {few} On test, 85.0% of the sets have one label."
    several["sets"]["labels_without_bound"] = 0
    assert promises(several, MEASURES["multi-label"])[2] == f"{promised} On test, 85.0% of the sets have one label."


def test_numbers_have_intervals_and_no_confidence():
    sets = {"target": 0.95, "level": 0.05, "margin": 1.25, "coverage": 0.96, "width": 2.5}
    numbers = {"rmse": 0.61234, "rmse_low": 0.58, "rmse_high": 0.64, "sets": sets}
    assert promises(numbers, MEASURES["regression"])[:2] == [
        "The RMSE is 0.6123 (95% interval 0.58 to 0.64).",
        f"At least 95.0% of the intervals {SET_OF} hold the number, {CHANCE}. An interval is 2.5 wide.",
    ]
