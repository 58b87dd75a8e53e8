"""The scored test split."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from classifier.tasks.task import Decision, Task


@dataclass(frozen=True, eq=False)  # hashed by identity, for lru_cache
class Scored:
    """The scored test split, and the baseline's predictions for it.

    Attributes:
        task: The task.
        names: The names of the labels.
        labels: (rows,) or (rows, names), as data/raw has them.
        scores: (rows, names), the calibrated logits.
        uncalibrated: (rows, names), the logits before the calibration.
        decision: The values, such as thresholds, by which scores become answers (see classifier/tasks/task.py).
        baseline: The baseline's predictions, like `labels`.
        learned: Whether the baseline has learned anything. If not, it predicts the same for all texts.
        validation: The validation rows, models/adapter/validation.parquet.
        bins: The number of bins of confidence.
    """

    task: Task
    names: list[str]
    labels: np.ndarray
    scores: np.ndarray
    uncalibrated: np.ndarray
    decision: Decision
    baseline: np.ndarray
    learned: bool
    validation: pd.DataFrame
    bins: int

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """The task's columns of predictions."""
        return self.task.prediction_columns(self.scores, self.names, self.decision)

    @property
    def predicted(self) -> np.ndarray:
        """The predictions, like `labels`."""
        return self.columns["predicted"]
