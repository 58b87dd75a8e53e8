"""Probabilities of labels: the prior of their calibration, and their columns in a table of predictions."""

from collections.abc import Callable

import numpy as np


def fit_with_prior(
    loss_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]], biases: int, rows: int, with_bias: bool
) -> np.ndarray:
    """Fit a temperature and biases by maximizing their posterior.

    The prior is normal in the logarithm of the temperature and in each bias. Without the prior, a few rows, or rows
    without a mistake, would make the network as confident as the bounds of the fit allow. With a thousand rows, the
    prior hardly matters.

    Args:
        loss_and_gradient: A function of the logarithm of the temperature and the biases, (1 + biases,). It returns
            their mean log loss and its gradient.
        biases: The number of biases.
        rows: The number of rows.
        with_bias: Whether to fit the biases. Without them they are 0.

    Returns:
        The logarithm of the temperature, then the biases, (1 + biases,).
    """
    from scipy.optimize import minimize

    # The prior's variances. That of a bias is larger, because a bias may have to undo a label's weight in the loss.
    variances = np.array([1.0] + [4.0] * biases)

    def objective(values: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the sum of the mean loss and the penalty of the prior, and the gradient of this sum."""
        loss, gradient = loss_and_gradient(values)
        return loss + (values**2 / variances).sum() / 2 / rows, gradient + values / variances / rows

    bounds = [(-3, 3)] + [(-12, 12) if with_bias else (0, 0)] * biases
    options = {"ftol": 1e-12, "gtol": 1e-8}
    return minimize(objective, np.zeros(1 + biases), jac=True, bounds=bounds, options=options).x


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
