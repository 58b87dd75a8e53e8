"""Measure the time until a share of held-out texts is right: the default beside the usual recipe (peers.py).

    make time-to-accuracy          # after `dvc repro`; hours

Both train the same encoder on the same raw texts. At regular intervals both are evaluated on reviews that stand in no
split; the clock stops meanwhile. An evaluation reads one window of a review, cut as in the training. The recipe runs
with one learning rate and then with another. It is stopped after a multiple of the default's time, or after the time
that the first learning rate needed. There is one seed each, and on 2,000 texts the standard error is 0.7 points.

If train.precision lets the default train in bf16, the recipe trains and is evaluated in bf16 too. The default is always
evaluated in fp32.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from transformers import AutoTokenizer, TrainerCallback

from benchmarks import peers
from benchmarks.default_training import default_training
from benchmarks.record import Record, matrix_rate
from benchmarks.windows import unused_texts
from classifier.distributed.devices import device, uses_bf16
from classifier.files.formats import read_table
from classifier.files.places import BASE, RAW
from classifier.model.forward import logits
from classifier.model.loading import silence_libraries
from classifier.runner.params import load_params
from classifier.text.encoding import encode
from classifier.text.tokens import open_tokens

EPOCHS, RATES = 3, (1e-3, 2e-4)  # of the recipe; the rate that learns faster comes first
TRAINER_CUT = {"truncation": "head", "strip_markup": False}  # how Trainer reads a text
FAR = 0.04  # distance from the target: three standard errors of a quarter of 2,000 texts
COLUMNS = {"run": "", "texts": ",.0f", "seconds": ",.0f", "GFLOP/s": ",.0f", "accuracy": ".1%"}  # and their formats


@dataclass
class Watch:
    """The clock and the evaluations of one training. The clock starts when the Watch is created.

    Args:
        name: name of the training.
        every: texts trained on between two evaluations.
        target: accuracy at which the training stops.
        limit: seconds after which the training stops.
        accuracy: function from a model to its accuracy.
        table: a row of COLUMNS for each evaluation.
        started: time of the clock's start.
        paused: seconds of the evaluations, which do not count.
    """

    name: str
    every: int
    target: float
    limit: float
    accuracy: Callable
    table: list[list] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    paused: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of training so far."""
        return time.perf_counter() - self.started - self.paused

    @property
    def reached(self) -> bool:
        """Whether the last evaluation reached the target."""
        return bool(self.table) and self.table[-1][-1] >= self.target

    def should_stop(self, model, step: int, batch: int, last: bool = False) -> bool:
        """Evaluate the model after a step if an evaluation is due; return whether to stop the training.

        An evaluation is due after every `every` texts, after the time limit and after the last step.
        """
        over = last or self.seconds > self.limit
        if over or step * batch // self.every > (step - 1) * batch // self.every:
            row = [self.name, step * batch, round(self.seconds, 1)]
            paused_at = time.perf_counter()
            self.table.append([*row, round(matrix_rate() / 1e9), self.accuracy(model)])
            self.paused += time.perf_counter() - paused_at
            print(*self.table[-1], flush=True)
        return over or self.reached


def train_default(watch: Watch, texts: list[str]) -> None:
    """Train the default on raw texts.

    The texts are tokenized for the clock alone; the training reads the tokens that the stage `tokenize` wrote.
    """
    encode(texts, AutoTokenizer.from_pretrained(BASE), **open_tokens("train").metadata["tokenize"] | {"windows": 1})
    training = default_training()
    for step in range(1, training.plan.steps + 1):
        training.take_step(step)
        if watch.should_stop(training.network, step, training.recipe.batch_size, step == training.plan.steps):
            return


def train_recipe(watch: Watch, texts: list[str], labels: list[int], settings: peers.TrainerSettings) -> None:
    """Train the recipe on the same raw texts."""

    class StopWhenDone(TrainerCallback):
        def on_step_end(self, args, state, control, model, **kwargs):
            if watch.should_stop(model, state.global_step, peers.BATCH, state.global_step == state.max_steps):
                control.should_training_stop = True
            model.train()

    with tempfile.TemporaryDirectory() as folder:
        peers.trainer(replace(settings, callbacks=[StopWhenDone()]), texts, labels, folder)()


def accuracy_on(texts: pd.DataFrame, cut: dict, target: float) -> Callable:
    """Return a function that measures a model's accuracy on the first window of each text.

    A model that is far from the target is measured on a quarter of the texts only.

    Args:
        texts: a table with the columns text and label.
        cut: settings of the stage `tokenize`.
        target: accuracy.
    """
    windows = encode(texts["text"].tolist(), AutoTokenizer.from_pretrained(BASE), **cut | {"windows": 1})
    ids, labels, quarter = [np.array(window) for (window,) in windows], texts["label"].to_numpy(), len(texts) // 4

    def right(model, rows: slice) -> np.ndarray:
        return logits(model, ids[rows]).argmax(axis=1) == labels[rows]

    def accuracy(model) -> float:
        is_right = right(model, slice(quarter))
        if is_right.mean() >= target - FAR:
            is_right = np.append(is_right, right(model, slice(quarter, None)))
        return float(is_right.mean())

    return accuracy


def main(
    target: Annotated[float, typer.Option(min=0, max=1, help="Share of the held-out texts that must be right.")] = 0.89,
    every: Annotated[int, typer.Option(min=1, help="Texts trained on between two evaluations.")] = 500,
    held_out: Annotated[int, typer.Option(min=4, help="Texts of an evaluation.")] = 2000,
    limit: Annotated[float, typer.Option(min=0, help="Time limit of the recipe, in multiples of the default's.")] = 5,
    frugal: Annotated[bool, typer.Option(help="Pad the recipe's texts to the batch only, without dropout.")] = False,
) -> None:
    """Compare the time that the default and the usual recipe need to reach an accuracy.

    Prints a line for each evaluation: texts trained on, seconds, the machine's matrix rate in GFLOP/s, and accuracy.
    The table at the end has how far each training came.
    """
    silence_libraries()
    how = "padded to the batch, without dropout" if frugal else "padded to the full length, with dropout"
    name = f"the pipeline with {load_params().model}"
    what = f"Time from raw texts to {target:.0%} accuracy on {held_out:,} texts of no split"
    record = Record("time_to_accuracy", f"{what}: {name} beside Trainer, {how}; one seed.")
    rows, metadata = read_table(RAW / "train.parquet")
    texts, labels = rows["text"].tolist(), rows["label"].tolist()
    unused, cut, recipe = unused_texts(held_out), open_tokens("train").metadata["tokenize"], load_params().train
    bf16 = uses_bf16(recipe.precision, device())
    settings = peers.TrainerSettings(BASE, len(metadata["labels"]), cut["max_length"], frugal, EPOCHS, bf16=bf16)
    watches = [Watch(name, every, target, float("inf"), accuracy_on(unused, cut, target))]
    train_default(watches[0], texts)
    longest = limit * watches[0].table[-1][2]
    for rate in RATES:
        torch.manual_seed(recipe.seed)
        accuracy = accuracy_on(unused, cut | TRAINER_CUT, target)
        watch = Watch(f"Trainer, learning rate {rate:g}", every, target, longest, accuracy)
        train_recipe(watch, texts, labels, replace(settings, rate=rate))
        longest = watch.table[-1][2] if watch.reached else longest
        watches.append(watch)
    table = pd.DataFrame([watch.table[-1] for watch in watches], columns=[*COLUMNS])
    table["GFLOP/s"] = [np.median([row[3] for row in watch.table]) for watch in watches]
    table["reached"] = ["yes" if watch.reached else "no" for watch in watches]
    table["times the default's"] = table["seconds"] / table["seconds"][0]
    record.write(table, COLUMNS | {"reached": "", "times the default's": ".1f"})


if __name__ == "__main__":
    typer.run(main)
