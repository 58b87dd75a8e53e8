"""Any number of labels for each text. The network learns each label by itself, by sigmoid cross-entropy.

An answer has all labels whose probability reaches their threshold, or no label. A value is a string with the numbers of
the labels, such as "0 3", which label_sets.py reads from files. Labels are (rows, names) of 0 and 1. task.py describes
the functions.
"""

import warnings

import numpy as np
import pandas as pd

from classifier.files.formats import array_of
from classifier.tasks import label_sets
from classifier.tasks.calibration import best_threshold, fit_sigmoids
from classifier.tasks.folds import equal_folds
from classifier.tasks.label_sets import micro_f1
from classifier.tasks.labels import name_of_sample
from classifier.tasks.probabilities import probability_array, probability_columns, ranked_names
from classifier.tasks.single_label import UNCERTAIN

PROBLEM_TYPE = "multi_label_classification"
NEEDS_BIAS = False
SCORE = "micro_f1"
ANSWER = {"labels": "list<string>", "confidences": "list<float32>"}
SET = {"set": "list<string>"}

label_cells = label_sets.label_cells
read_labels = label_sets.read_labels
labels_fix = label_sets.labels_fix
needed_labels = label_sets.needed_labels
strata = label_sets.strata
label_array = label_sets.label_array
folds = equal_folds
fit_calibration = fit_sigmoids


def describe(labels: np.ndarray, names: list[str]) -> dict[str, float]:
    shares = dict(zip([f"share_{name}" for name in names], labels.mean(axis=0).round(6).tolist(), strict=True))
    none = float((labels.sum(axis=1) == 0).mean())
    return shares | {"without_labels": round(none, 4), "labels_per_text": round(float(labels.sum(1).mean()), 4)}


def loss_settings(
    class_weights: str | dict[str, float] | None, labels: np.ndarray, names: list[str]
) -> np.ndarray | None:
    """Return the weight of the texts with each label, (names,) float32, or None. Texts without it have the weight 1.

    With "balanced", the texts with a label and the texts without it have the same total weight.
    """
    if class_weights is None:
        return None
    if class_weights == "balanced":
        counts = labels.sum(axis=0, dtype=np.int64)
        return ((len(labels) - counts) / np.maximum(counts, 1)).astype(np.float32)
    return np.array([class_weights.get(name, 1.0) for name in names], dtype=np.float32)


def targets(labels: np.ndarray, settings: np.ndarray | None) -> np.ndarray:
    return labels


def loss(logits, targets, settings):
    from torch.nn.functional import binary_cross_entropy_with_logits

    losses = binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none", pos_weight=settings)
    return losses.mean(dim=1).sum()


def quality(logits: np.ndarray, labels: np.ndarray, settings: np.ndarray | None = None) -> tuple[float, float]:
    """Return (mean cross-entropy of the labels, micro F1 with the thresholds that `decide` chooses on these rows).

    With thresholds of one half, rare labels would have an F1 of 0 for most of a training.
    """
    from scipy.special import expit

    weights = np.where(labels, 1.0 if settings is None else settings, 1.0)
    losses = weights * np.logaddexp(0, np.where(labels, -logits, logits))
    predicted = expit(logits.astype(np.float64)) >= decide(logits, labels)["thresholds"]
    return float(losses.mean()), micro_f1(labels, predicted)


def decide(scores: np.ndarray, labels: np.ndarray) -> dict:
    """Return {"thresholds": the probability from which each label is answered}, by `best_threshold`."""
    from scipy.special import expit

    columns = zip(expit(scores.astype(np.float64)).T, labels.T, strict=True)
    return {"thresholds": [best_threshold(probability, label) for probability, label in columns]}


def prediction_columns(scores: np.ndarray, names: list[str], decision: dict) -> dict[str, np.ndarray]:
    """Return the columns of a table of predictions.

    Returns:
        predicted: whether each label is answered, (rows, labels) uint8.
        confidence: probability of the least certain of the row's predictions, (rows,) float64.
        probability_NAME: probability of each label, (rows,) float64.
    """
    from scipy.special import expit

    probabilities = expit(scores.astype(np.float64))
    predicted = probabilities >= decision["thresholds"]
    confidence = np.where(predicted, probabilities, 1 - probabilities).min(axis=1)
    columns = {"predicted": predicted.astype(np.uint8), "confidence": confidence}
    return columns | probability_columns(probabilities, names)


def unseen_columns(unseen: dict[str, np.ndarray], labels: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Return the confidence of each row's answer, whether all of the answer is right, and the labels' probabilities."""
    right = (unseen["predicted"] == labels).all(axis=1)
    probabilities = probability_array(unseen, names)
    return {"unseen_confidence": unseen["confidence"], "unseen_right": right, "unseen_probability": probabilities}


def set_scores(rows: pd.DataFrame) -> list[np.ndarray]:
    """Return the probabilities of each label in the rows that have the label."""
    columns = zip(array_of(rows["unseen_probability"]).T, array_of(rows["label"]).T, strict=True)
    return [probability[label == 1] for probability, label in columns]


def with_bounds(decision: dict, bounds: np.ndarray) -> dict:
    return decision | {"bounds": bounds}


def in_sets(probabilities: np.ndarray, decision: dict) -> np.ndarray:
    """Return whether each label is in the set of each row, (rows, names) bool: its probability reaches its bound.

    For a label without a bound, the threshold that `decide` chose takes its place.
    """
    bounds = decision["bounds"]
    return probabilities >= np.where(np.isnan(bounds), decision["thresholds"], bounds)


def answers(scores: np.ndarray, names: list[str], decision: dict, min_confidence: float) -> dict[str, list]:
    """Return the answered labels of each row, the most probable first, and their probabilities.

    A row whose confidence is below `min_confidence` has UNCERTAIN and its confidence instead.
    """
    columns = prediction_columns(scores, names, decision)
    probabilities, labels, confidences = probability_array(columns, names), [], []
    for row, answered, sure in zip(probabilities, columns["predicted"], columns["confidence"], strict=True):
        numbers = sorted(np.flatnonzero(answered), key=lambda number: -row[number])
        is_sure = sure >= min_confidence
        labels.append([names[number] for number in numbers] if is_sure else [UNCERTAIN])
        confidences.append([float(row[number]) for number in numbers] if is_sure else [float(sure)])
    parts = {"labels": labels, "confidences": confidences}
    if "bounds" in decision:
        parts["set"] = ranked_names(in_sets(probabilities, decision), probabilities, names)
    return parts


def expected_answer(label: object, names: list[str]) -> list[str] | None:
    found = [name_of_sample(one, names) for one in (label if isinstance(label, list) else [label])]
    return None if None in found else found


def logit_to_explain(scores, number: int):
    return scores[:, number]


def fit_baseline(terms, labels: np.ndarray, c: float):
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Label (not )?.* is present in all training examples", UserWarning)
        return OneVsRestClassifier(LogisticRegression(C=c, max_iter=1000)).fit(terms, labels)


def baseline_scores(estimator, terms, count: int) -> np.ndarray:
    from scipy.special import logit

    return logit(estimator.predict_proba(terms))


def guess(labels: np.ndarray) -> np.ndarray:
    """Return the most frequent labels, as many as give the highest micro F1."""
    order = np.argsort(-labels.sum(axis=0, dtype=np.int64), kind="stable")
    guesses = [np.isin(np.arange(labels.shape[1]), order[:count]) for count in range(labels.shape[1] + 1)]
    return max(guesses, key=lambda guess: micro_f1(labels, np.broadcast_to(guess, labels.shape))).astype(np.uint8)


score = micro_f1


def doubtful(labels: np.ndarray, columns: dict[str, np.ndarray], names: list[str]) -> pd.DataFrame:
    """Return the pairs of a text and a label whose prediction differs. "not NAME" stands for a text without NAME."""
    rows, numbers = np.nonzero(columns["predicted"] != labels)
    has = labels[rows, numbers].astype(bool)
    probability = probability_array(columns, names)[rows, numbers]
    with_label, without = [names[number] for number in numbers], [f"not {names[number]}" for number in numbers]
    return pd.DataFrame(
        {
            "row": rows,
            "label": np.where(has, with_label, without),
            "predicted": np.where(has, without, with_label),
            "probability": np.where(has, probability, 1 - probability),
        }
    )
