"""Score the trained classifier on the test split, once, against the baseline.

In:  models/base/, models/adapter/, data/tokens/test.arrow, data/raw/test.parquet, data/baseline.parquet.
Out: metrics/evaluate.json, data/predictions.parquet (every text with its predicted label and probabilities),
     metrics/confusion.png, and plot data: metrics/{confusion,roc,precision_recall,reliability}.csv.

With LAUNCH in the environment several processes share the batches, and all of this stays the same.
"""

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from stages.classifier import checkpoint
from stages.classifier.forward import logits
from stages.classifier.processes import Processes, launch
from stages.classifier.tokens import open_tokens
from stages.files import (
    ADAPTER,
    BASE,
    BASELINE,
    METRICS,
    PREDICTIONS,
    RAW,
    TOKENS,
    read_table,
    sha256s,
    write_csv,
    write_json,
    write_table,
)
from stages.results.figures import confusion_figure
from stages.results.scores import (
    classification_metrics,
    confusion_table,
    curves,
    expected_calibration_error,
    reliability,
)
from stages.results.statistics import mcnemar
from stages.run import main
from stages.use.loading import load_classifier


def evaluate(*, bins: Annotated[int, Field(ge=2, le=100)]) -> None:
    """Score, compare, draw. bins: of the reliability diagram and the ECE."""
    from scipy.special import softmax
    from sklearn.metrics import confusion_matrix

    processes = Processes.joined()
    processes.agree(
        repr(sha256s(BASE, ADAPTER, TOKENS / "test.arrow")),
        "has another model or token ids than the first; a folder on a shared disk is needed",
    )
    model, _ = load_classifier()
    scores = logits(model, open_tokens("test"), "evaluate", processes).astype(np.float64)
    if not processes.first:
        return
    # A finished training's result is safe in DVC's cache once a later stage runs.
    checkpoint.clear_finished()
    raw, metadata = read_table(RAW / "test.parquet")
    names, labels = metadata["labels"], raw["label"].to_numpy()
    probabilities = softmax(scores, axis=1)
    config = model.config
    uncalibrated = softmax((scores - config.calibration_bias) * config.calibration_temperature, axis=1)
    predicted = probabilities.argmax(axis=1)
    right, baseline_right = predicted == labels, read_table(BASELINE)[0]["predicted"].to_numpy() == labels
    before, after = reliability(uncalibrated, labels, bins), reliability(probabilities, labels, bins)

    result = classification_metrics(labels, probabilities)
    result |= {
        "ece": expected_calibration_error(after),
        "ece_uncalibrated": expected_calibration_error(before),
        "accuracy_uncalibrated": float((uncalibrated.argmax(axis=1) == labels).mean()),
        "baseline_accuracy": float(baseline_right.mean()),
        "difference": float(right.mean() - baseline_right.mean()),
    }
    if "in_train" in raw and not raw["in_train"].all():  # of an official test split, which train's texts may stand in
        result["accuracy_without_overlap"] = float(right[~raw["in_train"]].mean())
    result = {name: round(value, 4) for name, value in result.items()}
    # Three significant digits: four decimals would round a small p to 0.
    result |= {"mcnemar_p": float(f"{mcnemar(right, baseline_right):.3g}"), "n": len(labels)}
    write_json(METRICS / "evaluate.json", result)

    confusion = confusion_matrix(labels, predicted, labels=range(len(names)))
    write_csv(METRICS / "confusion.csv", confusion_table(confusion, names))
    confusion_figure(confusion, names, METRICS / "confusion.png")
    roc, precision_recall = curves(labels, probabilities, names)
    write_csv(METRICS / "roc.csv", roc)
    write_csv(METRICS / "precision_recall.csv", precision_recall)
    both = pd.concat([before.assign(calibration="before"), after.assign(calibration="after")])
    write_csv(METRICS / "reliability.csv", both.round(4))
    columns = {f"probability_{name}": probabilities[:, number] for number, name in enumerate(names)}
    predictions = raw.assign(predicted=predicted, confidence=probabilities.max(axis=1), **columns)
    write_table(PREDICTIONS, predictions, labels=metadata["labels"])


if __name__ == "__main__":
    main(evaluate, launch, Processes.joined)
