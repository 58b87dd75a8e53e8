"""A number for each text. The network learns it by squared error, and answers with a value and its 90% interval.

A value is the number; labels are (rows,) float64. The network learns the standardised number. The calibration, which
the last layer contains, restores the scale. task.py describes the functions.
"""

import math

import numpy as np
import pandas as pd

from classifier.errors import InputError
from classifier.params.datasets import Dataset
from classifier.tasks.folds import equal_folds
from classifier.tasks.labels import KNOWN, UNKNOWN, merge_rare, spelled

PROBLEM_TYPE = "regression"
NEEDS_BIAS = True
SCORE = "r2"
ANSWER = {"value": "float64", "low": "float64", "high": "float64"}
SET = {}
RIDGE = 5.0  # alpha of the ridge regression at c = 1
COVERAGE = 0.9  # share of the texts whose number lies in the interval
PARTS = 10  # strata of a sample, of equal size
LARGEST = 1e30  # absolute value of a label; the network computes in float32, whose largest number is 3e38
DOUBTFUL = 0.05  # share of the rows whose residuals count as doubtful

folds = equal_folds


def label_cells(table: pd.DataFrame, dataset: Dataset) -> pd.Series:
    return spelled(table[dataset.label_columns[0]])


def read_labels(spellings: list[str], dataset: Dataset, are_numbers: bool = False) -> tuple[np.ndarray, np.ndarray]:
    values = np.array([number_in(text) for text in spellings])
    return values, np.where(np.abs(values) <= LARGEST, KNOWN, UNKNOWN)


def number_in(text: str) -> float:
    """Parse a number; return NaN for any other text. Unlike in Python, _ and digits beyond ASCII are refused."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def labels_fix(spellings: list[str], dataset: Dataset) -> str:
    commas = any(math.isfinite(number_in(text.replace(",", "."))) for text in spellings if "," in text)
    large = any(LARGEST < abs(number_in(text)) < math.inf for text in spellings)
    return "write a number" + ", with a point in place of the comma" * commas + f" up to {LARGEST:g}" * large


def needed_labels(values: pd.Series) -> None:
    return None


def strata(values: pd.Series, smallest: int) -> np.ndarray:
    """Return the decile of each value."""
    return merge_rare(pd.qcut(values, PARTS, labels=False, duplicates="drop").fillna(0).to_numpy(), smallest)


def label_array(values: pd.Series, names: list[str]) -> np.ndarray:
    return values.to_numpy(dtype=np.float64)


def describe(labels: np.ndarray, names: list[str]) -> dict[str, float]:
    parts = {"mean": labels.mean(), "sd": labels.std(), "lowest": labels.min(), "highest": labels.max()}
    return {name: float(f"{value:.6g}") for name, value in parts.items()}


def loss_settings(class_weights: str | dict[str, float] | None, labels: np.ndarray, names: list[str]) -> np.ndarray:
    """Return the mean and the standard deviation of the train labels, which standardise the labels."""
    if class_weights:
        raise InputError("params.yaml: train.class_weights: a number has no labels to weigh; set it to null")
    if not labels.std():
        raise InputError(f"all {len(labels):,} train texts have the number {labels[0]:g}; nothing can be learned")
    return np.array([labels.mean(), labels.std()])


def targets(labels: np.ndarray, settings: np.ndarray) -> np.ndarray:
    """Return the standardised labels, (rows,) float32."""
    return ((labels - settings[0]) / settings[1]).astype(np.float32)


def loss(logits, targets, settings):
    return ((logits[:, 0] - targets) ** 2).sum()


def quality(logits: np.ndarray, labels: np.ndarray, settings: np.ndarray | None = None) -> tuple[float, float]:
    """Return (mean squared error, R²). settings: as in `loss_settings`; None if the logits are not standardised."""
    mean, deviation = (0.0, 1.0) if settings is None else map(float, settings)  # float32 cannot square 1e30
    errors = ((logits[:, 0] - (labels - mean) / deviation) ** 2).mean()
    variance = labels.var() / deviation**2
    return float(errors), float(1 - errors / variance) if variance else 0.0


def fit_calibration(logits: np.ndarray, labels: np.ndarray, with_bias: bool = True) -> tuple[float, np.ndarray]:
    """Fit a temperature and a bias by least squares, so that logits / temperature + bias is the number.

    The slope, 1 / temperature, is at least 1e-6. So logits without information give nearly the mean. `with_bias` is
    ignored: the head of a regression always has a bias (NEEDS_BIAS).

    Returns:
        (temperature, bias), the bias as (1,).
    """
    column, labels = logits[:, 0].astype(np.float64), labels.astype(np.float64)
    centred = column - column.mean()
    variance = centred @ centred
    slope = max(centred @ labels / variance if variance else 0.0, 1e-6)
    return 1 / slope, np.array([labels.mean() - slope * column.mean()])


def decide(scores: np.ndarray, labels: np.ndarray) -> dict:
    """Return {"margin": half the width of the interval}. The margin is None if the rows are too few.

    This is split-conformal prediction with the absolute residual (Lei et al. 2018, "Distribution-Free Predictive
    Inference for Regression"): on average, at least a share COVERAGE of new texts like these have their number in the
    interval. The residual of a row comes from a calibration that was fitted on other rows.
    """
    residuals = np.sort(np.abs(labels - scores[:, 0]))
    place = math.ceil((len(residuals) + 1) * COVERAGE)
    return {"margin": float(residuals[place - 1]) if place <= len(residuals) else None}


def prediction_columns(scores: np.ndarray, names: list[str], decision: dict) -> dict[str, np.ndarray]:
    """Return the columns of a table of predictions: predicted, and its interval low and high; (rows,) float64.

    Without a margin, the interval is NaN.
    """
    predicted = scores[:, 0].astype(np.float64)
    margin = math.nan if decision["margin"] is None else decision["margin"]
    return {"predicted": predicted, "low": predicted - margin, "high": predicted + margin}


def unseen_columns(unseen: dict[str, np.ndarray], labels: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    return {"unseen_predicted": unseen["predicted"]}


def set_scores(rows: pd.DataFrame) -> list[np.ndarray]:
    """Return the negative absolute residuals."""
    return [-np.abs(rows["label"] - rows["unseen_predicted"]).to_numpy()]


def with_bounds(decision: dict, bounds: np.ndarray) -> dict:
    """Return {"margin": half the width of the interval}. The interval is the set."""
    return {"margin": float(-bounds[0])}


def answers(scores: np.ndarray, names: list[str], decision: dict, min_confidence: float) -> dict[str, list]:
    if min_confidence:
        raise InputError("a number has an interval in place of a confidence; leave the threshold out")
    columns = prediction_columns(scores, names, decision)
    parts = dict(zip(ANSWER, (columns[name] for name in ("predicted", "low", "high")), strict=True))
    return {name: [None if math.isnan(v) else v for v in values.tolist()] for name, values in parts.items()}


def expected_answer(label: object, names: list[str]) -> float | None:
    value = math.nan if isinstance(label, list) else number_in(str(label))
    return value if math.isfinite(value) else None


def logit_to_explain(scores, number: int):
    return scores[:, 0]


def fit_baseline(terms, labels: np.ndarray, c: float):
    from sklearn.linear_model import Ridge

    return Ridge(alpha=RIDGE / c, solver="lsqr").fit(terms, labels)


def baseline_scores(estimator, terms, count: int) -> np.ndarray:
    return estimator.predict(terms)[:, None]


def guess(labels: np.ndarray) -> np.ndarray:
    return labels.mean()


def score(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Return R²: 1 minus the squared error divided by that of the labels' mean."""
    return 1 - float(((labels - predicted) ** 2).mean() / (labels.var() or 1))


def doubtful(labels: np.ndarray, columns: dict[str, np.ndarray], names: list[str]) -> pd.DataFrame:
    """Return the rows with the largest residuals. probability: the share of rows with a residual at least as large."""
    residuals = np.abs(labels - columns["predicted"])
    share = (len(labels) + 1 - pd.Series(residuals).rank(method="min").to_numpy()) / len(labels)
    rows = np.flatnonzero(share <= DOUBTFUL)
    predicted = [float(f"{value:.6g}") for value in columns["predicted"][rows]]
    return pd.DataFrame({"row": rows, "label": labels[rows], "predicted": predicted, "probability": share[rows]})
