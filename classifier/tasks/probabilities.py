"""The columns of the labels' probabilities in a table of predictions."""

import numpy as np


def probability_columns(probabilities: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Return the columns probability_NAME, (rows,), of the probabilities of all labels, (rows, names)."""
    return {f"probability_{name}": probabilities[:, number] for number, name in enumerate(names)}


def ranked_names(chosen: np.ndarray, probabilities: np.ndarray, names: list[str]) -> list[list[str]]:
    """Return the names of the labels that are chosen in each row, (rows, names) bool, the most probable first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return [[names[n] for n in numbers[row[numbers]]] for row, numbers in zip(chosen, order, strict=True)]


def probability_array(columns, names: list[str]) -> np.ndarray:
    """Return the probabilities of all labels, (rows, names), from a table with the columns probability_NAME."""
    return np.column_stack([columns[f"probability_{name}"] for name in names])
