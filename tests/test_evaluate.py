import numpy as np
import pandas as pd
import pytest
from conftest import read
from sklearn import metrics

from stages.evaluate import evaluate
from stages.files import METRICS, PREDICTIONS, RAW, read_table, write_table
from stages.results.scores import (
    classification_metrics,
    confusion_table,
    curves,
    expected_calibration_error,
    reliability,
)
from stages.results.statistics import wilson_interval


def test_reliability_by_hand():
    # Confidences 0.6 (wrong), 0.7 (right), 0.95 (right), 1.0 (right) in five bins: (0.4, 0.6], (0.6, 0.8], (0.8, 1].
    probabilities = np.array([[0.6, 0.4], [0.3, 0.7], [0.05, 0.95], [1.0, 0.0]])
    table = reliability(probabilities, np.array([1, 1, 1, 0]), 5)
    expected = pd.DataFrame({"confidence": [0.6, 0.7, 0.975], "accuracy": [0.0, 1.0, 1.0], "count": [1, 1, 2]})
    pd.testing.assert_frame_equal(table, expected)
    assert expected_calibration_error(table) == pytest.approx((0.6 + 0.3 + 2 * 0.025) / 4)


def test_metrics_by_hand():
    labels = np.array([1, 1, 1, 0, 0])
    result = classification_metrics(labels, np.array([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6], [0.9, 0.1]]))
    assert result["accuracy"] == 3 / 5
    assert result["precision"] == pytest.approx(2 / 3)
    assert result["recall"] == pytest.approx(2 / 3)
    assert result["f1"] == pytest.approx(2 / 3)
    assert result["roc_auc"] == pytest.approx(5 / 6)  # five of six (positive, negative) pairs in the right order
    assert result["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.3, 0.4, 0.9]).mean())
    assert (result["accuracy_low"], result["accuracy_high"]) == wilson_interval(3, 5)


def test_metrics_of_three_labels_are_means_over_the_labels():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 3, 60), rng.dirichlet([1, 1, 1], 60)
    result = classification_metrics(labels, probabilities)
    assert result["f1"] == pytest.approx(metrics.f1_score(labels, probabilities.argmax(axis=1), average="macro"))
    each = [metrics.roc_auc_score(labels == k, probabilities[:, k]) for k in range(3)]
    assert result["roc_auc"] == pytest.approx(np.mean(each))


def test_confusion_table_has_every_pair():
    table = confusion_table(np.array([[2, 1, 0], [0, 1, 0], [1, 0, 0]]), ["a", "b", "c"])
    assert table[["actual", "predicted"]].agg("".join, axis=1).tolist() == [x + y for x in "abc" for y in "abc"]
    assert table["count"].tolist() == [2, 1, 0, 0, 1, 0, 1, 0, 0]
    assert table["share"].tolist() == [0.6667, 0.3333, 0, 0, 1, 0, 1, 0, 0]


def test_curves_are_thinned_and_keep_the_area():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 5000)
    positive = np.clip(rng.normal(0.4 + 0.2 * labels, 0.15), 0, 1)
    roc, precision_recall = curves(labels, np.column_stack([1 - positive, positive]), ["no", "yes"])
    assert len(roc) <= 200
    assert set(roc["label"]) == {"yes"}
    area = metrics.auc(roc["false_positive_rate"], roc["true_positive_rate"])
    assert area == pytest.approx(metrics.roc_auc_score(labels, positive), abs=0.002)
    assert precision_recall["recall"].is_monotonic_increasing
    three, _ = curves(rng.integers(0, 3, 90), rng.dirichlet([1, 1, 1], 90), ["a", "b", "c"])
    assert set(three["label"]) == {"a", "b", "c"}


def test_texts_that_stand_in_train_are_left_out_of_a_second_accuracy(finished):
    raw, metadata = read_table(RAW / "test.parquet")
    for in_train in (np.arange(len(raw)) < 30, np.full(len(raw), True)):
        write_table(RAW / "test.parquet", raw.assign(in_train=in_train), **metadata)
        evaluate(bins=15)
        result, predictions = read(METRICS / "evaluate.json"), read_table(PREDICTIONS)[0]
        if in_train.all():
            assert "accuracy_without_overlap" not in result
        else:
            others = predictions[~predictions["in_train"]]
            expected = metrics.accuracy_score(others["label"], others["predicted"])
            assert result["accuracy_without_overlap"] == pytest.approx(expected, abs=5e-5)
