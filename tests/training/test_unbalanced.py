"""A data set with nine texts in ten of one label: label weights change what is learned, and the calibration gives
the probabilities of the unweighted texts.
"""

import random

import pandas as pd
import pytest
from commands import read, run_stages
from local_data import write_csv
from scipy.special import expit, logit
from sklearn.metrics import log_loss
from tiny import NEGATIVE, NEUTRAL, POSITIVE, edit_params

from classifier.files.places import VALIDATION

SHARE = 0.1


def unbalanced(count: int) -> list[tuple[str, str]]:
    """Return texts with their labels. Three words of a text hint at its label; each is wrong one time in four."""
    rng, rows = random.Random(0), {}
    while len(rows) < count:
        positive = rng.random() < SHARE
        words = rng.choices(NEUTRAL, k=rng.randint(5, 12))
        words += [rng.choice(POSITIVE if positive == (rng.random() < 0.75) else NEGATIVE) for _ in range(3)]
        rng.shuffle(words)
        rows[" ".join(words)] = ("negative", "positive")[positive]
    return list(rows.items())


def mean_probability_before_calibration() -> float:
    """Return the mean probability of the rare label on the validation split, before the calibration."""
    table, training = pd.read_parquet(VALIDATION), read("metrics/training.json")
    bias = training["bias"]["positive"] - training["bias"]["negative"]
    return float(expit((logit(table["probability_positive"]) - bias) * training["temperature"]).mean())


def test_probabilities_are_right_after_a_weighted_training(finished):
    write_csv("unbalanced.csv", unbalanced(1900))
    entry = {"source": {"train": "unbalanced.csv"}, "labels": ["negative", "positive"], "train": 600}
    edit_params(
        finished,
        **{
            "datasets.unbalanced": entry | {"validation": 500, "test": 800},
            "dataset": "unbalanced",
            "train.class_weights": "balanced",
            "train.epochs": 3,
            "evaluate.explained": 0,
        },
    )
    run_stages("data", "tokenize", "baseline", "train", "evaluate")
    result = read("metrics/evaluate.json")
    for name, label in result["labels"].items():
        assert label["mean_probability"] == pytest.approx(label["support"] / 800, abs=0.03), name
    assert result["ece"] < 0.05
    assert result["roc_auc"] > 0.7
    validation, weighted = pd.read_parquet(VALIDATION), mean_probability_before_calibration()
    loss = log_loss(validation["label"], validation["probability_positive"])
    assert read("metrics/training.json")["validation_loss"] == pytest.approx(loss, abs=1e-4)
    assert validation["probability_positive"].mean() == pytest.approx((validation["label"] == 1).mean(), abs=0.001)
    # Without the weights the same training predicts the rare label less often.
    edit_params(finished, **{"train.class_weights": None})
    run_stages("train")
    assert mean_probability_before_calibration() < weighted - 0.02
