"""How long until a share of held-out texts is right: the default, beside the recipe that most write (peers.py).

    make time-to-accuracy          # after `dvc repro`; hours

Both train on the same raw texts with the same encoder, and are asked every so many texts how they do on reviews that no
split holds, of which each reads one window, cut as those that it trains on; the clock stands still meanwhile. The
recipe, with one learning rate and then another, is stopped once it has taken so many times as long as the default, or
as long as with the rate before. One seed each, and of 2,000 texts a standard error of 0.7 points. Where train.precision
lets the default train in bf16, the recipe does, too, and is asked in it, the default in fp32.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from transformers import AutoTokenizer, TrainerCallback

from benchmarks import peers
from benchmarks.record import Record, matrix_rate
from benchmarks.windows import unused
from classifier.distributed.devices import device, trains_in_bf16
from classifier.files.formats import read_table
from classifier.files.places import BASE, RAW
from classifier.model.forward import logits, quiet
from classifier.runner.params import arguments, load_params
from classifier.text.encoding import encode
from classifier.text.tokens import open_tokens
from classifier.training.training import Training
from stages.train import train

EPOCHS, RATES = 3, (1e-3, 2e-4)  # of the recipe; the faster one first
AS_TRAINER_READS = {"truncation": "head", "strip_markup": False}
FAR = 0.04  # from the target: three standard errors of a quarter of 2,000 texts


@dataclass
class Run:
    """One training that is watched from now on, with a row of `table` each time that it is asked."""

    name: str
    every: int  # texts between two questions
    target: float  # accuracy
    limit: float  # seconds
    accuracy: Callable  # of a model
    table: list[list] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    asked: float = 0.0  # seconds, which do not count

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started - self.asked

    def ends(self, model, step: int, batch: int, last: bool = False) -> bool:
        """Whether to stop after this step; asks, if it is time to, too late, or the last step."""
        over = last or self.seconds > self.limit
        if over or step * batch // self.every > (step - 1) * batch // self.every:
            self.table.append([self.name, step * batch, round(self.seconds, 1)])
            asked_at = time.perf_counter()
            self.table[-1] += [round(matrix_rate() / 1e9), self.accuracy(model)]
            self.asked += time.perf_counter() - asked_at
            print(*self.table[-1], flush=True)
        return over or self.reached

    @property
    def reached(self) -> bool:
        """Whether the last answer was the target or better."""
        return bool(self.table) and self.table[-1][-1] >= self.target


def ours(run: Run, texts: list[str]) -> None:
    """The default, from its raw texts: their tokens are made for the clock alone, and read as tokenize left them."""
    tokens, held_out = open_tokens("train"), open_tokens("validation")
    encode(texts, AutoTokenizer.from_pretrained(BASE), **tokens.metadata["tokenize"] | {"windows": 1})
    training = Training(**arguments(train, load_params()), train_tokens=tokens, validation_tokens=held_out)
    for step in range(1, training.plan.steps + 1):
        training.take_step(step)
        if run.ends(training.network, step, training.recipe.batch_size, step == training.plan.steps):
            return


def theirs(run: Run, texts: list[str], labels: list[int], classes: int, length: int, frugal: bool, **settings) -> None:
    """The recipe, from the same texts. settings: of peers.trainer."""

    class Watch(TrainerCallback):
        def on_step_end(self, args, state, control, model, **kwargs):
            if run.ends(model, state.global_step, peers.BATCH, state.global_step == state.max_steps):
                control.should_training_stop = True
            model.train()

    with tempfile.TemporaryDirectory() as folder:
        settings |= {"epochs": EPOCHS, "callbacks": [Watch()]}
        peers.trainer(BASE, texts, labels, classes, length, frugal, folder, **settings)()


def accuracy_on(texts: pd.DataFrame, cut: dict, target: float) -> Callable:
    """Of a model, on the first window of each text, cut that way; of a quarter of the texts, if they fall far short of
    the target.
    """
    windows = encode(texts["text"].tolist(), AutoTokenizer.from_pretrained(BASE), **cut | {"windows": 1})
    ids, labels, quarter = [np.array(window) for (window,) in windows], texts["label"].to_numpy(), len(texts) // 4

    def right(model, part: slice) -> np.ndarray:
        return logits(model, ids[part]).argmax(axis=1) == labels[part]

    def accuracy(model) -> float:
        answers = right(model, slice(quarter))
        if answers.mean() >= target - FAR:
            answers = np.append(answers, right(model, slice(quarter, None)))
        return float(answers.mean())

    return accuracy


def main(
    target: Annotated[float, typer.Option(min=0, max=1, help="Share of the held-out texts.")] = 0.89,
    every: Annotated[int, typer.Option(min=1, help="Texts trained on between two questions.")] = 500,
    held_out: Annotated[int, typer.Option(min=4, help="Texts to ask about.")] = 2000,
    limit: Annotated[float, typer.Option(min=0, help="Times the default's time, for the recipe.")] = 5,
    frugal: Annotated[bool, typer.Option(help="The recipe padded to the batch alone, and without dropout.")] = False,
) -> None:
    """Print the texts trained on, the seconds, the machine's matrix rate in GFLOP/s and the accuracy at each question,
    and in the end how far each came.
    """
    quiet()
    record = Record("time_to_accuracy")
    rows, metadata = read_table(RAW / "train.parquet")
    texts, labels, classes = rows["text"].tolist(), rows["label"].tolist(), len(metadata["labels"])
    asked, cut, recipe = unused(held_out), open_tokens("train").metadata["tokenize"], load_params().train
    bf16 = trains_in_bf16(recipe.precision, device())
    runs = [Run("default", every, target, float("inf"), accuracy_on(asked, cut, target))]
    ours(runs[0], texts)
    longest = limit * runs[0].table[-1][2]
    for rate in RATES:
        torch.manual_seed(recipe.seed)
        run = Run(f"recipe {rate:g}", every, target, longest, accuracy_on(asked, cut | AS_TRAINER_READS, target))
        theirs(run, texts, labels, classes, cut["max_length"], frugal, rate=rate, bf16=bf16)
        longest = run.table[-1][2] if run.reached else longest
        runs.append(run)
    columns = ["run", "texts", "seconds", "GFLOP/s", "accuracy"]
    table = pd.DataFrame([run.table[-1] for run in runs], columns=columns)
    table["GFLOP/s"] = [np.median([row[3] for row in run.table]) for run in runs]
    table["reached"] = [("no", "yes")[run.reached] for run in runs]
    table["times the default's"] = table["seconds"] / table["seconds"][0]
    record.write(table, ("", ".0f", ".0f", ".0f", ".3f", "", ".1f"))


if __name__ == "__main__":
    typer.run(main)
