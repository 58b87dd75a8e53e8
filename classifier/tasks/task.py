"""The tasks, and what a task is: what a label says, how a network learns it, and how a classifier answers.

A task is a module of this package. It has the values and functions of `Task`, and the module of the same name in
classifier/evaluation/tasks/ measures and shows its results. The stages call a task and do not ask which one it is. A
further task is a file in each of the two packages and a few lines; CONTRIBUTING.md lists them.

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

Decision = dict[str, Any]  # what turns scores into answers besides the scores, as config.json holds it


class Task(Protocol):
    """What a task's module has."""

    PROBLEM_TYPE: str  # transformers' name for the kind of the head's outputs
    NEEDS_BIAS: bool  # whether the head must have a bias
    SCORE: str  # the name of `score` in metrics/
    ANSWER: dict[str, str]  # name and pyarrow type of each part of an answer

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
        """Return a number for each row. A sample of `smallest` rows keeps the share of each number."""

    def label_array(self, values: pd.Series, names: list[str]) -> np.ndarray:
        """Return values as they are stored: the array `labels`."""

    def describe(self, labels: np.ndarray, names: list[str]) -> dict[str, float]:
        """Return what metrics/data.json says about the labels of a split."""

    def loss_settings(
        self, class_weights: str | dict[str, float] | None, labels: np.ndarray, names: list[str]
    ) -> np.ndarray | None:
        """Return what `targets`, `loss` and `quality` need of the train labels: weights, or mean and deviation."""

    def targets(self, labels: np.ndarray, settings: np.ndarray | None) -> np.ndarray:
        """Return what `loss` compares the logits of the train rows with."""

    def loss(self, logits, targets, settings):
        """Return the sum of the rows' losses, a scalar tensor. All arguments are tensors; settings may be None."""

    def quality(
        self, logits: np.ndarray, labels: np.ndarray, settings: np.ndarray | None = None
    ) -> tuple[float, float]:
        """Return (mean loss, SCORE)."""

    def fit_calibration(self, logits: np.ndarray, labels: np.ndarray, with_bias: bool = True) -> tuple[Any, np.ndarray]:
        """Return (temperature, bias), so that logits / temperature + bias are the scores. Without bias it is 0."""

    def decide(self, scores: np.ndarray, labels: np.ndarray) -> Decision:
        """Return the decision, chosen on rows whose scores come from calibrations that were fitted on other rows."""

    def prediction_columns(self, scores: np.ndarray, names: list[str], decision: Decision) -> dict[str, np.ndarray]:
        """Return the columns of a table of predictions: `predicted` like `labels`, and others."""

    def unseen_columns(self, unseen: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, np.ndarray]:
        """Return what validation.parquet has of `prediction_columns` by calibrations that were fitted on other rows."""

    def answers(
        self, scores: np.ndarray, names: list[str], decision: Decision, min_confidence: float
    ) -> dict[str, list]:
        """Return the parts of ANSWER, each a list with a value for each row."""

    def expected_answer(self, label: Any, names: list[str]) -> Any:
        """Return the first part of an answer that has this label, as params.yaml writes it; None if no answer can."""

    def logit_to_explain(self, scores, number: int):
        """Return the logit (rows,) that says how strongly the label with this number is answered. Tensors."""

    def fit_baseline(self, terms, labels: np.ndarray, c: float):
        """Fit the baseline's estimator of scikit-learn to rows of terms. The strength of its penalty is 1 / c."""

    def baseline_scores(self, estimator, terms, count: int) -> np.ndarray:
        """Return the estimator's scores for rows of terms, as a network with `count` outputs would give them."""

    def folds(self, labels: np.ndarray) -> list[Fold]:
        """Return the folds of the train rows. A row that cannot be held out is in no fold."""

    def guess(self, labels: np.ndarray) -> np.ndarray:
        """Return the prediction for all texts that fits the labels best, without reading a text."""

    def score(self, labels: np.ndarray, predicted: np.ndarray) -> float:
        """Return SCORE of predictions; higher is better."""

    def doubtful(self, labels: np.ndarray, columns: dict[str, np.ndarray], names: list[str]) -> pd.DataFrame:
        """Return the labels that `prediction_columns` by other folds contradict.

        The columns are row (the number of the text), label, predicted and probability (of the label).
        """


TASKS: dict[str, ModuleType] = {
    "single-label": single_label,
    "multi-label": multi_label,
    "regression": regression,
    "ordinal": ordinal,
}
