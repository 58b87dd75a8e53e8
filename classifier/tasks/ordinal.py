"""A rating for each text: whole numbers in a range, whose order counts.

The head has an output for each rating, and the softmax of the outputs gives the probabilities. So transformers'
pipeline and ONNX Runtime answer as for single labels. Only the loss depends on the order: it is cross-entropy with soft
labels that spread a rating over its neighbours (Díaz and Marathe 2019, "Soft Labels for Ordinal Regression"). A network
that predicts 4 for a 5 has a lower loss than one that predicts 1. The calibration is that of single labels, fitted to
the ratings themselves. It corrects the low confidence that a network learns from soft labels.

A value is the number of the rating, from 0; labels are (rows,) int64. task.py describes the functions.
"""

import numpy as np
import pandas as pd

from classifier.params.datasets import Dataset
from classifier.tasks import single_label
from classifier.tasks.labels import KNOWN, UNKNOWN, merge_rare, plain

PROBLEM_TYPE = single_label.PROBLEM_TYPE
NEEDS_BIAS = False
SCORE = "accuracy"
ANSWER = {"rating": "int64", "confidence": "float32", "expected_value": "float64"}
SET = {"set": "list<int64>"}

label_cells = single_label.label_cells
label_array = single_label.label_array
describe = single_label.describe
loss_settings = single_label.loss_settings
targets = single_label.targets
fit_calibration = single_label.fit_calibration
decide = single_label.decide
unseen_columns = single_label.unseen_columns
set_scores = single_label.set_scores
with_bounds = single_label.with_bounds
in_sets = single_label.in_sets
logit_to_explain = single_label.logit_to_explain
fit_baseline = single_label.fit_baseline
baseline_scores = single_label.baseline_scores
folds = single_label.folds
guess = single_label.guess
score = single_label.score
doubtful = single_label.doubtful


def read_labels(spellings: list[str], dataset: Dataset, are_numbers: bool = False) -> tuple[np.ndarray, np.ndarray]:
    numbers = {name: number for number, name in enumerate(dataset.label_names)}
    values = np.array([numbers.get(plain(text), UNKNOWN) for text in spellings], dtype=np.int64)
    return values, np.where(values == UNKNOWN, UNKNOWN, KNOWN)


def labels_fix(spellings: list[str], dataset: Dataset) -> str:
    low, high = dataset.range
    return f"write a whole number from {low} to {high}, or change `range` in params.yaml"


def needed_labels(values: pd.Series) -> None:
    """Return None: a split may lack a rating."""
    return None


def strata(values: pd.Series, smallest: int) -> np.ndarray:
    return merge_rare(values.to_numpy(), smallest)


def soft_labels(count: int) -> np.ndarray:
    """Return the target of each rating, a row of (ratings, ratings): softmax(-distance²)."""
    distance = np.subtract.outer(np.arange(count), np.arange(count))
    shares = np.exp(-(distance.astype(np.float64) ** 2))
    return shares / shares.sum(axis=1, keepdims=True)


def loss(logits, targets, settings):
    import torch

    shares = torch.from_numpy(soft_labels(logits.shape[1]).astype(np.float32)).to(logits)[targets]
    losses = -(shares * logits.log_softmax(dim=1)).sum(dim=1)
    return (losses if settings is None else losses * settings[targets]).sum()


def quality(logits: np.ndarray, labels: np.ndarray, settings: np.ndarray | None = None) -> tuple[float, float]:
    """Return (mean loss with soft labels, accuracy)."""
    from scipy.special import log_softmax

    losses = -(soft_labels(logits.shape[1])[labels] * log_softmax(logits, axis=1)).sum(axis=1)
    mean_loss = np.average(losses, weights=None if settings is None else settings[labels])
    return float(mean_loss), float((logits.argmax(axis=1) == labels).mean())


def prediction_columns(scores: np.ndarray, names: list[str], decision: dict) -> dict[str, np.ndarray]:
    """Return the columns of single labels, and expected: the mean rating, weighted by the probabilities."""
    columns = single_label.prediction_columns(scores, names, decision)
    expected = sum(int(name) * columns[f"probability_{name}"] for name in names)
    return {"predicted": columns["predicted"], "confidence": columns["confidence"], "expected": expected} | columns


def answers(scores: np.ndarray, names: list[str], decision: dict, min_confidence: float) -> dict[str, list]:
    """Return the ratings (None if the confidence is too low), their confidences and the expected values."""
    columns = prediction_columns(scores, names, decision)
    confidence = columns["confidence"].tolist()
    ratings = [
        int(names[number]) if sure >= min_confidence else None
        for number, sure in zip(columns["predicted"], confidence, strict=True)
    ]
    parts = {"rating": ratings, "confidence": confidence, "expected_value": columns["expected"].tolist()}
    named_sets = single_label.set_part(columns, names, decision)
    return parts | {part: [[int(name) for name in row] for row in rows] for part, rows in named_sets.items()}


def expected_answer(label: object, names: list[str]) -> int | None:
    return int(label) if str(label) in names else None
