"""The baseline that a fine-tuned encoder has to beat: TF-IDF and the estimator of a task, a linear model."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from classifier.files.formats import array_of
from classifier.tasks.folds import out_of_fold
from classifier.tasks.task import Decision, Task

SHUFFLES = 499  # of the permutation test


class NothingLearnedError(Exception):
    """The reason why there is no baseline, in words for the report."""


@dataclass(frozen=True)
class Predictions:
    """Labels and their predictions, both (rows,) or (rows, names).

    Attributes:
        labels: The labels.
        predicted: The predictions.
        rows: The number of each row in its split, (rows,).
        columns: All columns of the task's predictions; empty if only `predicted` is needed.
    """

    labels: np.ndarray
    predicted: np.ndarray
    rows: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)


class Baseline:
    """TF-IDF and the estimator of a task.

    Args:
        task: The task.
        names: The names of the labels.
        tfidf: The vectorizer of scikit-learn.
        c: The inverse of the strength of the estimator's penalty.
    """

    def __init__(self, task: Task, names: list[str], tfidf, c: float):
        self.task, self.names, self.tfidf, self.c = task, names, tfidf, c
        self.decision: Decision = {}

    def fit(self, train: pd.DataFrame, terms_are: str) -> Predictions:
        """Fit on train, and return predictions for the train texts by estimators that were fitted on the other folds.

        The weights of the terms are computed on all of train: they depend on the texts of the held-out fold, but not on
        their labels. The decision, such as thresholds, is chosen on these predictions.

        Raises NothingLearnedError if all labels of train are equal or there is no term. terms_are: "words" or
        "characters".
        """
        labels = array_of(train["label"])
        if (labels == labels[0]).all():
            raise NothingLearnedError("the train texts that it reads have one label only (baseline.max_rows)")
        try:
            terms = self.tfidf.fit_transform(train["text"])
        except ValueError:  # scikit-learn's, about an empty vocabulary
            raise NothingLearnedError(
                f"no n-gram of {terms_are} occurs in {self.tfidf.min_df} train texts (baseline.min_count)"
            ) from None
        self.estimator = self.task.fit_baseline(terms, labels, self.c)
        del terms  # free the memory: transform makes a second matrix, which has the terms of a row in another order
        terms = self.tfidf.transform(train["text"])
        rows, scores = out_of_fold(self.task, terms, labels, len(self.names), self.c)
        self.decision = self.task.decide(scores, labels[rows])
        columns = self.task.prediction_columns(scores, self.names, self.decision)
        return Predictions(labels[rows], columns["predicted"], rows, columns)

    def predict(self, texts: pd.Series) -> np.ndarray:
        """Return the predictions for texts."""
        scores = self.task.baseline_scores(self.estimator, self.tfidf.transform(texts), len(self.names))
        return self.task.prediction_columns(scores, self.names, self.decision)["predicted"]


def check_above_chance(task: Task, tables: list[Predictions]) -> None:
    """Raise NothingLearnedError unless the predictions fit the labels significantly better than by chance.

    The test is a one-sided permutation test at p < 0.05. It counts how often the same predictions, in random order
    within each table, fit at least as well. It suits few rows and unbalanced labels. The predictions of `Baseline.fit`
    depend a little on all labels. With random labels, more than 5% of the data sets therefore pass: 48 of 650 sets of
    160 sentences.
    """
    labels = np.concatenate([rows.labels for rows in tables])
    reached = task.score(labels, np.concatenate([rows.predicted for rows in tables]))
    rng = np.random.default_rng(0)
    shuffles = (np.concatenate([rng.permutation(rows.predicted) for rows in tables]) for _ in range(SHUFFLES))
    as_good = sum(task.score(labels, predicted) >= reached for predicted in shuffles)
    if (1 + as_good) / (1 + SHUFFLES) >= 0.05:
        raise NothingLearnedError(
            f"its predictions for {len(labels):,} texts held out of its training do not fit their labels significantly "
            "better than by chance"
        )
