"""Fit the calibration of labels to validation rows, and the thresholds from which labels are answered."""

from collections.abc import Callable
from functools import partial

import numpy as np

MIN_TEXTS = 20  # the fewest texts with a label for which its threshold is chosen; with fewer texts it is one half


def fit_softmax(logits: np.ndarray, labels: np.ndarray, with_bias: bool = True) -> tuple[float, np.ndarray]:
    """Fit a temperature and a bias for each label, so that softmax(logits / temperature + bias) is calibrated.

    This is bias-corrected temperature scaling (Alexandari et al. 2020, "Maximum Likelihood with Bias-Corrected
    Calibration is Hard-To-Beat at Label Shift Adaptation"). A temperature alone (Guo et al. 2017) cannot correct a
    network that prefers a label.

    Args:
        logits: The logits of the validation rows, (rows, labels).
        labels: Their right labels, (rows,).
        with_bias: Whether to fit biases. Without them they are 0.

    Returns:
        The temperature, and the bias of each label, (labels,), with a sum of 0.
    """
    from scipy.special import log_softmax, softmax

    logits, one_hot = logits.astype(np.float64), np.eye(logits.shape[1])[labels]

    def loss_and_gradient(values: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = logits / np.exp(values[0])
        errors = (softmax(scaled + values[1:], axis=1) - one_hot) / len(labels)
        losses = -log_softmax(scaled + values[1:], axis=1)[np.arange(len(labels)), labels]
        return losses.mean(), np.array([-(errors * scaled).sum(), *errors.sum(axis=0)])

    solution = fit_with_prior(loss_and_gradient, logits.shape[1], len(labels), with_bias)
    return float(np.exp(solution[0])), solution[1:] - solution[1:].mean()


def fit_sigmoids(logits: np.ndarray, labels: np.ndarray, with_bias: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Fit a temperature and a bias for each label, so that sigmoid(logits / temperature + bias) is calibrated.

    This is Platt scaling (Platt 1999, "Probabilistic outputs for support vector machines") with the prior of
    `fit_with_prior`.

    Returns:
        (temperatures, biases), both (labels,).
    """
    from scipy.special import expit

    def loss_and_gradient(values: np.ndarray, column: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = column / np.exp(values[0])
        errors = (expit(scaled + values[1]) - target) / len(target)
        losses = np.logaddexp(0, np.where(target, -1, 1) * (scaled + values[1]))
        return losses.mean(), np.array([-(errors @ scaled), errors.sum()])

    columns = zip(logits.astype(np.float64).T, labels.T, strict=True)
    losses = [partial(loss_and_gradient, column=column, target=target) for column, target in columns]
    solutions = [fit_with_prior(loss, 1, len(labels), with_bias) for loss in losses]
    return np.exp([solution[0] for solution in solutions]), np.array([solution[1] for solution in solutions])


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


def best_threshold(probability: np.ndarray, label: np.ndarray) -> float:
    """Return the threshold of a label with the highest F1, halfway between two probabilities.

    If fewer than MIN_TEXTS texts have the label, or if all texts have it, the threshold is one half.

    Args:
        probability: The probability of the label for each text, (texts,).
        label: Whether the text has the label, (texts,).
    """
    positives = int(label.sum())
    if positives < MIN_TEXTS or positives == len(label):
        return 0.5
    order = np.argsort(-probability, kind="stable")
    sorted_probability = probability[order]
    f1 = 2 * np.cumsum(label[order]) / (np.arange(1, len(label) + 1) + positives)
    f1[:-1][sorted_probability[:-1] == sorted_probability[1:]] = 0  # equal probabilities are answered together
    best = int(f1.argmax())
    below = sorted_probability[best + 1] if best + 1 < len(label) else 0.0
    return float(sorted_probability[best] + below) / 2
