"""The metrics of each task: by hand, and as scikit-learn and SciPy compute them."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit, logit, softmax
from sklearn import metrics as sklearn

from classifier.evaluation.scored import Scored
from classifier.evaluation.tasks import multi_label as multi_label_measures
from classifier.evaluation.tasks import ordinal as ordinal_measures
from classifier.evaluation.tasks import regression as regression_measures
from classifier.evaluation.tasks.task import MEASURES
from classifier.files.formats import table_of
from classifier.tasks import multi_label, regression
from classifier.tasks.task import TASKS

ROWS = 200


def scored(
    task: str, labels, scores, baseline=None, decision=None, names=None, validation=None, learned=True
) -> Scored:
    """A scored test split, whose baseline predicts the labels of the next rows if none is given."""
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    count = scores.shape[1]
    return Scored(
        task=TASKS[task],
        names=names or [str(number + 1) for number in range(count)],
        labels=labels,
        scores=scores,
        uncalibrated=scores * 2,
        decision=decision or {"margin": None},
        baseline=np.roll(labels, 1, axis=0) if baseline is None else np.asarray(baseline),
        learned=learned,
        validation=validation,
        bins=10,
    )


def made_up(task: str, seed: int = 0) -> Scored:
    rng = np.random.default_rng(seed)
    if task == "regression":
        labels = rng.normal(20, 3, ROWS)
        return scored(task, labels, labels[:, None] + rng.normal(0, 2, (ROWS, 1)), decision={"margin": 3.0})
    if task == "multi-label":
        labels = (rng.random((ROWS, 4)) < [0.5, 0.2, 0.05, 0.3]).astype(np.uint8)
        scores = 2.0 * labels - 1 + rng.normal(0, 1, labels.shape)
        return scored(task, labels, scores, decision={"thresholds": [0.5, 0.4, 0.3, 0.6]})
    labels = rng.integers(0, 5, ROWS)
    return scored(task, labels, -np.abs(labels[:, None] + rng.normal(0, 1, (ROWS, 1)) - np.arange(5)))


def test_several_labels_by_hand():
    """Texts with the labels ab, a, none and c; answers ab, b, none and ac.

    Found 3 (a, b, c) of 4 actual, 5 answered: micro F1 = 2 * 3 / (5 + 4). F1 of a: 1 found, 2 answered, 2 actual: 1/2;
    of b: 1 found, 2 answered, 1 actual: 2/3; of c: 1. Two of four sets are right.
    """
    labels = [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]
    answers = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 1]])
    split = scored("multi-label", np.array(labels, dtype=np.uint8), logit(0.2 + 0.6 * answers), None,
                   {"thresholds": [0.5] * 3}, ["a", "b", "c"])  # fmt: skip
    result = multi_label_measures.metrics(split)
    assert result["micro_f1"] == pytest.approx(6 / 9)
    assert result["macro_f1"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert result["subset_accuracy"] == 0.5
    assert result["log_loss"] == pytest.approx(-(9 * np.log(0.8) + 3 * np.log(0.2)) / 12)
    table = table_of({"label": split.labels, "text": list("wxyz"), **split.columns})
    wrong = multi_label_measures.mistakes(table, split.names)
    assert wrong[["label", "predicted", "row"]].to_numpy().tolist() == [["a", "b", 2], ["c", "a, c", 4]]
    assert multi_label_measures.row_quality(table).tolist() == [True, False, True, False]


def test_several_labels_as_in_scikit_learn():
    split = made_up("multi-label")
    result = multi_label_measures.metrics(split) | multi_label_measures.against_baseline(split)
    labels, predicted, probability = split.labels, split.predicted, expit(split.scores)
    expected = {
        "micro_f1": sklearn.f1_score(labels, predicted, average="micro"),
        "macro_f1": sklearn.f1_score(labels, predicted, average="macro"),
        "mean_average_precision": sklearn.average_precision_score(labels, probability, average="macro"),
        "subset_accuracy": sklearn.accuracy_score(labels, predicted),
        "log_loss": sklearn.log_loss(labels.ravel(), probability.ravel()),
        "micro_f1_uncalibrated": sklearn.f1_score(labels, split.uncalibrated > 0, average="micro"),
        "baseline_micro_f1": sklearn.f1_score(labels, split.baseline, average="micro"),
        "baseline_macro_f1": sklearn.f1_score(labels, split.baseline, average="macro"),
    }
    assert {name: result[name] for name in expected} == pytest.approx(expected)
    assert multi_label.micro_f1(labels, predicted) == pytest.approx(expected["micro_f1"])
    assert result["micro_f1_low"] < result["micro_f1"] < result["micro_f1_high"]
    assert result["difference_low"] < result["difference"] < result["difference_high"]
    for number, name in enumerate(split.names):
        row = result["labels"][name]
        assert row["f1"] == pytest.approx(sklearn.f1_score(labels[:, number], predicted[:, number]))
        assert row["support"] == labels[:, number].sum()


def test_the_average_precision_of_a_label_is_computed_once(monkeypatch):
    calls, original = [], sklearn.average_precision_score
    monkeypatch.setattr(sklearn, "average_precision_score", lambda *args: calls.append(args) or original(*args))
    for seed in (1, 2):  # another split has other metrics
        split = made_up("multi-label", seed)
        shares = [multi_label_measures.metrics(split)["macro_f1"]]
        shares.append(np.mean([row["f1"] for row in multi_label_measures.against_baseline(split)["labels"].values()]))
        assert shares[0] == pytest.approx(shares[1])
    assert len(calls) == 2 * 4


def test_a_label_that_no_test_text_has_is_left_out_of_the_means():
    labels = np.array([[1, 0, 0], [0, 1, 0]] * 5, dtype=np.uint8)
    split = scored("multi-label", labels, np.where(labels, 2.0, -2.0), decision={"thresholds": [0.5] * 3})
    result = multi_label_measures.metrics(split)
    assert (result["micro_f1"], result["macro_f1"], result["mean_average_precision"]) == (1.0, 1.0, 1.0)
    assert multi_label_measures.against_baseline(split)["labels"]["3"].keys() == {"support", "mean_probability"}
    nothing = scored("multi-label", labels * 0, np.full(labels.shape, -2.0), decision={"thresholds": [0.5] * 3})
    assert multi_label_measures.metrics(nothing)["micro_f1"] == 1.0
    tables = multi_label_measures.tables(nothing)
    assert tables["roc"].empty
    assert np.isfinite(tables["confusion"]["share"]).all()


@pytest.mark.parametrize(("count", "both"), [(20, 2), (21, 0)])
def test_right_labels_of_one_text_are_no_confusion_of_many_labels(count, both):
    """Two texts with the labels 1 and 2, of which one is answered with 3 as well."""
    labels, answers = np.zeros((2, 2, count), dtype=np.uint8)
    labels[:, :2] = answers[:, :2] = answers[0, 2] = 1
    split = scored("multi-label", labels, np.where(answers, 2.0, -2.0), decision={"thresholds": [0.5] * count})
    counts = multi_label_measures.together(split)
    assert counts.diagonal()[:3].tolist() == [2, 2, 0]
    assert counts[0, 1] == counts[1, 0] == both
    assert counts[0, 2] == counts[1, 2] == 1


def test_kappa_by_hand():
    """Ratings 1, 1, 2, 3 and answers 1, 2, 2, 1.

    Squared distances: 0, 1, 0, 4; their sum is 5. By chance: each of 1, 1, 2, 3 against each of 1, 2, 2, 1, divided by
    4: (0+1+1+0) + (0+1+1+0) + (1+0+0+1) + (4+1+1+4) = 16, and 16 / 4 = 4. kappa = 1 - 5 / 4.
    """
    assert ordinal_measures.quadratic_kappa(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3) == pytest.approx(-0.25)
    assert ordinal_measures.quadratic_kappa(np.array([1, 1]), np.array([1, 1]), 3) == 1.0


def test_ratings_as_in_scikit_learn():
    split = made_up("ordinal")
    result = ordinal_measures.metrics(split) | ordinal_measures.against_baseline(split)
    labels, predicted, probability = split.labels, split.predicted, softmax(split.scores, axis=1)
    mean_rating = probability @ np.arange(1, 6)
    expected = {
        "quadratic_kappa": sklearn.cohen_kappa_score(labels, predicted, weights="quadratic"),
        "mae": sklearn.mean_absolute_error(labels, predicted),
        "mae_expected": sklearn.mean_absolute_error(labels + 1, mean_rating),
        "accuracy": sklearn.accuracy_score(labels, predicted),
        "macro_f1": sklearn.f1_score(labels, predicted, average="macro"),
        "log_loss": sklearn.log_loss(labels, probability),
        "baseline_quadratic_kappa": sklearn.cohen_kappa_score(labels, split.baseline, weights="quadratic"),
        "baseline_mae": sklearn.mean_absolute_error(labels, split.baseline),
    }
    assert {name: result[name] for name in expected} == pytest.approx(expected)
    assert result["quadratic_kappa_low"] < result["quadratic_kappa"] < result["quadratic_kappa_high"]
    assert split.columns["expected"] == pytest.approx(mean_rating)


def test_numbers_by_hand():
    """Errors 1, -1, 3, 1: mean square 12 / 4, mean size 6 / 4. Squares about the mean, 4, add up to 20: R² = 0.4."""
    split = scored("regression", [1.0, 3.0, 5.0, 7.0], [[2.0], [2.0], [8.0], [8.0]], decision={"margin": 2.0})
    result = regression_measures.metrics(split)
    assert result["rmse"] == pytest.approx(np.sqrt(3))
    assert (result["mae"], result["r2"], result["interval_coverage"], result["interval_width"]) == (1.5, 0.4, 0.75, 4)
    table = table_of({"label": split.labels, **split.columns})
    wrong = regression_measures.mistakes(table, ["score"])
    assert wrong[["label", "predicted", "error", "row"]].to_numpy().tolist() == [[5, 8, 3, 3]]


def test_numbers_as_in_scikit_learn():
    split = made_up("regression")
    result = regression_measures.metrics(split) | regression_measures.against_baseline(split)
    labels, predicted = split.labels, split.predicted
    expected = {
        "rmse": np.sqrt(sklearn.mean_squared_error(labels, predicted)),
        "mae": sklearn.mean_absolute_error(labels, predicted),
        "r2": sklearn.r2_score(labels, predicted),
        "pearson": stats.pearsonr(labels, predicted)[0],
        "spearman": stats.spearmanr(labels, predicted)[0],
        "interval_coverage": (np.abs(labels - predicted) <= 3).mean(),
        "baseline_rmse": np.sqrt(sklearn.mean_squared_error(labels, split.baseline)),
        "baseline_mae": sklearn.mean_absolute_error(labels, split.baseline),
        "baseline_r2": sklearn.r2_score(labels, split.baseline),
    }
    assert {name: result[name] for name in expected} == pytest.approx(expected)
    assert regression.score(labels, predicted) == pytest.approx(expected["r2"])
    standardised = regression.quality((split.scores - 20) / 3, labels, np.array([20.0, 3.0], dtype=np.float32))
    assert standardised == pytest.approx((expected["rmse"] ** 2 / 9, expected["r2"]))


def test_equal_numbers_have_no_correlation():
    split = scored("regression", [2.0, 2.0], [[1.0], [2.0]], decision={"margin": None})
    assert regression_measures.metrics(split).keys() == {"rmse", "rmse_low", "rmse_high", "mae", "r2"}


def test_the_fifths_of_near_numbers_have_different_names():
    labels = np.arange(50) / 100 + 12_345
    table = regression_measures.fifths(scored("regression", labels, labels[:, None]))
    assert len(table) == 25
    assert not table[["actual", "predicted"]].duplicated().any()
    assert table["count"].to_numpy().reshape(5, 5).tolist() == (np.eye(5, dtype=int) * 10).tolist()


def test_the_share_of_texts_in_intervals_of_each_level():
    """Of 19 validation texts with the errors 1 to 19, the interval of the level p has the half-width 20 p."""
    validation = pd.DataFrame({"label": np.arange(1.0, 20.0), "unseen_predicted": 0.0})
    split = scored("regression", np.arange(1.0, 41.0), np.zeros((40, 1)), validation=validation)
    table = regression_measures.interval_coverage(split)
    assert table["confidence"].tolist() == pytest.approx(np.arange(1, 20) / 20)
    assert table["accuracy"].tolist() == pytest.approx(np.arange(1, 20) / 40)


@pytest.mark.parametrize("task", ["multi-label", "regression", "ordinal"])
def test_without_a_baseline_the_metrics_are_those_of_guessing(task):
    split = made_up(task)
    guess = TASKS[task].guess(split.labels)
    without = scored(task, split.labels, split.scores, np.repeat(guess[None], ROWS, axis=0), split.decision,
                     learned=False)  # fmt: skip
    result = MEASURES[task].against_baseline(without)
    (name,) = (name for name in result if name.startswith("guessing_"))
    assert np.isfinite(result[name])


def test_the_guess_of_labels_has_the_highest_micro_f1_of_all_sets():
    rng = np.random.default_rng(0)
    for shares in ([0.4, 0.35, 0.1, 0.02], [0.9, 0.6, 0.2, 0.1], [0.05, 0.04, 0.03, 0.02]):
        labels = (rng.random((ROWS, 4)) < shares).astype(np.uint8)
        sets = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T.astype(np.uint8)
        best = max(multi_label.micro_f1(labels, np.broadcast_to(chosen, labels.shape)) for chosen in sets)
        guess = np.broadcast_to(multi_label.guess(labels), labels.shape)
        assert multi_label.micro_f1(labels, guess) == pytest.approx(best)


@pytest.mark.parametrize("task", ["multi-label", "regression", "ordinal"])
def test_the_paired_values_have_the_means_of_the_metrics(task):
    split = made_up(task)
    table = table_of({"label": split.labels, **split.columns})
    values, result = MEASURES[task].paired_values(table, split.names), MEASURES[task].metrics(split)
    means = {name: series.mean() for name, series in values.items()}
    expected = {
        "multi-label": {"subset_accuracy": "subset_accuracy", "log_loss": "log_loss"},
        "regression": {"absolute_error": "mae"},
        "ordinal": {"accuracy": "accuracy", "log_loss": "log_loss", "absolute_error": "mae"},
    }[task]
    assert {name: means[name] for name in expected} == pytest.approx({k: result[v] for k, v in expected.items()})
