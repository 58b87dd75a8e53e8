"""One label for each text. The network learns it by cross-entropy and answers with the most probable label.

A value is the label's number; labels are (rows,) int64. task.py describes the functions.
"""

import numpy as np
import pandas as pd

from classifier.params.datasets import Dataset
from classifier.tasks import labels as names_and_numbers
from classifier.tasks.calibration import fit_softmax
from classifier.tasks.folds import stratified_folds
from classifier.tasks.labels import LEFT_OUT, UNKNOWN, label_numbers, name_of_sample, spelled
from classifier.tasks.probabilities import probability_array, probability_columns, ranked_names

PROBLEM_TYPE = "single_label_classification"
NEEDS_BIAS = False
SCORE = "accuracy"
ANSWER = {"label": "string", "confidence": "float32"}
SET = {"set": "list<string>"}
UNCERTAIN = "uncertain"  # the label of an answer whose confidence is below the threshold

labels_fix = names_and_numbers.labels_fix
fit_calibration = fit_softmax
folds = stratified_folds


def label_cells(table: pd.DataFrame, dataset: Dataset) -> pd.Series:
    return spelled(table[dataset.label_columns[0]])


def read_labels(spellings: list[str], dataset: Dataset, are_numbers: bool = False) -> tuple[np.ndarray, np.ndarray]:
    numbers = label_numbers(spellings, dataset.labels, are_numbers)
    return numbers, np.where(np.isin(numbers, (UNKNOWN, LEFT_OUT)), numbers, 0)


def needed_labels(values: pd.Series) -> dict[int, int]:
    return values.value_counts().to_dict()


def strata(values: pd.Series, smallest: int) -> np.ndarray:
    return values.to_numpy()


def label_array(values: pd.Series, names: list[str]) -> np.ndarray:
    return values.to_numpy(dtype=np.int64)


def describe(labels: np.ndarray, names: list[str]) -> dict[str, float]:
    return {f"share_{name}": round(float((labels == number).mean()), 6) for number, name in enumerate(names)}


def loss_settings(
    class_weights: str | dict[str, float] | None, labels: np.ndarray, names: list[str]
) -> np.ndarray | None:
    """Return the weight of each label in the loss, (names,) float32, or None if `class_weights` is None.

    With "balanced", all labels have the same total weight. A mapping has the weights by the labels' names; a label that
    it lacks has the weight 1. Only the ratios matter: the weights are scaled to a mean of 1 over `labels`.
    """
    if class_weights is None:
        return None
    counts = np.bincount(labels, minlength=len(names))
    balanced = class_weights == "balanced"
    weights = 1 / np.maximum(counts, 1) if balanced else np.array([class_weights.get(name, 1.0) for name in names])
    return (weights / np.average(weights, weights=counts)).astype(np.float32)


def targets(labels: np.ndarray, settings: np.ndarray | None) -> np.ndarray:
    return labels


def loss(logits, targets, settings):
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits, targets, settings, reduction="sum")


def quality(logits: np.ndarray, labels: np.ndarray, settings: np.ndarray | None = None) -> tuple[float, float]:
    """Return (log loss, accuracy). settings: the weight of each label in the loss, (names,), or None."""
    from scipy.special import log_softmax

    losses = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    mean_loss = np.average(losses, weights=None if settings is None else settings[labels])
    return float(mean_loss), float((logits.argmax(axis=1) == labels).mean())


def decide(scores: np.ndarray, labels: np.ndarray) -> dict:
    return {}


def prediction_columns(scores: np.ndarray, names: list[str], decision: dict) -> dict[str, np.ndarray]:
    """Return the columns of a table of predictions.

    Returns:
        predicted: number of the most probable label, (rows,) int64.
        confidence: probability of that label, (rows,) float64.
        probability_NAME: probability of each label, (rows,) float64.

    >>> columns = prediction_columns(np.array([[0.0, 2.0]]), ["no", "yes"], {})
    >>> {name: column.round(2).tolist() for name, column in columns.items()}
    {'predicted': [1], 'confidence': [0.88], 'probability_no': [0.12], 'probability_yes': [0.88]}
    """
    from scipy.special import softmax

    probabilities = softmax(scores.astype(np.float64), axis=1)
    columns = {"predicted": probabilities.argmax(axis=1), "confidence": probabilities.max(axis=1)}
    return columns | probability_columns(probabilities, names)


def unseen_columns(unseen: dict[str, np.ndarray], labels: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    return {
        "unseen_confidence": unseen["confidence"],
        "unseen_right": unseen["predicted"] == labels,
        "unseen_probability": probability_array(unseen, names)[np.arange(len(labels)), labels],
    }


def set_scores(rows: pd.DataFrame) -> list[np.ndarray]:
    """Return the probability of each row's right label."""
    return [rows["unseen_probability"].to_numpy()]


def with_bounds(decision: dict, bounds: np.ndarray) -> dict:
    return decision | {"bound": float(bounds[0])}


def in_sets(probabilities: np.ndarray, decision: dict) -> np.ndarray:
    """Return whether each label is in the set of each row, (rows, names) bool.

    A set has all labels whose probability is at least the bound (Sadinle et al. 2019, "Least Ambiguous Set-Valued
    Classifiers with Bounded Error Levels"), and always the most probable label.
    """
    return (probabilities >= decision["bound"]) | (probabilities == probabilities.max(axis=1, keepdims=True))


def set_part(columns: dict[str, np.ndarray], names: list[str], decision: dict) -> dict[str, list]:
    """Return the part of the answers that SET names, the most probable label first; no part without bounds."""
    if "bound" not in decision:
        return {}
    probabilities = probability_array(columns, names)
    return {"set": ranked_names(in_sets(probabilities, decision), probabilities, names)}


def answers(scores: np.ndarray, names: list[str], decision: dict, min_confidence: float) -> dict[str, list]:
    columns = prediction_columns(scores, names, decision)
    confidence = columns["confidence"].tolist()
    labels = [
        names[number] if sure >= min_confidence else UNCERTAIN
        for number, sure in zip(columns["predicted"], confidence, strict=True)
    ]
    return {"label": labels, "confidence": confidence} | set_part(columns, names, decision)


def expected_answer(label: object, names: list[str]) -> str | None:
    return name_of_sample(label, names)


def logit_to_explain(scores, number: int):
    """Return the log-odds of a label against all others, (rows,)."""
    import torch

    others = torch.arange(scores.shape[1], device=scores.device) != number
    return scores[:, number] - scores[:, others].logsumexp(dim=1)


def fit_baseline(terms, labels: np.ndarray, c: float):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, max_iter=1000).fit(terms, labels)


def baseline_scores(estimator, terms, count: int) -> np.ndarray:
    """Return the logarithms of the labels' probabilities. A label that the estimator does not know has -inf."""
    probabilities = estimator.predict_proba(terms)
    scores = np.full((len(probabilities), count), -np.inf)
    with np.errstate(divide="ignore"):
        scores[:, estimator.classes_] = np.log(probabilities)
    return scores


def guess(labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels).argmax()


def score(labels: np.ndarray, predicted: np.ndarray) -> float:
    return float((predicted == labels).mean())


def doubtful(labels: np.ndarray, columns: dict[str, np.ndarray], names: list[str]) -> pd.DataFrame:
    """Return the rows whose predicted label differs from their label.

    Sorted by the label's probability, this is the ranking by self-confidence in Northcutt et al. 2021, "Confident
    Learning".
    """
    rows = np.flatnonzero(columns["predicted"] != labels)
    numbers = {"label": labels[rows], "predicted": columns["predicted"][rows]}
    named = {column: [names[number] for number in of_rows] for column, of_rows in numbers.items()}
    return pd.DataFrame({"row": rows} | named | {"probability": probability_array(columns, names)[rows, labels[rows]]})
