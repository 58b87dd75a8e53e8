"""Answers of each task from scores worked by hand, expected answers, and doubtful labels."""

import numpy as np
import pytest
from scipy.special import logit

from classifier.errors import InputError
from classifier.tasks.task import TASKS
from stages.infer import Sample, expected_answers

SEVERAL = logit([[0.7, 0.9, 0.2], [0.1, 0.2, 0.3]])  # answered: the second and the first label; none
RATINGS = np.log([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])  # expected ratings 2.6 and 1.7
NUMBERS = np.array([[5.0], [-1.0]])


@pytest.mark.parametrize(
    ("task", "scores", "decision", "least", "expected"),
    [
        ("multi-label", SEVERAL, {"thresholds": [0.5] * 3}, 0.0, [[["2", "1"], []], [[0.9, 0.7], []]]),
        ("multi-label", SEVERAL, {"thresholds": [0.8, 0.5, 0.3]}, 0.0, [[["2"], ["3"]], [[0.9], [0.3]]]),
        # The least certain of the three decisions has 0.7 in both texts.
        ("multi-label", SEVERAL, {"thresholds": [0.5] * 3}, 0.69, [[["2", "1"], []], [[0.9, 0.7], []]]),
        ("multi-label", SEVERAL, {"thresholds": [0.5] * 3}, 0.71, [[["uncertain"]] * 2, [[0.7], [0.7]]]),
        ("ordinal", RATINGS, {}, 0.0, [[3, 1], [0.7, 0.5], [2.6, 1.7]]),
        ("ordinal", RATINGS, {}, 0.6, [[3, None], [0.7, 0.5], [2.6, 1.7]]),
        ("regression", NUMBERS, {"margin": 2.0}, 0.0, [[5, -1], [3, -3], [7, 1]]),
        ("regression", NUMBERS, {"margin": None}, 0.0, [[5, -1], [None, None], [None, None]]),
        ("single-label", RATINGS, {}, 0.6, [["3", "uncertain"], [0.7, 0.5]]),
    ],
)
def test_answers_by_hand(task, scores, decision, least, expected):
    names = ["1", "2", "3"][: scores.shape[1]]
    answers = TASKS[task].answers(scores, names, decision, least)
    assert [*answers] == [*TASKS[task].ANSWER]
    assert [flat(part) for part in answers.values()] == [pytest.approx(flat(part)) for part in expected]
    none = TASKS[task].answers(scores[:0], names, decision, least)
    assert [*none.values()] == [[]] * len(answers)


def flat(part: list) -> list:
    """A part of the answers without inner lists, which pytest.approx does not take."""
    return [value for row in part for value in ([len(row), *row] if isinstance(row, list) else [row])]


def test_a_number_has_no_confidence():
    with pytest.raises(InputError, match="a number has an interval in place of a confidence; leave the threshold out"):
        TASKS["regression"].answers(NUMBERS, ["score"], {"margin": 2.0}, 0.5)


@pytest.mark.parametrize(
    ("task", "label", "expected"),
    [
        ("single-label", "2", "2"),
        ("single-label", "4", None),
        ("multi-label", ["3", "1"], ["3", "1"]),
        ("multi-label", "2", ["2"]),
        ("multi-label", [], []),
        ("multi-label", ["4"], None),
        ("multi-label", 2, ["2"]),
        ("multi-label", [3, "1"], ["3", "1"]),
        ("multi-label", [1.5], None),
        ("ordinal", 2, 2),
        ("ordinal", "2", 2),
        ("ordinal", 4, None),
        ("ordinal", "good", None),
        ("ordinal", [2], None),
        ("regression", 2, 2.0),
        ("regression", "2.5", 2.5),
        ("regression", "good", None),
        ("regression", "nan", None),
        ("regression", [2.0], None),
    ],
)
def test_expected_answers_of_samples(task, label, expected):
    assert TASKS[task].expected_answer(label, ["1", "2", "3"]) == expected


def test_samples_of_another_data_set_are_not_marked(capsys):
    """An empty list of labels does not say to which data set a sample belongs."""
    samples = [Sample(text="good film", label=["good", "film"]), Sample(text="dull", label=[]), Sample(text="fine")]
    for names, expected in ((["rude", "mild"], [None] * 3), (["film", "good"], [["good", "film"], [], None])):
        assert expected_answers(samples, TASKS["multi-label"], names) == expected
    assert capsys.readouterr().err.count("the samples are not marked") == 1
    with pytest.raises(InputError, match=r"infer.texts.0.label: the model has no label \['good', 'film'\]"):
        expected_answers([samples[0], Sample(text="bad", label=["rude"])], TASKS["multi-label"], ["rude", "mild"])


def test_doubtful_labels():
    """A pair of a text and a label is doubtful by itself; of numbers, the twentieth with the largest errors."""
    labels = np.array([[1, 0], [0, 1]], dtype=np.uint8)
    columns = TASKS["multi-label"].prediction_columns(
        logit([[0.2, 0.9], [0.1, 0.6]]), ["a", "b"], {"thresholds": [0.5] * 2}
    )
    table = TASKS["multi-label"].doubtful(labels, columns, ["a", "b"])
    assert table[["row", "label", "predicted"]].to_numpy().tolist() == [[0, "a", "not a"], [0, "not b", "b"]]
    assert table["probability"].tolist() == pytest.approx([0.2, 0.1])
    numbers = np.arange(40.0)
    columns = {"predicted": numbers + np.where(numbers == 7, 9, np.where(numbers == 30, -8, 0.01 * numbers))}
    table = TASKS["regression"].doubtful(numbers, columns, ["score"])
    assert table.to_numpy().tolist() == [[7, 7, 16, 1 / 40], [30, 30, 22, 2 / 40]]


def test_numbers_as_large_as_are_read_have_a_finite_quality():
    labels = np.array([1e30, -1e30, 5e29])
    task = TASKS["regression"]
    settings = task.loss_settings(None, labels, ["score"])
    standardised = ((labels - labels.mean()) / labels.std())[:, None]
    assert task.quality(standardised, labels, settings) == pytest.approx((0.0, 1.0), abs=1e-6)
