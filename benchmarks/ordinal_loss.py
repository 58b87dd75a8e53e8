"""Compare the loss of ordinal ratings with plain cross-entropy: the same texts, batches and calibration.

    make ordinal-loss       # about 10 minutes on two cores

The ratings are those that IMDb reviews give in words (see benchmarks/tasks.py). Each loss trains with several seeds.
The calibration is fitted on the validation split, and the test split is scored.
"""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.metrics import cohen_kappa_score

from benchmarks.clone import in_clone
from benchmarks.record import Record
from benchmarks.tasks import select_dataset
from classifier.files.places import SPLITS
from classifier.model.forward import logits
from classifier.model.loading import silence_libraries
from classifier.runner.command import no_arguments
from classifier.runner.params import arguments, load_params
from classifier.text.tokens import Tokens, open_tokens
from classifier.training.training import Training
from stages.train import train

WHAT = "Ordinal ratings from 1 to 10 by the loss of the training, on the same test texts; means and deviations."
LOSSES = {"soft labels (ordinal)": "ordinal", "cross-entropy (single-label)": "single-label"}
METRICS = ("quadratic kappa", "MAE of ratings", "MAE of expected values", "accuracy", "log loss")
SEEDS = (13, 1, 2, 3, 4)


def for_task(tokens: Tokens, task: str) -> Tokens:
    """Return the same rows for another task."""
    return replace(tokens, metadata=tokens.metadata | {"task": task})


def measured(settings: dict, task: str) -> dict[str, float]:
    """Train with the loss of a task; return the metrics of the test split."""
    splits = {name: for_task(open_tokens(name), task) for name in SPLITS}
    training = Training(**settings, train_tokens=splits["train"], validation_tokens=splits["validation"])
    for _ in training.run():
        pass
    training.load_kept_weights()
    validation, test = (logits(training.network, splits[name]) for name in ("validation", "test"))
    temperature, bias = training.task.fit_calibration(validation, splits["validation"].labels)
    return metrics_of(softmax(test / temperature + bias, axis=1), splits["test"].labels)


def metrics_of(probabilities: np.ndarray, ratings: np.ndarray) -> dict[str, float]:
    """Return the metrics of ratings, counted from 0, and their probabilities, (rows, ratings)."""
    predicted = probabilities.argmax(axis=1)
    expected = probabilities @ np.arange(probabilities.shape[1])
    values = (
        cohen_kappa_score(ratings, predicted, weights="quadratic"),
        np.abs(predicted - ratings).mean(),
        np.abs(expected - ratings).mean(),
        (predicted == ratings).mean(),
        -np.log(probabilities[np.arange(len(ratings)), ratings]).mean(),
    )
    return dict(zip(METRICS, map(float, values), strict=True))


def main() -> None:
    """Train with each loss and each seed; print and record the means and deviations of the metrics."""
    no_arguments("python -m benchmarks.ordinal_loss", "make ordinal-loss")
    silence_libraries()
    record, rows = Record("ordinal_loss", WHAT), []
    with in_clone():
        select_dataset("ratings")
        subprocess.run(["dvc", "repro", "--quiet", "tokenize"], check=True)
        settings = arguments(train, load_params(Path("params.yaml")))
        for seed in SEEDS:
            settings["recipe"] = settings["recipe"].model_copy(update={"seed": seed})
            for name, task in LOSSES.items():
                rows.append({"loss": name, "seed": seed} | measured(settings, task))
                print(rows[-1], flush=True)
    by_loss = pd.DataFrame(rows).groupby("loss", sort=False)[list(METRICS)]
    table = pd.concat([by_loss.mean(), by_loss.std().add_suffix(", sd")], axis=1)
    columns = [column for metric in METRICS for column in (metric, f"{metric}, sd")]
    table = table[columns].reset_index().assign(seeds=len(SEEDS))
    record.write(table, {"loss": "", "seeds": "d"} | dict.fromkeys(columns, ".3f"))


if __name__ == "__main__":
    main()
