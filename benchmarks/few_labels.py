"""Compare settings for few labels: train with each, score validation reviews that no training uses.

    MACHINE=NAME make few-labels SEARCH=mpnet     # writes benchmarks/results/NAME/few_labels-mpnet.csv and .json

Each training is that of the stage `train`, on a draw of the default's train texts. As in the pipeline, a fifth of the
labels, at least 20 and at most 1,000, is held out to calibrate the classifier; unlike there, a held-out text is cut to
one window. The classifier then scores all validation texts, in the precision of the training.

The CSV file has one row for each setting and draw. Its column `digest` is a hash of the settings, the token ids, the
encoder and the code of the training, but not of the libraries and the hardware. A training whose digest is in the file
is not repeated. So a search that was stopped goes on where it was, and two settings that come to the same number of
epochs share one training.

The JSON file has the means over the draws. It also has the accuracy of TF-IDF with logistic regression, which is fitted
on the same draws and scored on the same validation texts.
"""

import os
from dataclasses import replace
from pathlib import Path
from subprocess import run
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import typer

from benchmarks.clone import in_clone
from benchmarks.few_labels_searches import SEARCHES
from benchmarks.overrides import params_with
from benchmarks.record import RESULTS, Record
from classifier.dataset.splitting import validation_size
from classifier.files.digests import digest_of
from classifier.files.formats import read_json, write_csv
from classifier.files.places import BASE, METRICS, RAW, TOKENS
from classifier.model.forward import logits
from classifier.model.loading import silence_libraries
from classifier.runner.params import arguments
from classifier.text.tokens import Tokens, open_tokens
from classifier.training.batches import Plan
from classifier.training.checkpoint import CODE
from classifier.training.training import Training
from stages.baseline import baseline
from stages.train import train

NO_VALIDATION = ["train.validations=1", "train.validation_rows=1"]  # the training validates once, on one row
WHAT = "Settings compared on few labels: means over the draws, on 1,000 validation reviews that no training uses."
TEMPORARY = Path("dvc_plots")  # for the trainings, unless MACHINE names a folder of benchmarks/results/
KEY = ("labels", "setting", "draw", "digest")
FACTS = ("steps", "accuracy", "log_loss")
COLUMNS = {"labels": ",d", "setting": "", "steps": ",d", "draws": "d", "accuracy": ".1%", "TF-IDF": ".1%"}
COLUMNS |= {"log loss": ".3f", "log loss minus the first row's": "+.3f", "its standard error": ".3f"}


def draw(tokens: Tokens, labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw some of the train rows, with equal shares of each label; return (rows to train on, rows held out)."""
    order = np.random.default_rng(seed).permutation(len(tokens))
    position = pd.Series(order).groupby(tokens.labels[order]).cumcount().to_numpy()  # within its label
    rows = order[np.argsort(position, kind="stable")][:labels]
    count = validation_size(labels, len(tokens.metadata["labels"]))
    return rows[count:], rows[:count]


def selected(tokens: Tokens, rows: np.ndarray) -> Tokens:
    """Return some rows of the train split."""
    ids, lengths, row_labels = tokens.ids.select(rows), tokens.lengths[rows], tokens.row_labels[rows]
    return replace(tokens, ids=ids, lengths=lengths, row_labels=row_labels)


def with_epochs(settings: dict[str, Any], texts: Tokens) -> dict[str, Any]:
    """Return the settings of a training with its number of epochs in place of the settings from which it follows."""
    recipe, model = settings["recipe"], settings["model"]
    number = Plan(texts, recipe, model.epochs).epochs
    return {
        **settings,
        "recipe": recipe.model_copy(update={"epochs": number, "enough_steps": 1}),
        "model": model.model_copy(update={"epochs": 1}),
    }


def measured(settings: dict[str, Any], texts: Tokens, held_out: Tokens) -> dict[str, float]:
    """Train on texts, calibrate on the held-out ones, and score the validation split."""
    training = Training(**settings, train_tokens=texts, validation_tokens=held_out)
    for _ in training.run():
        pass
    training.load_kept_weights()
    validation, task = open_tokens("validation"), training.task
    with torch.autocast(training.network.device.type, torch.bfloat16, enabled=training.bf16):
        scores = [logits(training.network, part) for part in (held_out, validation)]
    temperature, bias = task.fit_calibration(scores[0], held_out.labels)
    loss, accuracy = task.quality(scores[1] / temperature + bias, validation.labels)
    return dict(zip(FACTS, (training.plan.steps, accuracy, loss), strict=True))


def tf_idf_accuracy(draws: list[np.ndarray], raw: pa.Table) -> float:
    """Return the mean validation accuracy of the stage `baseline`, fitted on each draw.

    The current folder is a clone: each draw replaces data/raw/train.parquet.

    Args:
        draws: The rows of each draw.
        raw: All train texts.
    """
    accuracies = []
    for rows in draws:
        (RAW / "train.parquet").unlink()  # it may be a link into DVC's cache
        pq.write_table(raw.take(rows), RAW / "train.parquet")
        baseline(**arguments(baseline, params_with([])))
        accuracies.append(read_json(METRICS / "baseline.json")["validation_accuracy"])
    return float(np.mean(accuracies))


def means(rows: pd.DataFrame, tf_idf: dict[int, float]) -> pd.DataFrame:
    """Return the means over the draws of each setting, and of its log loss minus the first setting's in each draw.

    tf_idf: The accuracy of TF-IDF for each number of labels.
    """
    table = []
    for labels, part in rows.groupby("labels", sort=False):
        losses = part.pivot(index="draw", columns="setting", values="log_loss")
        for setting, of_setting in part.groupby("setting", sort=False):
            difference = losses[setting] - losses.iloc[:, losses.columns.get_loc(part["setting"].iloc[0])]
            table.append(
                {
                    "labels": labels,
                    "setting": setting,
                    "steps": of_setting["steps"].iloc[0],
                    "draws": len(of_setting),
                    "accuracy": of_setting["accuracy"].mean(),
                    "TF-IDF": tf_idf[labels],
                    "log loss": of_setting["log_loss"].mean(),
                    "log loss minus the first row's": difference.mean(),
                    "its standard error": difference.sem(),
                }
            )
    return pd.DataFrame(table)


def main(search: Annotated[str, typer.Argument(help=f"One of {', '.join(SEARCHES)}.")]) -> None:
    """Measure the settings whose rows are missing or out of date; write the rows and print their means."""
    if search not in SEARCHES:
        raise SystemExit(f"SEARCH={search}: unknown; choose one of {', '.join(SEARCHES)}")
    model, draws, settings = SEARCHES[search]
    plan = [(labels, number, name) for labels in settings for number in range(draws) for name in settings[labels]]
    silence_libraries()
    record = Record("few_labels", f"{WHAT} The encoder is {model}.", f"few_labels-{search}")
    machine = os.environ.get("MACHINE")
    path = ((RESULTS / machine if machine else TEMPORARY) / f"{record.file}.csv").resolve()
    known = pd.read_csv(path, dtype={"digest": str}).to_dict("records") if path.is_file() else []
    rows = {tuple(row[name] for name in KEY): row for row in known}
    facts = {row["digest"]: {name: row[name] for name in FACTS} for row in known}
    needed = []
    with in_clone(f"model={model}", *NO_VALIDATION):
        run(["dvc", "repro", "--quiet", "tokenize"], check=True)
        tokens, files = open_tokens("train"), digest_of({}, [BASE, TOKENS, *CODE])
        for labels, number, name in plan:
            texts, held_out = (selected(tokens, part) for part in draw(tokens, labels, number))
            chosen = arguments(train, params_with([*settings[labels][name], f"train.seed={13 + number}"]))
            chosen = with_epochs(chosen, texts)
            digest = digest_of({"files": files, "labels": labels, **chosen}, [])[:12]
            needed.append((labels, name, number, digest))
            if is_new := digest not in facts:
                facts[digest] = measured(chosen, texts, held_out)
            rows[needed[-1]] = dict(zip(KEY, needed[-1], strict=True)) | facts[digest]
            if is_new:
                write_csv(path, pd.DataFrame(rows.values()))
                print(rows[needed[-1]], flush=True)
        raw, drawn = pq.read_table(RAW / "train.parquet"), range(draws)
        tf_idf = {labels: tf_idf_accuracy([draw(tokens, labels, n)[0] for n in drawn], raw) for labels in settings}
    result = pd.DataFrame([rows[key] for key in needed])
    write_csv(path, result)
    record.write(means(result, tf_idf), COLUMNS)


if __name__ == "__main__":
    typer.run(main)
