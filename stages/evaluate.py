"""Score the trained classifier on the test split, once, against the baseline.

In:  models/base/, models/adapter/, data/tokens/test.arrow, data/raw/test.parquet and data/baseline.parquet.
Out: metrics/evaluate.json, data/predictions.parquet (every text with its predicted label and probabilities, and with
     the words that decided the most confident mistakes), metrics/confusion.png, and plot data:
     metrics/{confusion,roc,precision_recall,reliability,coverage}.csv.

With LAUNCH in the environment several processes share the batches, and all of this stays the same.
"""

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from classifier.distributed.processes import Processes
from classifier.evaluation.figures import confusion_figure
from classifier.evaluation.intervals import mcnemar
from classifier.evaluation.metrics import (
    calibration_error_by_chance,
    classification_metrics,
    confusion_table,
    coverage_curve,
    curves,
    expected_calibration_error,
    metrics_above,
    metrics_by_label,
    reliability,
    rounded,
)
from classifier.files.digests import sha256s
from classifier.files.formats import read_table, write_csv, write_json, write_table
from classifier.files.places import ADAPTER, BASE, BASELINE, METRICS, PREDICTIONS, RAW, TOKENS
from classifier.model.forward import logits
from classifier.model.loading import load_classifier
from classifier.model.probabilities import predictions
from classifier.params.settings import Param, Settings
from classifier.predict.explanation import explanation
from classifier.predict.threshold import confidence_threshold, rows_needed
from classifier.runner.run import main
from classifier.text.tokens import open_tokens

Share = Annotated[float, Field(gt=0, lt=1)]


class EvaluateSettings(Settings):
    """The section `evaluate` of params.yaml."""

    bins: Annotated[int, Field(ge=2, le=100)]
    target_accuracy: Share
    target_level: Share
    explained: Annotated[int, Field(ge=0)]


def evaluate(*, settings: Annotated[EvaluateSettings, Param("evaluate")]) -> None:
    """Score, compare, draw."""
    from scipy.special import softmax

    processes = Processes.connect()
    if processes.count > 1:
        processes.check_equal(
            repr(sha256s(BASE, ADAPTER, TOKENS / "test.arrow")),
            "has another model or token ids than rank 0; a folder on a shared disk is needed",
        )
    model, tokenizer = load_classifier()
    scores = logits(model, open_tokens("test"), "evaluate", processes).astype(np.float64)
    if not processes.is_rank_0:
        return
    raw, metadata = read_table(RAW / "test.parquet")
    names, labels, config = metadata["labels"], raw["label"].to_numpy(), model.config
    table, probabilities = raw.assign(**predictions(scores, names)), softmax(scores, axis=1)
    uncalibrated = softmax((scores - config.calibration_bias) * config.calibration_temperature, axis=1)
    before, after = (reliability(shares, labels, settings.bins) for shares in (uncalibrated, probabilities))

    result = classification_metrics(labels, probabilities)
    result |= {
        "ece": expected_calibration_error(after),
        "ece_by_chance": calibration_error_by_chance(probabilities, settings.bins),
        "ece_uncalibrated": expected_calibration_error(before),
        "accuracy_uncalibrated": float((uncalibrated.argmax(axis=1) == labels).mean()),
    }
    if "in_train" in raw and not raw["in_train"].all():  # of an official test split, which train's texts may stand in
        right = table["predicted"] == table["label"]
        result["accuracy_without_overlap"] = float(right[~raw["in_train"]].mean())
    result |= against_baseline(table, names)
    result["above_threshold"] = above_threshold(table, settings.target_accuracy, settings.target_level)
    # A small p would be rounded to 0.
    exact = {name: result[name] for name in ("mcnemar_p",) if name in result}
    write_json(METRICS / "evaluate.json", rounded(result) | exact | {"n": len(labels)})

    mistakes = table[table["predicted"] != table["label"]].nlargest(settings.explained, "confidence")["text"]
    table["decided_by"] = ""
    table.loc[mistakes.index, "decided_by"] = [explanation(model, tokenizer, text).summary for text in mistakes]
    write_table(PREDICTIONS, table, labels=names)
    both = pd.concat([before.assign(calibration="before"), after.assign(calibration="after")])
    write_csv(METRICS / "reliability.csv", both.round(4))
    write_plots(table, probabilities, names)


def against_baseline(table: pd.DataFrame, names: list[str]) -> dict:
    """The baseline's accuracy and the difference to it, of the same texts, and both classifiers' metrics by label; of a
    baseline that has learned nothing, the accuracy of guessing alone.
    """
    labels, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
    of_test, metadata = read_table(BASELINE)
    baseline = of_test["predicted"].to_numpy()
    right, baseline_right = predicted == labels, baseline == labels
    by_label, of_baseline = metrics_by_label(labels, predicted, names), metrics_by_label(labels, baseline, names)
    for name in names:
        by_label[name]["mean_probability"] = float(table[f"probability_{name}"].mean())
    if not metadata["learned"]:
        return {"guessing_accuracy": float(baseline_right.mean()), "labels": by_label}
    for name in names:
        by_label[name] |= {f"baseline_{k}": value for k, value in of_baseline[name].items() if k != "support"}
    return {
        "baseline_accuracy": float(baseline_right.mean()),
        "baseline_macro_f1": float(np.mean([metrics["f1"] for metrics in of_baseline.values()])),
        "difference": float(right.mean() - baseline_right.mean()),
        # Three significant digits: four decimals would round a small p to 0.
        "mcnemar_p": float(f"{mcnemar(right, baseline_right):.3g}"),
        "labels": by_label,
    }


def above_threshold(table: pd.DataFrame, target: float, level: float) -> dict[str, float]:
    """The confidence from which on validation shows the target to be reached, if there is one, and what that gives on
    the test texts.
    """
    asked = {"target": target, "level": level, "validation_texts_needed": rows_needed(target, level)}
    if (threshold := confidence_threshold(target, level)) is None:
        return asked
    right = (table["predicted"] == table["label"]).to_numpy()
    return asked | {"threshold": threshold} | metrics_above(threshold, table["confidence"].to_numpy(), right)


def write_plots(table: pd.DataFrame, probabilities: np.ndarray, names: list[str]) -> None:
    from sklearn.metrics import confusion_matrix

    labels, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
    confusion = confusion_matrix(labels, predicted, labels=range(len(names)))
    write_csv(METRICS / "confusion.csv", confusion_table(confusion, names))
    confusion_figure(confusion, names, METRICS / "confusion.png")
    for name, curve in zip(("roc", "precision_recall"), curves(labels, probabilities, names), strict=True):
        write_csv(METRICS / f"{name}.csv", curve)
    write_csv(METRICS / "coverage.csv", coverage_curve(table["confidence"].to_numpy(), predicted == labels).round(4))


if __name__ == "__main__":
    main(evaluate, distributed=True)
