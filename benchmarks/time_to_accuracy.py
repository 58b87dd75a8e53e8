"""How long until a share of held-out texts is right: the default, beside the recipe that most write (peers.py).

    make time-to-accuracy          # after `dvc repro`; hours

Both train on the same raw texts with the same encoder, and are asked every so many texts how they do on reviews that no
split holds; the clock stands still meanwhile. The recipe, with one learning rate and then another, is stopped once it
has taken so many times as long as the default. What is measured is kept in --out, and not measured again.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from transformers import AutoTokenizer, TrainerCallback

from benchmarks import peers
from benchmarks.windows import unused
from stages.classifier.forward import logits, quiet
from stages.classifier.tokens import open_tokens
from stages.classifier.training import Training
from stages.files import BASE, RAW, read_table
from stages.settings.params import arguments, load_params
from stages.text import encode
from stages.train import train

EPOCHS, RATES = 3, (2e-4, 1e-3)  # of the recipe
AS_TRAINER_READS = {"truncation": "head", "windows": 1, "strip_markup": False}


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

    def ends(self, model, step: int, batch: int) -> bool:
        """Whether to stop after this step; asks, if it is time to."""
        if step * batch // self.every > (step - 1) * batch // self.every:
            self.table.append([self.name, step * batch, round(self.seconds, 1)])
            asked_at = time.perf_counter()
            self.table[-1].append(self.accuracy(model))
            self.asked += time.perf_counter() - asked_at
            print(*self.table[-1], flush=True)
        return self.seconds > self.limit or (bool(self.table) and self.table[-1][-1] >= self.target)


def ours(run: Run, texts: list[str]) -> None:
    """The default, from its raw texts: their tokens are made for the clock alone, and read as tokenize left them."""
    tokens, held_out = open_tokens("train"), open_tokens("validation")
    encode(texts, AutoTokenizer.from_pretrained(BASE), **tokens.metadata["tokenize"] | {"windows": 1})
    training = Training(**arguments(train, load_params()), tokens=tokens, held_out=held_out)
    for step in range(1, training.steps + 1):
        training.take_step(step)
        if run.ends(training.network, step, training.recipe.batch_size):
            return


def theirs(run: Run, texts: list[str], labels: list[int], classes: int, length: int, rate: float) -> None:
    """The recipe, from the same texts."""

    class Watch(TrainerCallback):
        def on_step_end(self, args, state, control, model, **kwargs):
            if run.ends(model, state.global_step, peers.BATCH):
                control.should_training_stop = True
            model.train()

    with tempfile.TemporaryDirectory() as folder:
        settings = {"epochs": EPOCHS, "rate": rate, "callbacks": [Watch()]}
        peers.trainer(BASE, texts, labels, classes, length, False, folder, **settings)()


def main(
    target: Annotated[float, typer.Option(min=0, max=1, help="Share of the held-out texts.")] = 0.89,
    every: Annotated[int, typer.Option(min=1, help="Texts trained on between two questions.")] = 500,
    held_out: Annotated[int, typer.Option(min=1, help="Texts to ask about.")] = 2000,
    limit: Annotated[float, typer.Option(min=1, help="Times the default's time, for the recipe.")] = 5,
    out: Annotated[Path, typer.Option(help="What has been measured.")] = Path("benchmarks/time_to_accuracy.csv"),
) -> None:
    """Print when each reached the target, and write its accuracy over time."""
    quiet()
    rows, metadata = read_table(RAW / "train.parquet")
    texts, labels, classes = rows["text"].tolist(), rows["label"].tolist(), len(metadata["labels"])
    settings = open_tokens("train").metadata["tokenize"]
    asked, tokenizer = unused(held_out), AutoTokenizer.from_pretrained(BASE)

    def accuracy(cut: dict) -> Callable:
        windows = encode(asked["text"].tolist(), tokenizer, **cut)
        parts = [np.array(ids) for of_text in windows for ids in of_text]
        owners = np.repeat(np.arange(len(asked)), [len(of_text) for of_text in windows])
        right = asked["label"].to_numpy()

        def share(model) -> float:
            scores = pd.DataFrame(logits(model, parts)).groupby(owners).mean().to_numpy()
            return float((scores.argmax(axis=1) == right).mean())

        return share

    columns = ["run", "texts", "seconds", "accuracy"]
    table = pd.read_csv(out) if out.is_file() else pd.DataFrame(columns=columns)
    name = "default"
    if name not in set(table["run"]):
        run = Run(name, every, target, float("inf"), accuracy(settings))
        ours(run, texts)
        table = pd.concat([table, pd.DataFrame(run.table, columns=columns)])
        table.to_csv(out, index=False)
    longest = limit * table["seconds"][table["run"] == name].max()
    for rate in RATES:
        if (name := f"recipe {rate:g}") not in set(table["run"]):
            torch.manual_seed(load_params().train.seed)
            run = Run(name, every, target, longest, accuracy(settings | AS_TRAINER_READS))
            theirs(run, texts, labels, classes, settings["max_length"], rate)
            table = pd.concat([table, pd.DataFrame(run.table, columns=columns)])
            table.to_csv(out, index=False)
    print(table.groupby("run", sort=False).last().to_markdown(floatfmt=("", ".0f", ".0f", ".3f")))


if __name__ == "__main__":
    typer.run(main)
