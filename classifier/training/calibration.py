"""Calibrate a classifier on the validation split."""

from typing import Any

import numpy as np

from classifier.model.build import last_layer
from classifier.tasks import single_label
from classifier.tasks.task import Task

FOLDS = 5


def cross_calibrate(
    logits: np.ndarray, labels: np.ndarray, with_bias: bool = True, task: Task = single_label
) -> np.ndarray:
    """Return the logits of each row under a calibration that was fitted on the other folds, (rows, names) float64.

    A calibration that was fitted on the row itself knows the row's label. With many labels and few rows of each, the
    biases overfit these rows, and the most confident rows would look more accurate than equally confident new texts.
    """
    calibrated = logits.astype(np.float64)
    for held_out, others in folds(len(logits)):
        temperature, bias = task.fit_calibration(logits[others], labels[others], with_bias)
        calibrated[held_out] = calibrated[held_out] / temperature + bias
    return calibrated


def folds(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (rows of the fold, all other rows) for each fold of `count` rows, as bool; of one row, the row twice."""
    number = np.arange(count) % FOLDS
    return [(number == fold, (number != fold) | (count == 1)) for fold in range(min(count, FOLDS))]


def unseen_columns(
    logits: np.ndarray, labels: np.ndarray, names: list[str], with_bias: bool, task: Task
) -> dict[str, np.ndarray]:
    """Return the task's columns of the rows as if they were new: calibration and decision are those of other folds."""
    parts, order = [], []
    for held_out, others in folds(len(logits)):
        temperature, bias = task.fit_calibration(logits[others], labels[others], with_bias)
        scores = logits.astype(np.float64) / temperature + bias
        decision = task.decide(scores[others], labels[others])
        columns = task.prediction_columns(scores[held_out], names, decision)
        parts.append(task.unseen_columns(columns, labels[held_out]))
        order.append(np.flatnonzero(held_out))
    places = np.argsort(np.concatenate(order))
    return {name: np.concatenate([part[name] for part in parts])[places] for name in parts[0]}


def calibrate(model, logits: np.ndarray, labels: np.ndarray, task: Task = single_label) -> tuple[Any, np.ndarray]:
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
