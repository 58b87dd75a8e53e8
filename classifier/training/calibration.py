"""Measure a classifier's log loss and accuracy, and calibrate its probabilities on the validation split."""

import numpy as np

from classifier.model.build import last_layer

FOLDS = 5


def loss_and_accuracy(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Return the log loss and the accuracy of logits.

    Args:
        logits: (rows, labels).
        labels: The right label of each row, (rows,).
        weights: The weight of each label in the loss, (labels,). None: all labels weigh the same.
    """
    from scipy.special import log_softmax

    losses = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    loss = np.average(losses, weights=None if weights is None else weights[labels])
    return float(loss), float((logits.argmax(axis=1) == labels).mean())


def fit_calibration(logits: np.ndarray, labels: np.ndarray, with_bias: bool = True) -> tuple[float, np.ndarray]:
    """Fit a temperature and a bias for each label, so that softmax(logits / temperature + bias) is calibrated.

    This is bias-corrected temperature scaling (Alexandari et al. 2020, "Maximum Likelihood with Bias-Corrected
    Calibration is Hard-To-Beat at Label Shift Adaptation"). A temperature alone (Guo et al. 2017) cannot correct a
    network that prefers a label.

    The fit maximizes the posterior. The prior is normal in the logarithm of the temperature and in each bias. Without
    the prior, a few rows, or rows without a mistake, would make the network as confident as the bounds of the fit
    allow. With a thousand rows, the prior hardly matters.

    Args:
        logits: The logits of the validation rows, (rows, labels).
        labels: Their right labels, (rows,).
        with_bias: Whether to fit biases. Without them they are 0.

    Returns:
        The temperature, and the bias of each label, (labels,), with a sum of 0.
    """
    from scipy.optimize import minimize
    from scipy.special import softmax

    logits, one_hot = logits.astype(np.float64), np.eye(logits.shape[1])[labels]

    def objective(values: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the log loss plus the prior's share of it, and its gradient; values: log temperature, then biases."""
        scaled = logits / np.exp(values[0])
        errors = (softmax(scaled + values[1:], axis=1) - one_hot) / len(labels)
        gradient = np.array([-(errors * scaled).sum(), *errors.sum(axis=0)]) + values / variances / len(labels)
        loss, _ = loss_and_accuracy(scaled + values[1:], labels)
        return loss + (values**2 / variances).sum() / 2 / len(labels), gradient

    # The prior's variances. That of a bias is larger, because a bias may have to undo a label's weight in the loss.
    variances = np.array([1.0] + [4.0] * logits.shape[1])
    start = np.zeros(1 + logits.shape[1])
    bounds = [(-3, 3)] + [(-12, 12) if with_bias else (0, 0)] * logits.shape[1]
    solution = minimize(objective, start, jac=True, bounds=bounds, options={"ftol": 1e-12, "gtol": 1e-8}).x
    return float(np.exp(solution[0])), solution[1:] - solution[1:].mean()


def cross_calibrate(logits: np.ndarray, labels: np.ndarray, with_bias: bool = True) -> np.ndarray:
    """Return the logits of each row under a calibration that was fitted on the other folds, (rows, labels) float64.

    A calibration that was fitted on the row itself knows the row's label. With many labels and few rows of each, the
    biases overfit these rows, and the most confident rows would look more accurate than equally confident new texts.
    """
    fold, calibrated = np.arange(len(logits)) % FOLDS, logits.astype(np.float64)
    for number in range(FOLDS):
        temperature, bias = fit_calibration(logits[fold != number], labels[fold != number], with_bias)
        calibrated[fold == number] = calibrated[fold == number] / temperature + bias
    return calibrated


def calibrate(model, logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Fit the calibration, put it into the weights of the model's last layer and return it.

    Every program that loads the model then gets calibrated logits. A last layer without a bias has no place for biases,
    so its calibration is a temperature alone.
    """
    import torch

    linear = last_layer(model)
    temperature, bias = fit_calibration(logits, labels, with_bias=linear.bias is not None)
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter /= temperature
        if linear.bias is not None:
            linear.bias += torch.from_numpy(bias).to(linear.bias)
    return temperature, bias
