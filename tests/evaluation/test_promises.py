"""The sentences about what a user can rely on, for results that are made by hand."""

from classifier.evaluation.promises import promises
from classifier.evaluation.tasks.task import MEASURES

LABELS = {
    **{"accuracy": 0.9, "accuracy_low": 0.88, "accuracy_high": 0.92, "ece": 0.01, "ece_by_chance": 0.02},
    "above_threshold": {"target": 0.95, "level": 0.05, "threshold": 0.8123, "coverage": 0.7},
    "sets": {"target": 0.95, "level": 0.05, "coverage": 0.96, "single": 0.85},
    "slices": {"source": {"web": {"n": 40, "accuracy": 0.8, "accuracy_low": 0.65, "accuracy_high": 0.9}}},
    "worst_slice": {
        **{"slice": "source", "value": "web", "n": 40, "accuracy": 0.8, "accuracy_of_others": 0.91},
        **{"p": 0.2, "looked_at": 3},
    },
}


def test_single_labels():
    assert promises(LABELS, MEASURES["single-label"]) == [
        "The accuracy is 90.0% (95% interval 88.0% to 92.0%).",
        "A confidence differs from the share of right answers by 1.0 points on average (ECE), which chance alone can "
        "explain. At least 95.0% of the answers with a confidence of 0.8123 and more are right, with a chance of error "
        "of 5.0%; 70.0% of the test texts have such an answer.",
        "At least 95.0% of the prediction sets by `python -m apps.infer --sets 0.95` hold the right label, with a "
        "chance of error of 5.0%; 85.0% have one label.",
        "The accuracy is worst where source is web: 80.0% (95% interval 65.0% to 90.0%), against 91.0% of all other "
        "texts. Chance alone can explain this: p = 0.2 by a one-sided Fisher's exact test, multiplied by the 3 groups "
        "that were looked at.",
        "All this holds for texts like the test texts. `python -m apps.infer --file` warns if the texts of a file "
        "differ from the validation texts. The chance of a false alarm is 1%.",
    ]


def test_too_few_texts():
    few = {"ece": 0.03, "ece_by_chance": 0.05, "above_threshold": {"target": 0.95}}
    few["sets"] = {"target": 0.95, "validation_texts_needed": 59}
    found = promises(
        {name: value for name, value in (LABELS | few).items() if "slice" not in name}, MEASURES["single-label"]
    )
    assert found[1:3] == [
        "A confidence differs from the share of right answers by 3.0 points on average (ECE), and the texts are too "
        "few to tell more; no confidence is shown above which 95% of the answers are right.",
        "Prediction sets that hold the right label of 95.0% of the texts need at least 59 validation texts.",
    ]
    assert len(found) == 4
    assert "which is more than chance explains (2.0)" in promises(LABELS | {"ece": 0.03}, MEASURES["single-label"])[1]


def test_numbers_have_intervals_and_no_confidence():
    sets = {"target": 0.9, "level": 0.05, "coverage": 0.91, "width": 2.5}
    numbers = {"rmse": 0.61234, "rmse_low": 0.58, "rmse_high": 0.64, "sets": sets}
    assert promises(numbers, MEASURES["regression"])[:2] == [
        "The RMSE is 0.6123 (95% interval 0.58 to 0.64).",
        "At least 90.0% of the intervals by `python -m apps.infer --sets 0.9` hold the number, with a chance of error "
        "of 5.0%; an interval is 2.5 wide.",
    ]
