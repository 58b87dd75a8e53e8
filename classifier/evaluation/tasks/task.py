"""The metrics, the plots and the report of each task.

A task is a module of this package and has the functions of `Measures`. The module of the same name in classifier/tasks/
has the labels and the training. They are two modules so that an edit of a metric does not train a model again. Each
task also has a template of the report, beside its module here, and one of the model card, in
classifier/export/cards/.
"""

from types import ModuleType
from typing import Protocol

import numpy as np
import pandas as pd

from classifier.evaluation.scored import Scored
from classifier.evaluation.tasks import multi_label, ordinal, regression, single_label
from classifier.tasks.task import Decision


class Measures(Protocol):
    """The values and functions of a task's module."""

    HEADLINE: str  # the key in evaluate.json of the metric in the report's title
    LOSS: str  # the loss of the training in words
    QUALITY: str  # the name of the mean of `row_quality`
    ROW_QUALITY: str  # its key in `paired_values`, which has it first
    CARD: dict[str, str]  # the metrics on the model card: each name, and its key in evaluate.json

    def metrics(self, scored: Scored) -> dict:
        """Return the metrics of the classifier alone."""

    def against_baseline(self, scored: Scored) -> dict:
        """Return the baseline's metrics, the paired difference with its interval or p-value, and metrics by label."""

    def covered(self, scored: Scored, decision: Decision) -> np.ndarray:
        """Return whether the set of each row has all right labels, or the interval has the number, (rows,) bool.

        decision: With bounds, as `decision_with_sets` of sets.py returns it.
        """

    def set_metrics(self, scored: Scored, decision: Decision) -> dict:
        """Return the bounds of the sets, their coverage with its interval, and their size. decision: with bounds."""

    def tables(self, scored: Scored) -> dict[str, pd.DataFrame]:
        """Return the data of the plots: confusion, roc, precision_recall, reliability and coverage.

        A table without rows stands for a plot that the task does not have.
        """

    def draw(self, scored: Scored, path) -> None:
        """Draw the predictions against the labels."""

    def mistakes(self, table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
        """Return the wrong rows of data/predictions.parquet, the worst first, with labels in words.

        The index is that of the table. The columns are those of the table, and `row`, counted from 1.
        """

    def report_tables(self, evaluate: dict, data: dict, labels: list[str], learned: bool) -> dict:
        """Return values for the task's template of the report, NAME.md.j2 in this package: rows of tables, and words.

        Args:
            evaluate: metrics/evaluate.json.
            data: metrics/data.json.
            labels: The names of the labels.
            learned: Whether there is a baseline.
        """

    def draw_report(self, curves: dict[str, pd.DataFrame], predictions: pd.DataFrame, evaluate: dict) -> None:
        """Draw metrics/reliability.png and metrics/coverage.png.

        Args:
            curves: The tables reliability and coverage.
            predictions: data/predictions.parquet.
            evaluate: metrics/evaluate.json.
        """

    def sample_is_right(self, sample: dict) -> bool:
        """Return whether the answer to a sample text is the expected one. sample: as in metrics/samples.json."""

    def verdict(self, row: dict, names: list[str], threshold: float) -> str:
        """Return the answer to a text as a Markdown sentence.

        Args:
            row: The task's columns of predictions for the text.
            names: The names of the labels.
            threshold: The confidence below which the answer is "uncertain"; 0 for no threshold.
        """

    def row_quality(self, table: pd.DataFrame) -> pd.Series:
        """Return the quality of each row of data/predictions.parquet: whether the answer is right, or its error."""

    def paired_values(self, table: pd.DataFrame, names: list[str]) -> dict[str, pd.Series]:
        """Return metrics of each row, by the metric's key: bool for a share, float for an error.

        `make compare` and the gate of the export compare their means. The slices have the means of some rows.
        """

    def calibrated(self, scored: Scored) -> tuple[np.ndarray, np.ndarray] | None:
        """Return (probabilities, labels) whose calibration is measured; None if the task has no probabilities.

        Their shapes are (rows, labels) and (rows,), or, if a text can have several labels, (rows, names, 2) and
        (rows, names).
        """


MEASURES: dict[str, ModuleType] = {
    "single-label": single_label,
    "multi-label": multi_label,
    "regression": regression,
    "ordinal": ordinal,
}
