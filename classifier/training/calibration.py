"""Calibrate a classifier on the validation split."""

from typing import Any

import numpy as np

from classifier.model.build import last_layer
from classifier.tasks.task import Task

FOLDS = 5


def cross_calibrate(
    logits: np.ndarray, labels: np.ndarray, names: list[str], task: Task, with_bias: bool
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Calibrate each row by the rows of the other folds.

    A calibration that was fitted on the row itself knows the row's label. With many labels and few rows of each, the
    biases overfit these rows, and the most confident rows would look more accurate than equally confident new texts.

    Args:
        logits: The logits of the validation rows, (rows, names).
        labels: Their labels.
        names: The names of the labels.
        task: The task.
        with_bias: Whether the calibration has biases.

    Returns:
        The calibrated logits, (rows, names) float64, and the task's `unseen_columns`. For each row, the decision by
        which these columns are computed is fitted on the other folds too.
    """
    scores, unseen = np.empty(logits.shape), {}
    for held_out, others in fold_masks(len(logits)):
        temperature, bias = task.fit_calibration(logits[others], labels[others], with_bias)
        calibrated = logits.astype(np.float64) / temperature + bias
        scores[held_out] = calibrated[held_out]
        decision = task.decide(calibrated[others], labels[others])
        columns = task.prediction_columns(calibrated[held_out], names, decision)
        for name, values in task.unseen_columns(columns, labels[held_out], names).items():
            unseen.setdefault(name, np.empty((len(logits), *values.shape[1:]), values.dtype))[held_out] = values
    return scores, unseen


def fold_masks(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide `count` rows into at most five folds, and return two masks for each fold, (count,) bool.

    The first mask marks the rows of the fold, and the second all other rows. A single row is in both.
    """
    number = np.arange(count) % FOLDS
    return [(number == fold, (number != fold) | (count == 1)) for fold in range(min(count, FOLDS))]


def calibrate(model, logits: np.ndarray, labels: np.ndarray, task: Task) -> tuple[Any, np.ndarray]:
    """Fit the calibration, put it into the weights of the model's last layer and return it.

    Every program that loads the model then gets calibrated logits. A last layer without a bias has no place for biases,
    so its calibration is a temperature alone.

    Args:
        model: The classifier.
        logits: Its logits for the validation rows, (rows, names).
        labels: Their labels.
        task: The task.

    Returns:
        (temperature, bias). The temperature is a number, or (names,) if each label has its own.
    """
    import torch

    linear = last_layer(model)
    temperature, bias = task.fit_calibration(logits, labels, with_bias=linear.bias is not None)
    with torch.no_grad():
        for parameter in linear.parameters():
            if np.ndim(temperature):
                parameter /= torch.from_numpy(temperature).to(parameter).view(-1, *[1] * (parameter.ndim - 1))
            else:
                parameter /= temperature
        if linear.bias is not None:
            linear.bias += torch.from_numpy(bias).to(linear.bias)
    return temperature, bias
