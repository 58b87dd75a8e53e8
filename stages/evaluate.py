"""Score the trained classifier on the test split, once, against the baseline.

In:  models/base/, models/adapter/, data/tokens/test.parquet, data/raw/test.parquet, data/baseline.parquet.
Out: metrics/evaluate.json, data/predictions.parquet (every review with its predicted label and probabilities),
     metrics/confusion.png, and plot data: metrics/{confusion,roc,precision_recall,reliability}.csv.
"""

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from stages import checkpoint
from stages.encoder import load_classifier, logits
from stages.figures import confusion_figure
from stages.files import BASELINE, METRICS, PREDICTIONS, RAW, TOKENS, read_table, write_csv, write_json, write_table
from stages.run import main
from stages.statistics import mcnemar, wilson_interval


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> pd.DataFrame:
    """Mean confidence, accuracy and count by bin of confidence; empty bins are left out.

    probabilities: (rows, labels). Bins have equal width on [0, 1], the upper bound included.
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    table = pd.DataFrame({"bin": number, "confidence": confidence, "accuracy": correct, "count": 1})
    return table.groupby("bin").agg({"confidence": "mean", "accuracy": "mean", "count": "sum"}).reset_index(drop=True)


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Mean gap between confidence and accuracy, weighted by count (Guo et al. 2017), of a reliability table."""
    return float(np.average((table["confidence"] - table["accuracy"]).abs(), weights=table["count"]))


def classification_metrics(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """accuracy with its 95% Wilson interval, precision, recall, f1, roc_auc, log_loss.

    labels: (rows,); probabilities: (rows, k). For k = 2, precision, recall and f1 are those of label 1; for more
    labels they and roc_auc (one against the rest) are means over the labels.
    """
    from sklearn import metrics

    predicted = probabilities.argmax(axis=1)
    k = probabilities.shape[1]
    correct = int((predicted == labels).sum())
    low, high = wilson_interval(correct, len(labels))
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        labels, predicted, average="binary" if k == 2 else "macro", zero_division=0.0
    )
    # float64 rows that sum to exactly 1, as scikit-learn checks
    exact = probabilities.astype(np.float64) / probabilities.astype(np.float64).sum(axis=1, keepdims=True)
    return {
        "accuracy": correct / len(labels),
        "accuracy_low": low,
        "accuracy_high": high,
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "roc_auc": float(metrics.roc_auc_score(labels, exact[:, 1] if k == 2 else exact, multi_class="ovr")),
        "log_loss": float(metrics.log_loss(labels, exact, labels=range(k))),
    }


def curves(labels: np.ndarray, probabilities: np.ndarray, names: list[str], points: int = 200):
    """(ROC, precision-recall) tables, thinned to `points` rows each; of label 1 if there are two, else of each."""
    from sklearn import metrics

    roc, precision_recall = [], []
    for number in [1] if len(names) == 2 else range(len(names)):
        positive, score = labels == number, probabilities[:, number]
        fpr, tpr, _ = metrics.roc_curve(positive, score)
        precision, recall, _ = metrics.precision_recall_curve(positive, score)
        for rows, columns in ((roc, (fpr, tpr)), (precision_recall, (recall[::-1], precision[::-1]))):
            kept = np.unique(np.linspace(0, len(columns[0]) - 1, points).round().astype(int))
            rows.append(pd.DataFrame({"label": names[number], "x": columns[0][kept], "y": columns[1][kept]}))
    return (
        pd.concat(roc).rename(columns={"x": "false_positive_rate", "y": "true_positive_rate"}).round(4),
        pd.concat(precision_recall).rename(columns={"x": "recall", "y": "precision"}).round(4),
    )


def confusion_table(counts: np.ndarray, names: list[str]) -> pd.DataFrame:
    """Count and share of the actual label for each pair (actual, predicted), in the order of the names.

    counts: (k, k), a row for each actual label, a column for each predicted one.
    """
    pairs = pd.MultiIndex.from_product([names, names], names=["actual", "predicted"])
    shares = counts / counts.sum(axis=1, keepdims=True)
    return pd.DataFrame({"count": counts.ravel(), "share": shares.ravel().round(4)}, pairs).reset_index()


def evaluate(*, bins: Annotated[int, Field(ge=2, le=100)]) -> None:
    """Score, compare, draw. bins: of the reliability diagram and the ECE."""
    from scipy.special import softmax
    from sklearn.metrics import confusion_matrix

    # train's result is safe in DVC's cache once a later stage runs: only now is its last checkpoint of no use.
    checkpoint.clear()
    raw, metadata = read_table(RAW / "test.parquet")
    tokens, _ = read_table(TOKENS / "test.parquet")
    names, labels = metadata["labels"], raw["label"].to_numpy()
    model, _ = load_classifier()
    scores = logits(model, tokens["input_ids"].to_numpy(), "evaluate").astype(np.float64)
    probabilities = softmax(scores, axis=1)
    uncalibrated = softmax(scores * model.config.calibration_temperature, axis=1)  # as before calibration
    predicted = probabilities.argmax(axis=1)
    right, baseline_right = predicted == labels, read_table(BASELINE)[0]["predicted"].to_numpy() == labels
    before, after = reliability(uncalibrated, labels, bins), reliability(probabilities, labels, bins)

    result = classification_metrics(labels, probabilities)
    result |= {
        "ece": expected_calibration_error(after),
        "ece_uncalibrated": expected_calibration_error(before),
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
    main(evaluate)
