"""Any number of labels for each text. The network learns each label by itself, by sigmoid cross-entropy.

An answer has the labels whose probability reaches their threshold, which may be none. A value is a text with the
numbers of the labels, such as "0 3"; labels are (rows, names) of 0 and 1. The functions are described in task.py.
"""

import ast
import json
from contextlib import suppress

import numpy as np
import pandas as pd

from classifier.params.datasets import Dataset
from classifier.tasks import labels as names_and_numbers
from classifier.tasks.labels import (
    KNOWN,
    LEFT_OUT,
    NO_LABEL,
    UNKNOWN,
    is_number,
    label_numbers,
    merge_rare,
    plain,
    spelled,
)
from classifier.tasks.single_label import FOLDS, UNCERTAIN

PROBLEM_TYPE = "multi_label_classification"
NEEDS_BIAS = False
SCORE = "micro_f1"
ANSWER = {"labels": "list<string>", "confidences": "list<float32>"}
ENOUGH = 20  # validation texts with a label, from which on its threshold is chosen


def label_cells(table: pd.DataFrame, dataset: Dataset) -> pd.Series:
    """Return the labels of each row as a list in JSON, "" if they are missing.

    One column has a list, or names joined by `label_separator`, of which there may be none. Of several columns each has
    1 or true in the rows that have its label, and 0 or false in others. As for single labels, - and -1 say that the
    labels are missing, unless a label has this name.
    """
    columns = dataset.label_columns
    if len(columns) == 1:
        missing = {f'["{mark}"]': "" for mark in NO_LABEL if mark not in (dataset.labels or ())}
        return table[columns[0]].map(lambda value: listed(value, dataset.label_separator)).replace(missing)
    marks = pd.DataFrame({name: spelled(table[name]).map(plain) for name in columns})

    def row_labels(row: tuple) -> str:
        found = []
        for name, mark in zip(columns, row, strict=True):
            if mark in NO_LABEL:
                return ""
            if mark not in ("0", "false"):
                found.append(name if mark in ("1", "true") else f"{name}={mark}")
        return json.dumps(found, ensure_ascii=False)

    rows = [row_labels(row) for row in marks.itertuples(index=False)]
    return pd.Series(rows, table.index, dtype=object)


def listed(value: object, separator: str | None) -> str:
    """Return one value of a column as a list in JSON, "" if it is missing.

    A text can be a list in JSON, or as Python prints it and pandas writes it into a .csv: ["a", "b"] or ['a', 'b'].
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return json.dumps([str(label).strip() for label in value], ensure_ascii=False)
    if pd.isna(value):
        return ""
    text = str(value).strip()
    if text.startswith("["):
        for parse in (json.loads, ast.literal_eval):
            with suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                return listed([*parse(text)], None)
    if separator is None:
        return text and listed([text], None)
    return listed([label for label in text.split(separator) if label.strip()], None)


def read_labels(spellings: list[str], dataset: Dataset, are_numbers: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return (value, status) of each spelling. A label that the entry maps to null is left out of its rows.

    A list is not taken for one that marks each label with 0 or 1: true and false are no numbers of labels here, and a
    list that repeats a number is unknown.
    """
    sets = [json.loads(text) if text else [] for text in spellings]
    words = list(dict.fromkeys(word for labels in sets for word in labels))
    names = dataset.labels or dataset.label_names
    numbers = dict(zip(words, label_numbers(words, names, are_numbers), strict=True))
    numbers |= {word: UNKNOWN for word in words if plain(word) in ("true", "false") and word not in names}
    rows = [sorted({int(numbers[word]) for word in labels} - {LEFT_OUT}) for labels in sets]
    unknown = [UNKNOWN in row or repeats_number(labels) for row, labels in zip(rows, sets, strict=True)]
    status = [UNKNOWN if not text or bad else KNOWN for text, bad in zip(spellings, unknown, strict=True)]
    return np.array([" ".join(map(str, row)) for row in rows], dtype=object), np.array(status, dtype=np.int64)


def repeats_number(labels: list[str]) -> bool:
    """Return whether a list has a number twice, as one does that marks each label with 0 or 1."""
    return len(set(labels)) < len(labels) and any(is_number(plain(word)) for word in labels if labels.count(word) > 1)


def labels_fix(spellings: list[str], dataset: Dataset) -> str:
    if len(dataset.label_columns) > 1:
        return "write 1 or true in the rows that have the column's label, and 0 or false in others"
    sets = [json.loads(text) for text in spellings if text]
    words = list(dict.fromkeys(word for labels in sets for word in labels))
    if any(map(repeats_number, sets)) or {*map(plain, words)} & {"true", "false"}:
        return "list the labels that a text has; marks of 0 and 1 are read from a column for each label alone"
    fix = names_and_numbers.labels_fix(words, dataset)
    joined = any(mark in word for mark in ",;|" for word in words)
    return fix + "; if names are joined, set `label_separator`" * (joined and not dataset.label_separator)


def needed_labels(values: pd.Series) -> dict[int, int]:
    counts = {}
    for value, count in values.value_counts().items():
        for number in value.split():
            counts[int(number)] = counts.get(int(number), 0) + count
    return counts


def strata(values: pd.Series, smallest: int) -> np.ndarray:
    """Return the rarest label of each row, so that samples keep the shares of rare labels, which chance would lose."""
    counts = needed_labels(values)
    codes, sets = pd.factorize(values)
    rarest = [min(map(int, text.split()), key=counts.get, default=-1) for text in sets]
    return merge_rare(np.array(rarest)[codes], smallest)


def label_array(values: pd.Series, names: list[str]) -> np.ndarray:
    codes, sets = pd.factorize(values)
    rows = np.zeros((len(sets), len(names)), dtype=np.uint8)
    for row, text in zip(rows, sets, strict=True):
        row[[int(number) for number in text.split()]] = 1
    return rows[codes]


def describe(labels: np.ndarray, names: list[str]) -> dict[str, float]:
    shares = dict(zip([f"share_{name}" for name in names], labels.mean(axis=0).round(4).tolist(), strict=True))
    none = float((labels.sum(axis=1) == 0).mean())
    return shares | {"share_without_labels": round(none, 4), "labels_per_text": round(float(labels.sum(1).mean()), 4)}


def loss_settings(
    class_weights: str | dict[str, float] | None, labels: np.ndarray, names: list[str]
) -> np.ndarray | None:
    """Return the weight of each label's texts, beside texts without the label, (names,) float32, or None.

    "balanced" gives the texts with a label and those without it the same total weight.
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


def micro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Return the F1 of all pairs of a text and a label; 1 if there is nothing to find and nothing is found."""
    found, answered, actual = (labels & predicted).sum(), predicted.sum(), labels.sum()
    return float(2 * found / (answered + actual)) if answered + actual else 1.0


def fit_calibration(logits: np.ndarray, labels: np.ndarray, with_bias: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Fit a temperature and a bias for each label, so that sigmoid(logits / temperature + bias) is calibrated.

    Each label's fit is that of classifier/tasks/single_label.py, with the same prior (Platt 1999, "Probabilistic
    outputs for support vector machines").

    Returns:
        (temperatures, biases), both (labels,).
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    def objective(values: np.ndarray, column: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = column / np.exp(values[0])
        errors = (expit(scaled + values[1]) - target) / len(target)
        gradient = np.array([-(errors @ scaled), errors.sum()]) + values / variances / len(target)
        losses = np.logaddexp(0, np.where(target, -1, 1) * (scaled + values[1]))
        return losses.mean() + (values**2 / variances).sum() / 2 / len(target), gradient

    variances, options = np.array([1.0, 4.0]), {"ftol": 1e-12, "gtol": 1e-8}
    bounds = [(-3, 3), (-12, 12) if with_bias else (0, 0)]
    solutions = [
        minimize(objective, np.zeros(2), (column, target), jac=True, bounds=bounds, options=options).x
        for column, target in zip(logits.astype(np.float64).T, labels.T, strict=True)
    ]
    return np.exp([solution[0] for solution in solutions]), np.array([solution[1] for solution in solutions])


def decide(scores: np.ndarray, labels: np.ndarray) -> dict:
    """Return {"thresholds": the probability from which each label is answered}.

    A label's threshold is the one with the highest F1. With fewer than ENOUGH texts that have the label, or without
    another text, it is one half.
    """
    from scipy.special import expit

    columns = zip(expit(scores.astype(np.float64)).T, labels.T, strict=True)
    return {"thresholds": [best_threshold(probability, label) for probability, label in columns]}


def best_threshold(probability: np.ndarray, label: np.ndarray) -> float:
    """Return the threshold with the highest F1, halfway between two probabilities."""
    positives = int(label.sum())
    if positives < ENOUGH or positives == len(label):
        return 0.5
    order = np.argsort(-probability, kind="stable")
    sorted_probability = probability[order]
    f1 = 2 * np.cumsum(label[order]) / (np.arange(1, len(label) + 1) + positives)
    f1[:-1][sorted_probability[:-1] == sorted_probability[1:]] = 0  # equal probabilities are answered together
    best = int(f1.argmax())
    below = sorted_probability[best + 1] if best + 1 < len(label) else 0.0
    return float(sorted_probability[best] + below) / 2


def prediction_columns(scores: np.ndarray, names: list[str], decision: dict) -> dict[str, np.ndarray]:
    """Return the columns of a table of predictions.

    Returns:
        predicted: whether each label is answered, (rows, labels) uint8.
        confidence: probability of the least certain of these answers, (rows,) float64.
        probability_NAME: probability of each label, (rows,) float64.
    """
    from scipy.special import expit

    probabilities = expit(scores.astype(np.float64))
    predicted = probabilities >= decision["thresholds"]
    confidence = np.where(predicted, probabilities, 1 - probabilities).min(axis=1)
    columns = {f"probability_{name}": probabilities[:, number] for number, name in enumerate(names)}
    return {"predicted": predicted.astype(np.uint8), "confidence": confidence, **columns}


def unseen_columns(unseen: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the confidence of each row's set of labels, and whether all of the set is right."""
    right = (unseen["predicted"] == labels).all(axis=1)
    return {"unseen_confidence": unseen["confidence"], "unseen_right": right}


def answers(scores: np.ndarray, names: list[str], decision: dict, min_confidence: float) -> dict[str, list]:
    """Return the answered labels of each row, the most probable first, and their probabilities."""
    columns = prediction_columns(scores, names, decision)
    probabilities = np.column_stack([columns[f"probability_{name}"] for name in names])
    labels, confidences = [], []
    for row, answered, sure in zip(probabilities, columns["predicted"], columns["confidence"], strict=True):
        numbers = sorted(np.flatnonzero(answered), key=lambda number: -row[number])
        is_sure = sure >= min_confidence
        labels.append([names[number] for number in numbers] if is_sure else [UNCERTAIN])
        confidences.append([float(row[number]) for number in numbers] if is_sure else [float(sure)])
    return {"labels": labels, "confidences": confidences}


def expected_answer(label: object, names: list[str]) -> list[str] | None:
    labels = [label] if isinstance(label, str) else label
    return labels if isinstance(labels, list) and {*labels} <= {*names} else None


def logit_to_explain(scores, number: int):
    return scores[:, number]


def baseline_model(c: float):
    import warnings

    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    warnings.filterwarnings("ignore", "Label (not )?.* is present in all training examples", UserWarning)
    return OneVsRestClassifier(LogisticRegression(C=c, max_iter=1000))


def baseline_scores(estimator, terms, count: int) -> np.ndarray:
    from scipy.special import logit

    return logit(estimator.predict_proba(terms))


def out_of_fold(estimator, terms, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import logit
    from sklearn.model_selection import cross_val_predict

    if len(labels) < FOLDS:
        return np.arange(0), np.zeros((0, count))
    probabilities = cross_val_predict(estimator, terms, labels, cv=FOLDS, method="predict_proba")
    return np.arange(len(labels)), logit(probabilities)


def guess(labels: np.ndarray) -> np.ndarray:
    """Return the most frequent labels, as many as give the highest micro F1."""
    order = np.argsort(-labels.sum(axis=0, dtype=np.int64), kind="stable")
    guesses = [np.isin(np.arange(labels.shape[1]), order[:count]) for count in range(labels.shape[1] + 1)]
    return max(guesses, key=lambda guess: micro_f1(labels, np.broadcast_to(guess, labels.shape))).astype(np.uint8)


score = micro_f1
agreement = micro_f1


def doubtful(labels: np.ndarray, columns: dict[str, np.ndarray], names: list[str]) -> pd.DataFrame:
    """Return the pairs of a text and a label that are predicted otherwise. "not NAME" is a text without the label."""
    rows, numbers = np.nonzero(columns["predicted"] != labels)
    has = labels[rows, numbers].astype(bool)
    probability = np.array(
        [columns[f"probability_{names[number]}"][row] for row, number in zip(rows, numbers, strict=True)]
    )
    with_label, without = [names[number] for number in numbers], [f"not {names[number]}" for number in numbers]
    return pd.DataFrame(
        {
            "row": rows,
            "label": np.where(has, with_label, without),
            "predicted": np.where(has, without, with_label),
            "probability": np.where(has, probability, 1 - probability),
        }
    )
