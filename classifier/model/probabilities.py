"""Convert logits to probabilities."""

import numpy as np


def prediction_columns(scores: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Return the columns of a table of predictions for logits of shape (rows, labels).

    names: Label names, in the order of the labels' numbers.

    Returns:
        predicted: number of the most probable label, (rows,) int64.
        confidence: probability of that label, (rows,) float64.
        probability_NAME: probability of each label, (rows,) float64.

    >>> columns = prediction_columns(np.array([[0.0, 2.0]]), ["no", "yes"])
    >>> {name: column.round(2).tolist() for name, column in columns.items()}
    {'predicted': [1], 'confidence': [0.88], 'probability_no': [0.12], 'probability_yes': [0.88]}
    """
    from scipy.special import softmax

    probabilities = softmax(scores.astype(np.float64), axis=1)
    columns = {f"probability_{name}": probabilities[:, number] for number, name in enumerate(names)}
    return {"predicted": probabilities.argmax(axis=1), "confidence": probabilities.max(axis=1), **columns}
