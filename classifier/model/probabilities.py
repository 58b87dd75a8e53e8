"""Probabilities of logits."""

import numpy as np


def predictions(scores: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Of logits (rows, labels): predicted (a label's number), confidence, and probability_NAME of each label."""
    from scipy.special import softmax

    probabilities = softmax(scores.astype(np.float64), axis=1)
    columns = {f"probability_{name}": probabilities[:, number] for number, name in enumerate(names)}
    return {"predicted": probabilities.argmax(axis=1), "confidence": probabilities.max(axis=1), **columns}
