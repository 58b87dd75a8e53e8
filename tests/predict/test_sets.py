"""Prediction sets: bounds by hand and beside MAPIE's, a simulation of the guarantee, and the sets of each task."""

import json

import numpy as np
import pandas as pd
import pytest
from commands import infer_command, predict, read
from mapie.classification import SplitConformalClassifier
from random_classifier import LABELS, TEXTS, save_random_classifier
from scipy.special import logit, softmax
from scipy.stats import binom
from sklearn.base import BaseEstimator, ClassifierMixin

from apps.demo_actions import Actions
from benchmarks.sets import MultiLabel, Regression, SingleLabel, coverages
from classifier.errors import InputError
from classifier.files.formats import read_table, write_table
from classifier.files.places import METRICS, PREDICTIONS, RAW, VALIDATION
from classifier.predict.classifier import Classifier
from classifier.predict.sets import find_bound, find_bounds, required_bounds, texts_needed
from classifier.scoring.options import check_sets
from classifier.tasks.task import TASKS


def test_the_bound_by_hand():
    scores = np.random.default_rng(0).permutation(100) / 100
    # Of 100 rows, at most 4 are among the lowest 10% of all texts with a probability of 0.024, at most 5 with 0.058.
    assert find_bound(scores, 0.9, 0.05) == 0.04
    assert find_bound(scores, 0.9, 0.06) == 0.05
    # 0.9 to the power of 29 is 0.047, and to that of 28 it is 0.052.
    assert find_bound(scores[:29], 0.9, 0.05) == scores[:29].min()
    assert np.isnan(find_bound(scores[:28], 0.9, 0.05))
    assert np.isnan(find_bound(scores[:0], 0.9, 0.05))


@pytest.mark.parametrize("target", [0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("level", [0.05, 0.2, 0.7])
def test_the_number_of_texts_that_are_needed_is_the_smallest_with_a_bound(target, level):
    needed = texts_needed(target, level)
    assert not np.isnan(find_bound(np.ones(needed), target, level))
    assert np.isnan(find_bound(np.ones(needed - 1), target, level))


@pytest.mark.parametrize(
    ("texts", "rows", "draws"),
    [
        (SingleLabel(2), 60, 300),
        pytest.param(SingleLabel(10), 200, 1000, marks=pytest.mark.scale),
        pytest.param(MultiLabel(3), 200, 500, marks=pytest.mark.scale),
        pytest.param(Regression(1), 60, 2000, marks=pytest.mark.scale),
    ],
)
def test_the_guarantee_holds(texts, rows, draws):
    """In at most 5% of the draws, the true coverage is below the target. `make sets` has more draws."""
    for target, found in coverages(texts, rows, draws).items():
        missed = np.mean(np.array(found) < target)
        assert missed <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / draws)
        assert np.mean(found) < 0.995  # sets of all labels would always cover


class Fixed(ClassifierMixin, BaseEstimator):
    """A classifier that answers with the given probabilities."""

    def fit(self, probabilities, labels):
        self.classes_ = np.arange(probabilities.shape[1])
        return self

    def predict_proba(self, probabilities):
        return probabilities

    def predict(self, probabilities):
        return probabilities.argmax(axis=1)


@pytest.mark.parametrize(("labels", "rows", "target"), [(2, 60, 0.9), (5, 200, 0.8), (20, 333, 0.95)])
def test_the_sets_are_those_of_mapie_at_the_same_place(labels, rows, target):
    """MAPIE takes place k of the largest scores for a confidence level of k / (rows + 1)."""
    rng = np.random.default_rng(labels)
    scores = rng.normal(size=(rows + 500, labels))
    answers = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    probabilities = softmax(scores, axis=1)
    fit, new = slice(0, rows), slice(rows, None)
    fewer = next(k for k in range(rows) if binom.cdf(k, rows, 1 - target) > 0.05)  # rows below the bound
    mapie = SplitConformalClassifier(
        Fixed().fit(probabilities, answers),
        confidence_level=(rows + 1 - fewer) / (rows + 1),
        conformity_score="lac",
        prefit=True,
    )
    theirs = mapie.conformalize(probabilities[fit], answers[fit]).predict_set(probabilities[new])[1][:, :, 0]
    task = TASKS["single-label"]
    bounds = [find_bound(probabilities[fit][np.arange(rows), answers[fit]], target, 0.05)]
    ours = task.in_sets(probabilities[new], task.with_bounds({}, np.array(bounds)))
    assert 0 < ours.mean() < 1
    top = probabilities[new] == probabilities[new].max(axis=1, keepdims=True)
    assert (ours == (theirs | top)).all()


def test_bounds_of_each_task_by_hand():
    rows = pd.DataFrame({"unseen_probability": np.arange(100) / 100, "label": 0})
    assert find_bounds(TASKS["single-label"], rows, 0.9, 0.05).tolist() == [0.04]
    assert find_bounds(TASKS["ordinal"], rows, 0.9, 0.05).tolist() == [0.04]
    numbers = pd.DataFrame({"unseen_predicted": np.zeros(100), "label": np.linspace(-99, 99, 100)})
    bounds = find_bounds(TASKS["regression"], numbers, 0.9, 0.05)
    assert bounds == pytest.approx([-95])  # the residuals are 1, 1, 3, 3, ..., 99, 99
    assert TASKS["regression"].with_bounds({"margin": 1.0}, bounds) == {"margin": pytest.approx(95)}
    # All 100 rows have the first label, the 30 rows with the highest probabilities the second, and 28 the third.
    labels = np.array([[1, row >= 70, row >= 72] for row in range(100)], dtype=np.uint8)
    several = pd.DataFrame({"unseen_probability": [[row / 100] * 3 for row in range(100)], "label": [*labels]})
    for name in several:
        several[name] = several[name].map(np.array)
    first, second, third = find_bounds(TASKS["multi-label"], several, 0.9, 0.05)
    assert (first, second) == (0.04, 0.7)
    assert np.isnan(third)


SINGLE = np.log([[0.15, 0.2, 0.65], [0.4, 0.3, 0.3], [0.05, 0.9, 0.05]])
SEVERAL = logit([[0.7, 0.9, 0.2], [0.1, 0.2, 0.3]])


@pytest.mark.parametrize(
    ("task", "scores", "decision", "bounds", "expected"),
    [
        ("single-label", SINGLE, {}, [0.17], [["3", "2"], ["1", "2", "3"], ["2"]]),
        ("single-label", SINGLE, {}, [0.7], [["3"], ["1"], ["2"]]),  # the most probable label is always there
        ("ordinal", SINGLE, {}, [0.17], [[3, 2], [1, 2, 3], [2]]),
        ("multi-label", SEVERAL, {"thresholds": [0.5] * 3}, [0.6, 0.1, 0.25], [["2", "1"], ["3", "2"]]),
        ("multi-label", SEVERAL, {"thresholds": [0.5] * 3}, [np.nan, 0.95, 0.9], [["1"], []]),
    ],
)
def test_sets_by_hand(task, scores, decision, bounds, expected):
    task, names = TASKS[task], ["1", "2", "3"]
    decision = task.with_bounds(decision, np.array(bounds))
    for least in (0.0, 1.0):  # an uncertain answer has its set, too
        answers = task.answers(scores, names, decision, least)
        assert [*answers] == [*task.ANSWER, *task.SET]
        assert answers["set"] == expected


def save_classifier_with_rows(name: str, copies: int) -> None:
    """Write a random classifier of a task, and validation rows: those that its calibration was fitted to, repeated."""
    save_random_classifier(name)
    names, labels = LABELS[name]
    classifier = Classifier()
    columns = classifier.prediction_columns(classifier.token_windows(TEXTS))
    rows = {"label": labels, **classifier.task.unseen_columns(columns, labels, names)}
    table = pd.DataFrame({key: [*values] * copies for key, values in rows.items()})
    write_table(VALIDATION, table)


@pytest.mark.parametrize("name", LABELS)
def test_the_sets_of_a_classifier_hold_the_right_labels_of_its_validation_rows(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_classifier_with_rows(name, 4)
    plain, classifier = Classifier(), Classifier(sets=0.8)
    answers, names, labels = classifier(TEXTS), *LABELS[name]
    assert (plain.sets, classifier.sets) == (None, 0.8)
    assert [*classifier.parts] == [*plain.parts, *classifier.task.SET]
    assert {len(answer) for answer in answers} == {len(classifier.parts)}
    assert classifier(" ") == (None,) * len(classifier.parts)
    if name == "regression":
        inside = [low <= number <= high for (_, low, high), number in zip(answers, labels, strict=True)]
        widths = [high - low for _, low, high in (classifier(TEXTS[0]), Classifier(sets=0.5)(TEXTS[0]))]
        assert widths[0] > widths[1]
    elif name == "multi-label":
        numbers = [{names.index(label) for label in answer[-1]} for answer in answers]
        inside = [number in numbers[row] for row, number in np.argwhere(labels)]
    else:
        inside = [str(names[label]) in map(str, answer[-1]) for answer, label in zip(answers, labels, strict=True)]
    assert np.mean(inside) >= 0.8
    page = Actions(plain)
    assert page.has_sets == (name != "regression")
    if page.has_sets:
        verdict, without = (page.classify(TEXTS[0], 0.0, share)[0] for share in (0.8, 0))
        assert verdict == f"{without} The set for 80%: {', '.join(map(str, answers[0][-1])) or 'none'}."


def test_old_adapters_and_few_rows_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_classifier_with_rows("multi-label", 1)
    problem = "sets: too few validation rows for 0.99: a bound needs at least 299, and "
    with pytest.raises(InputError, match=problem):
        Classifier(sets=0.99)
    for share in (0, 1, 1.5, -1, True, "0.9"):
        with pytest.raises(InputError, match=r"sets: .*: a number between 0 and 1 is needed"):
            Classifier(sets=share)
    counts = LABELS["multi-label"][1].sum(axis=0)
    target = 0.05 ** (1 / counts.max()) - 1e-6  # only the label with the most rows has a bound
    assert (~np.isnan(required_bounds(target))).tolist() == (counts == counts.max()).tolist()
    refused = infer_command("good", "--sets", "0.99", ok=False)
    assert refused.startswith(f"infer: {problem}{counts.max()} are there; ask for a smaller share, or train with more")
    check_sets(target)
    few = [name for name, count in zip(LABELS["multi-label"][0], counts, strict=True) if count < counts.max()]
    line = f"infer: {len(few)} labels have too few validation rows for --sets {target}: {', '.join(few)}; their usual"
    assert capsys.readouterr().err.startswith(line)
    rows, metadata = read_table(VALIDATION)
    VALIDATION.unlink()
    write_table(VALIDATION, rows.drop(columns="unseen_probability"), **metadata)
    with pytest.raises(InputError, match="has no column unseen_probability, which sets need; train again with `dvc"):
        Classifier(sets=0.9)


def test_sets_on_the_command_line(finished):
    """Of texts, standard input and files, also beside a threshold; and what evaluate has written about them."""
    table, metadata = read_table(PREDICTIONS)
    validation, result = read_table(VALIDATION)[0], read(METRICS / "evaluate.json")
    bound = find_bound(validation["unseen_probability"].to_numpy(), 0.9, 0.05)
    probability = table[[f"probability_{name}" for name in metadata["labels"]]].to_numpy()
    inside = (probability >= bound) | (probability == probability.max(axis=1, keepdims=True))
    order = np.argsort(-probability, axis=1)
    expected = [[metadata["labels"][n] for n in order[row] if inside[row, n]] for row in range(len(table))]
    assert {len(labels) for labels in expected} == {1, 2}
    texts = table["text"].tolist()
    assert [answer[2] for answer in predict(texts, sets=0.9)] == expected

    both = next(row for row, labels in enumerate(expected) if len(labels) == 2)
    header, row = infer_command("--sets", "0.9", texts[both]).splitlines()
    assert header.split()[:3] == ["label", "confidence", "set"]
    assert ", ".join(expected[both]) in row
    lines = infer_command("-", "--sets=0.9", "--min-confidence=1", stdin=f"{texts[both]}\n\n".encode()).splitlines()
    first, blank = map(json.loads, lines)
    assert (first["label"], first["set"], blank["set"]) == ("uncertain", expected[both], None)
    table[["text"]].to_csv("a.csv", index=False)
    for suffix in ("parquet", "jsonl"):
        infer_command("--file", "a.csv", "--sets", "0.9", "--out", f"scored.{suffix}")
    assert [[*labels] for labels in pd.read_parquet("scored.parquet")["set"]] == expected
    assert pd.read_json("scored.jsonl", lines=True)["set"].tolist() == expected
    infer_command("--file", "a.csv", "--out", "without.parquet")
    assert "set" not in pd.read_parquet("without.parquet")

    labels, sets = pd.read_parquet(RAW / "test.parquet")["label"].to_numpy(), result["sets"]
    bound = find_bound(validation["unseen_probability"].to_numpy(), sets["target"], sets["level"])
    inside = (probability >= bound) | (probability == probability.max(axis=1, keepdims=True))
    covered = inside[np.arange(len(labels)), labels]
    assert sets["probability"] == round(bound, 4)
    assert (sets["coverage"], sets["mean_size"]) == (covered.mean().round(4), inside.sum(axis=1).mean().round(4))
    assert sets["single"] == (inside.sum(axis=1) == 1).mean().round(4)
    for number, name in enumerate(metadata["labels"]):
        assert result["labels"][name]["set_coverage"] == covered[labels == number].mean().round(4)
    curve = pd.read_csv(METRICS / "sets.csv").set_index("target")
    assert [*curve.index] == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]  # 60 rows show no more
    assert curve.loc[sets["target"]].tolist() == [sets[name] for name in curve.columns]
