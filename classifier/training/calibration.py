"""How good a classifier's probabilities are, and how to make them honest."""

import numpy as np

from classifier.model.build import last_layer

FOLDS = 5


def quality(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """(log loss, accuracy) of logits (rows, labels). weights: of the labels in the loss, (labels,), or all alike."""
    from scipy.special import log_softmax

    losses = -log_softmax(scores, axis=1)[np.arange(len(labels)), labels]
    loss = np.average(losses, weights=None if weights is None else weights[labels])
    return float(loss), float((scores.argmax(axis=1) == labels).mean())


def calibration(scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """A temperature to divide logits by and a bias to add to each label's, which together are the likeliest by the
    validation rows and a prior; the bias is (labels,) of sum 0.

    scores: (rows, labels) logits. Bias-corrected temperature scaling (Alexandari et al. 2020, "Maximum Likelihood with
    Bias-Corrected Calibration is Hard-To-Beat at Label Shift Adaptation"): a temperature alone (Guo et al. 2017) leaves
    a network that prefers a label as it is. The prior, normal in the temperature's logarithm and in each bias, keeps a
    few rows, or rows without a mistake, from making the network as sure as can be; of a thousand rows it hardly shows.
    """
    from scipy.optimize import minimize
    from scipy.special import softmax

    scores, right = scores.astype(np.float64), np.eye(scores.shape[1])[labels]

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        """(log loss and the prior's share, its gradient) at the temperature's logarithm and the biases."""
        divided = scores / np.exp(values[0])
        gaps = (softmax(divided + values[1:], axis=1) - right) / len(labels)
        slopes = np.array([-(gaps * divided).sum(), *gaps.sum(axis=0)]) + values / variances / len(labels)
        return quality(divided + values[1:], labels)[0] + (values**2 / variances).sum() / 2 / len(labels), slopes

    variances = np.array([1.0] + [4.0] * scores.shape[1])  # of the prior; a bias may have to undo a label's weight
    start = np.zeros(1 + scores.shape[1])
    bounds = [(-3, 3)] + [(-12, 12)] * scores.shape[1]
    found = minimize(loss, start, jac=True, bounds=bounds, options={"ftol": 1e-12, "gtol": 1e-8}).x
    return float(np.exp(found[0])), found[1:] - found[1:].mean()


def calibrated_by_others(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each row's logits by the calibration of the rows of the other folds, (rows, labels) float64.

    By its own calibration a row's confidence knows its label: with many labels and few rows of each, whose biases
    follow these rows, the most confident ones would look better than any others.
    """
    fold, calibrated = np.arange(len(scores)) % FOLDS, scores.astype(np.float64)
    for number in range(FOLDS):
        temperature, bias = calibration(scores[fold != number], labels[fold != number])
        calibrated[fold == number] = calibrated[fold == number] / temperature + bias
    return calibrated


def calibrate(model, scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Put the calibration into the last layer, where it holds for every client of the model, and return it."""
    import torch

    temperature, bias = calibration(scores, labels)
    linear = last_layer(model)
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter /= temperature
        linear.bias += torch.from_numpy(bias).to(linear.bias)
    return temperature, bias
