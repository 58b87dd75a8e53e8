"""Metrics of a classifier's probabilities, and the tables that its plots are drawn from."""

import numpy as np
import pandas as pd

from classifier.evaluation.intervals import wilson_interval


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


def calibration_error_by_chance(probabilities: np.ndarray, bins: int, draws: int = 1000) -> float:
    """The expected calibration error that correct probabilities would exceed in 5 of 100 cases, on as many rows: of
    few, a bin's accuracy is far from its confidence by chance (Bröcker and Smith 2007, "Increasing the Reliability of
    Reliability Diagrams").
    """
    rng, confidence = np.random.default_rng(0), np.sort(probabilities.max(axis=1))
    counts = reliability(probabilities, probabilities.argmax(axis=1), bins)["count"]
    starts = np.cumsum([0, *counts[:-1]])  # of the bins, which rise with the confidence
    gaps = [np.add.reduceat((rng.random(len(confidence)) < confidence) - confidence, starts) for _ in range(draws)]
    return float(np.quantile(np.abs(gaps).sum(axis=1) / len(confidence), 0.95))


def classification_metrics(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """accuracy with its 95% Wilson interval, precision, recall, f1, macro_f1, roc_auc, log_loss.

    labels: (rows,); probabilities: (rows, k). For k = 2, precision, recall and f1 are those of label 1; for more
    labels they and roc_auc (one against the rest) are means over the labels, as macro_f1 always is.
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
        "macro_f1": float(metrics.f1_score(labels, predicted, average="macro", zero_division=0.0)),
        "roc_auc": float(metrics.roc_auc_score(labels, exact[:, 1] if k == 2 else exact, multi_class="ovr")),
        "log_loss": float(metrics.log_loss(labels, exact, labels=range(k))),
    }


def metrics_by_label(labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> dict[str, dict[str, float]]:
    """precision, recall, f1 and support, the number of its rows, of each label by name.

    labels, predicted: (rows,), numbers of labels.
    """
    from sklearn.metrics import precision_recall_fscore_support

    found = precision_recall_fscore_support(labels, predicted, labels=range(len(names)), zero_division=0.0)
    return {
        name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support)}
        for name, precision, recall, f1, support in zip(names, *found, strict=True)
    }


def rounded(result: dict) -> dict:
    """Fractions, on every level, to four decimals."""
    return {
        name: rounded(value) if isinstance(value, dict) else round(value, 4) if isinstance(value, float) else value
        for name, value in result.items()
    }


def accuracy_from_the_most_confident(confidence: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """A row for each different confidence, falling: coverage, the share of rows that have at least that, and their
    accuracy (El-Yaniv and Wiener 2010, "On the Foundations of Noise-free Selective Classification").

    confidence, right: (rows,).
    """
    table = pd.DataFrame({"confidence": confidence, "right": right, "count": 1})
    table = table.groupby("confidence").sum().sort_index(ascending=False).cumsum().reset_index()
    return pd.DataFrame(
        {
            "coverage": table["count"] / len(right),
            "accuracy": table["right"] / table["count"],
            "confidence": table["confidence"],
        }
    )


def coverage_curve(confidence: np.ndarray, right: np.ndarray, points: int = 100) -> pd.DataFrame:
    """Columns coverage, accuracy and confidence, from the most confident hundredth of the rows to all of them."""
    table = accuracy_from_the_most_confident(confidence, right)
    kept = np.searchsorted(table["coverage"] + 1e-9, np.arange(1, points + 1) / points)
    return table.iloc[np.unique(np.minimum(kept, len(table) - 1))]


def metrics_above(threshold: float, confidence: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """coverage, the share of rows with at least that confidence, and, if there are any, their accuracy, each with its
    95% interval.
    """
    covered = right[confidence >= threshold]
    low, high = wilson_interval(len(covered), len(right))
    result = {"coverage": len(covered) / len(right), "coverage_low": low, "coverage_high": high}
    if len(covered):
        low, high = wilson_interval(covered.sum(), len(covered))
        result |= {"accuracy": float(covered.mean()), "accuracy_low": low, "accuracy_high": high}
    return result


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
