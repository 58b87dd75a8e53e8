"""Metrics compared with examples by hand and with scikit-learn, and what the stage writes."""

import numpy as np
import pandas as pd
import pytest
import torch
from commands import read
from exports import card_of
from report_page import report_again
from sklearn import metrics
from transformers import AutoConfig

from classifier.distributed.processes import Processes
from classifier.errors import InputError
from classifier.evaluation.intervals import wilson_interval
from classifier.evaluation.metrics import (
    calibration_error_by_chance,
    classification_metrics,
    coverage_curve,
    expected_calibration_error,
    log_loss,
    metrics_above,
    metrics_by_label,
    reliability,
    with_intervals,
)
from classifier.files.formats import read_table, write_table
from classifier.files.places import ADAPTER, BASELINE, METRICS, PREDICTIONS, RAW, VALIDATION
from classifier.predict.threshold import find_threshold
from classifier.runner.params import arguments, load_params
from stages import evaluate as stage
from stages.evaluate import EvaluateSettings, check_same_inputs, evaluate


def test_reliability_by_hand():
    # Confidences 0.6 (wrong), 0.7 (right), 0.95 (right), 1.0 (right) in five bins: (0.4, 0.6], (0.6, 0.8], (0.8, 1].
    probabilities = np.array([[0.6, 0.4], [0.3, 0.7], [0.05, 0.95], [1.0, 0.0]])
    table = reliability(probabilities, np.array([1, 1, 1, 0]), 5)
    expected = pd.DataFrame({"confidence": [0.6, 0.7, 0.975], "accuracy": [0.0, 1.0, 1.0], "count": [1, 1, 2]})
    pd.testing.assert_frame_equal(table, expected)
    assert expected_calibration_error(table) == pytest.approx((0.6 + 0.3 + 2 * 0.025) / 4)
    bounds = with_intervals(table)[["low", "high"]].to_numpy().tolist()
    assert bounds == [list(wilson_interval(*counts)) for counts in ((0, 1), (1, 1), (2, 2))]


@pytest.mark.parametrize(("rows", "labels"), [(40, 2), (2000, 3)])
def test_the_calibration_error_by_chance(rows, labels):
    """It is exceeded in about 5% of the cases in which the labels are drawn from the probabilities."""
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.ones(labels), rows)
    drawn = (rng.random((400, rows, 1)) > probabilities.cumsum(axis=1)).sum(axis=2)
    errors = np.array([expected_calibration_error(reliability(probabilities, answers, 10)) for answers in drawn])
    chance = calibration_error_by_chance(probabilities, 10)
    assert 0.92 < (errors <= chance).mean() < 0.98


def test_coverage_by_hand():
    confidence = np.array([0.9, 0.6, 0.8, 0.8, 0.7])
    right = np.array([True, False, True, False, True])
    table = coverage_curve(confidence, right)
    assert table["confidence"].tolist() == [0.9, 0.8, 0.7, 0.6]
    assert table["coverage"].tolist() == [0.2, 0.6, 0.8, 1.0]  # two texts share a confidence
    assert table["accuracy"].tolist() == pytest.approx([1, 2 / 3, 3 / 4, 3 / 5])
    above = metrics_above(0.7, confidence, right)
    assert above["coverage"] == 4 / 5
    assert (above["coverage_low"], above["coverage_high"]) == wilson_interval(4, 5)
    assert above["accuracy"] == 3 / 4
    assert (above["accuracy_low"], above["accuracy_high"]) == wilson_interval(3, 4)
    assert metrics_above(1.0, confidence, right).keys() == {"coverage", "coverage_low", "coverage_high"}


def test_coverage_is_thinned():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 5000)
    right = rng.random(5000) < confidence
    table = coverage_curve(confidence, right)
    assert table["coverage"].tolist() == pytest.approx(np.arange(1, 101) / 100)
    for row in table.iloc[[0, 49, 99]].itertuples():
        assert row.accuracy == pytest.approx(right[confidence >= row.confidence].mean())
        assert row.coverage == pytest.approx((confidence >= row.confidence).mean())


def test_metrics_by_label_by_hand():
    result = metrics_by_label(np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 1]), ["a", "b", "c"])
    assert result["a"] == {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1": pytest.approx(0.8), "support": 3}
    assert result["b"] == {"precision": pytest.approx(1 / 3), "recall": 1.0, "f1": pytest.approx(0.5), "support": 1}
    assert result["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}


def test_metrics_by_label_and_above_the_threshold(finished):
    """Compared with scikit-learn and with the predictions that train and evaluate have written."""
    result, (table, metadata) = read(METRICS / "evaluate.json"), read_table(PREDICTIONS)
    baseline = read_table(BASELINE)[0]["predicted"]
    for number, name in enumerate(metadata["labels"]):
        shown = result["labels"][name]
        for prefix, predicted in (("", table["predicted"]), ("baseline_", baseline)):
            is_label = [table["label"] == number, predicted == number]
            assert shown[f"{prefix}precision"] == pytest.approx(metrics.precision_score(*is_label), abs=5e-5)
            assert shown[f"{prefix}recall"] == pytest.approx(metrics.recall_score(*is_label), abs=5e-5)
            assert shown[f"{prefix}f1"] == pytest.approx(metrics.f1_score(*is_label), abs=5e-5)
        assert shown["support"] == (table["label"] == number).sum()
        assert shown["mean_probability"] == pytest.approx(table[f"probability_{name}"].mean(), abs=5e-5)
    macro = metrics.f1_score(table["label"], baseline, average="macro")
    assert result["baseline_macro_f1"] == pytest.approx(macro, abs=5e-5)

    validation, above = read_table(VALIDATION)[0], result["above_threshold"]
    assert (validation["label"] == pd.read_parquet(RAW / "validation.parquet")["label"]).all()
    assert read(METRICS / "training.json")["validation_accuracy"] == pytest.approx(
        (validation["label"] == validation["predicted"]).mean(), abs=5e-5
    )
    right = validation["unseen_right"].to_numpy()
    expected = find_threshold(validation["unseen_confidence"].to_numpy(), right, above["target"], above["level"])
    assert above["threshold"] == expected
    assert right[validation["unseen_confidence"] >= above["threshold"]].mean() > above["target"] == 0.7
    assert result["log_loss_uncalibrated"] > 0
    covered = table[table["confidence"] >= above["threshold"]]
    assert above["coverage"] == len(covered) / len(table)
    assert above["accuracy"] == pytest.approx((covered["label"] == covered["predicted"]).mean(), abs=5e-5)


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
    assert log_loss(np.array([1, 0]), np.array([[0.5, 0.5], [0.25, 0.75]])) == pytest.approx(np.log([2, 4]).mean())


def test_metrics_of_three_labels_are_means_over_the_labels():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 3, 60), rng.dirichlet([1, 1, 1], 60)
    result = classification_metrics(labels, probabilities)
    assert result["f1"] == pytest.approx(metrics.f1_score(labels, probabilities.argmax(axis=1), average="macro"))
    areas = [metrics.roc_auc_score(labels == k, probabilities[:, k]) for k in range(3)]
    assert result["roc_auc"] == pytest.approx(np.mean(areas))


def test_metrics_without_a_label_by_hand():
    """No row has label 2, which one row of label 0 gets."""
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.3, 0.1, 0.6], [0.4, 0.6, 0], [0, 0.9, 0.1]])
    predicted = probabilities.argmax(axis=1)
    assert predicted.tolist() == [0, 2, 1, 1]
    result = classification_metrics(labels, probabilities)
    assert (result["precision"], result["recall"]) == (1, 3 / 4)
    assert result["f1"] == result["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert result["roc_auc"] == pytest.approx((3 / 4 + 1) / 2)  # 0: 0.8 and 0.3 against 0.4 and 0
    assert result["log_loss"] == pytest.approx(-np.log([0.8, 0.3, 0.6, 0.9]).mean())
    by_label = metrics_by_label(labels, predicted, ["a", "b", "c"])
    assert by_label["a"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    assert by_label["c"] == {"support": 0}


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("only", [0, 1])
def test_metrics_of_rows_that_have_one_label(k, only):
    """Two of three rows are right. Precision is 1 if there is an answer: no row has another label."""
    right = np.eye(k)[only]
    result = classification_metrics(np.full(3, only), np.array([right, right, right[::-1] if k == 2 else np.eye(k)[2]]))
    assert result["accuracy"] == pytest.approx(2 / 3)
    assert result["macro_f1"] == pytest.approx(0.8)
    assert "roc_auc" not in result
    shares = [result.get(name) for name in ("precision", "recall", "f1")]
    described = k == 3 or only == 1  # with two labels, the metrics are those of label 1
    assert shares == ([1, pytest.approx(2 / 3), pytest.approx(0.8)] if described else [None] * 3)


def test_accuracy_without_the_texts_that_stand_in_train(finished):
    settings = EvaluateSettings(
        bins=15, target_accuracy=0.95, target_level=0.05, set_target=0.95, explained=0, precision="fp32"
    )
    raw, metadata = read_table(RAW / "test.parquet")
    for in_train in (np.arange(len(raw)) < 30, np.full(len(raw), True)):
        write_table(RAW / "test.parquet", raw.assign(in_train=in_train), **metadata)
        evaluate(settings=settings)
        result, predictions = read(METRICS / "evaluate.json"), read_table(PREDICTIONS)[0]
        if in_train.all():
            assert "accuracy_without_overlap" not in result
        else:
            unseen = predictions[~predictions["in_train"]]
            expected = metrics.accuracy_score(unseen["label"], unseen["predicted"])
            assert result["accuracy_without_overlap"] == pytest.approx(expected, abs=5e-5)


def test_scoring_in_bf16(finished, monkeypatch):
    """The results and the report name bf16, and never fp32. The explanations are computed in fp32."""
    settings, paths = arguments(evaluate, load_params())["settings"], (METRICS / "evaluate.json", PREDICTIONS)
    before = [path.read_bytes() for path in paths]
    evaluate(settings=settings)
    assert [path.read_bytes() for path in paths] == before
    (fp32, metadata), explained = read_table(PREDICTIONS), []
    explain_label = stage.explain_label
    monkeypatch.setattr(stage, "explain_label", lambda *args: explained.append(args[0].dtype) or explain_label(*args))
    evaluate(settings=settings.model_copy(update={"precision": "bf16"}))
    assert set(explained) == {torch.float32}
    bf16, metadata_of_bf16 = read_table(PREDICTIONS)
    assert metadata_of_bf16 == metadata | {"scoring_precision": "bf16"}
    gaps = (bf16["probability_positive"] - fp32["probability_positive"]).abs()
    assert 0 < gaps.max() < 0.02  # an error of about 1% of the logit
    assert (bf16["predicted"] == fp32["predicted"])[(fp32["probability_positive"] - 0.5).abs() > 0.02].all()
    result = read(METRICS / "evaluate.json")
    assert result["scoring_precision"] == "bf16"
    probabilities = np.stack([1 - bf16["probability_positive"], bf16["probability_positive"]], axis=1)
    assert result["log_loss"] == pytest.approx(log_loss(bf16["label"].to_numpy(), probabilities), abs=1e-4)
    said = "The test texts were scored in bf16"
    assert f"<p>{said}, the validation texts in fp32.</p>" in report_again()
    assert f" {said}.\n" in card_of(AutoConfig.from_pretrained(ADAPTER), result, read("metrics/data.json"))


def test_ranks_of_another_precision_are_refused(monkeypatch):
    """As `auto` chooses on hosts with other processors."""

    def gather(values: list, value: str) -> None:
        values[:] = [value, "fp32"]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    with pytest.raises(
        InputError, match=r"^rank 1 of 2 scores in another precision than rank 0; set evaluate.precision"
    ):
        check_same_inputs(Processes(0, 2), "bf16")
