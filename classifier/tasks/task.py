"""The tasks: the labels, the loss, the calibration, the answers and the baseline of each.

A task is a module of this package. It has the values and functions of `Task`. The module of the same name in
classifier/evaluation/tasks/ has the metrics and the report. The stages call a task and do not ask which task it is.
CONTRIBUTING.md says how to add a task.

Shapes: `values` are the labels in a table of the stage `data`, one value for each row. `labels` are the same labels as
data/raw and data/tokens store them: (rows,), or (rows, names) if a text can have several labels. `logits` and `scores`
are (rows, names); scores are calibrated logits.
"""

from types import ModuleType
from typing import Any, Protocol

import numpy as np
import pandas as pd

from classifier.params.datasets import Dataset
from classifier.tasks import multi_label, ordinal, regression, single_label
from classifier.tasks.folds import Fold

Decision = dict[str, Any]  # values such as thresholds, by which scores become answers; config.json has them


class Task(Protocol):
    """The values and functions of a task's module."""

    PROBLEM_TYPE: str  # transformers' name for the kind of the head's outputs
    NEEDS_BIAS: bool  # whether the head must have a bias
    SCORE: str  # the name of `score` in metrics/
    ANSWER: dict[str, str]  # name and pyarrow type of each part of an answer
    SET: dict[str, str]  # name and type of the part that prediction sets add to an answer; {} if they add none

    def label_cells(self, table: pd.DataFrame, dataset: Dataset) -> pd.Series:
        """Return the label of each row of a file as one text, "" if it is missing."""

    def read_labels(
        self, spellings: list[str], dataset: Dataset, are_numbers: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (value, status) of each spelling of a label; a status is KNOWN, UNKNOWN or LEFT_OUT (labels.py)."""

    def labels_fix(self, spellings: list[str], dataset: Dataset) -> str:
        """Return how to fix a file with unknown labels, given all spellings that it has."""

    def needed_labels(self, values: pd.Series) -> dict[int, int] | None:
        """Return how many rows have each label, by the label's number; None if a split may lack labels."""

    def strata(self, values: pd.Series, smallest: int) -> np.ndarray:
        """Return the stratum of each row, (rows,) int. A sample of `smallest` rows keeps the share of each stratum."""

    def label_array(self, values: pd.Series, names: list[str]) -> np.ndarray:
        """Return values as they are stored: the array `labels`."""

    def describe(self, labels: np.ndarray, names: list[str]) -> dict[str, float]:
        """Return statistics of the labels of a split, for metrics/data.json."""

    def loss_settings(
        self, class_weights: str | dict[str, float] | None, labels: np.ndarray, names: list[str]
    ) -> np.ndarray | None:
        """Return the `settings` of the loss: weights of the labels, or mean and deviation of the train labels."""

    def targets(self, labels: np.ndarray, settings: np.ndarray | None) -> np.ndarray:
        """Return the targets of the train rows, which `loss` compares with the logits."""

    def loss(self, logits, targets, settings):
        """Return the sum of the rows' losses, a scalar tensor. All arguments are tensors; settings may be None."""

    def quality(
        self, logits: np.ndarray, labels: np.ndarray, settings: np.ndarray | None = None
    ) -> tuple[float, float]:
        """Return (mean loss, SCORE)."""

    def fit_calibration(self, logits: np.ndarray, labels: np.ndarray, with_bias: bool = True) -> tuple[Any, np.ndarray]:
        """Return (temperature, bias). The scores are logits / temperature + bias.

        with_bias: If False, the bias is 0. A task with NEEDS_BIAS ignores it.
        """

    def decide(self, scores: np.ndarray, labels: np.ndarray) -> Decision:
        """Return the decision that is fitted to these rows. The calibrations of the scores are fitted to other rows."""

    def prediction_columns(self, scores: np.ndarray, names: list[str], decision: Decision) -> dict[str, np.ndarray]:
        """Return the columns of a table of predictions: `predicted` like `labels`, and others."""

    def unseen_columns(
        self, unseen: dict[str, np.ndarray], labels: np.ndarray, names: list[str]
    ) -> dict[str, np.ndarray]:
        """Return the columns of validation.parquet that treat the rows as new texts.

        unseen: The `prediction_columns` of the rows by a calibration and a decision that come from other rows.
        """

    def set_scores(self, rows: pd.DataFrame) -> list[np.ndarray]:
        """Return the scores by which the bounds of prediction sets are chosen, an array of rows for each bound.

        The set of a text holds the right label if the label's score is at least the bound.

        rows: The rows of validation.parquet.
        """

    def with_bounds(self, decision: Decision, bounds: np.ndarray) -> Decision:
        """Return the decision with the bounds of prediction sets, by which `answers` gives sets as well.

        bounds: A bound for each array of `set_scores`; NaN where its rows are too few.
        """

    def answers(
        self, scores: np.ndarray, names: list[str], decision: Decision, min_confidence: float
    ) -> dict[str, list]:
        """Return the parts of ANSWER, and of SET if the decision has bounds, each a list with a value for each row."""

    def expected_answer(self, label: Any, names: list[str]) -> Any:
        """Return the value of the first part of ANSWER in an answer that is `label`, as params.yaml writes labels.

        Return None if the model cannot give this answer.
        """

    def logit_to_explain(self, scores, number: int):
        """Return the logit that an explanation of the label with this number explains, (rows,). Tensors."""

    def fit_baseline(self, terms, labels: np.ndarray, c: float):
        """Fit the baseline's estimator of scikit-learn to rows of terms. The strength of its penalty is 1 / c."""

    def baseline_scores(self, estimator, terms, count: int) -> np.ndarray:
        """Return the estimator's scores for rows of terms, as a network with `count` outputs would give them."""

    def folds(self, labels: np.ndarray) -> list[Fold]:
        """Return the folds of the train rows. A row that cannot be held out is in no fold."""

    def guess(self, labels: np.ndarray) -> np.ndarray:
        """Return the best prediction that is the same for all texts."""

    def score(self, labels: np.ndarray, predicted: np.ndarray) -> float:
        """Return SCORE of predictions; higher is better."""

    def doubtful(self, labels: np.ndarray, columns: dict[str, np.ndarray], names: list[str]) -> pd.DataFrame:
        """Return the doubtful labels: those that differ from the prediction, or, of numbers, differ most from it.

        The predictions of a fold come from an estimator that was fitted on the other folds.

        Args:
            labels: The labels of the held-out rows.
            columns: Their `prediction_columns`.
            names: The names of the labels.

        Returns:
            Columns row (the index in `labels`), label, predicted and probability (of the label).
        """


TASKS: dict[str, ModuleType] = {
    "single-label": single_label,
    "multi-label": multi_label,
    "regression": regression,
    "ordinal": ordinal,
}
