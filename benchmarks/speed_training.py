"""The trainings that benchmarks/speed.py times: an epoch by `train` and an epoch by Trainer, on the same texts."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from transformers import AutoConfig, AutoTokenizer, TrainerCallback

from benchmarks import peers
from benchmarks.operations import Encoder
from classifier.files.formats import read_table, write_table
from classifier.files.places import BASE, RAW, SPLITS
from classifier.params.catalogue import Method
from classifier.runner.params import PARAMS, arguments, load_params
from classifier.text.tokens import open_tokens
from classifier.training.batches import epoch_batches
from classifier.training.training import Training
from stages.tokenize import tokenize
from stages.train import train


class Case(NamedTuple):
    """A training to compare.

    Args:
        name: name of the encoder.
        base: folder of the encoder.
        length: most tokens of a text.
        share: number by which the steps are divided, so that slow trainings take fewer steps.
        frugal: how Trainer trains (see peers.py).
    """

    name: str
    base: Path
    length: int
    share: int
    frugal: bool


def write_distilbert(folder: Path) -> None:
    """Write an encoder of DistilBERT's size, with random weights and the tokenizer of models/base/."""
    from transformers import DistilBertConfig, DistilBertModel

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    config = DistilBertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    DistilBertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def encoder_sizes(base: Path) -> Encoder:
    """Return the sizes of an encoder that has LoRA in all layers, to count its operations by."""
    config = AutoConfig.from_pretrained(base)
    layers, inner = config.num_hidden_layers, getattr(config, "intermediate_size", None) or config.hidden_dim
    return Encoder(layers, config.hidden_size, inner, adapted=layers, trained=0)


def training_cases(large: Path | None) -> list[Case]:
    """List the trainings. large: folder of the encoder of DistilBERT's size; None leaves its trainings out."""
    name, length = load_params().model, open_tokens("train").metadata["tokenize"]["max_length"]
    longer = min(2 * length, AutoConfig.from_pretrained(BASE).max_position_embeddings)
    frugal = [Case(name, BASE, length, share=1, frugal=True)]
    whole = [Case(name, BASE, length, share=1, frugal=False), Case(name, BASE, longer, share=2, frugal=False)]
    if large:
        frugal += [Case("DistilBERT's size", large, length, share=4, frugal=True)]
        whole += [Case("DistilBERT's size", large, tokens, share=4, frugal=False) for tokens in (length, longer)]
    return frugal + whole


@contextmanager
def tokenized(base: Path, length: int, texts: int) -> Iterator[None]:
    """Enter a temporary folder that looks as if the stages before `train` had run there.

    Args:
        base: folder of the encoder.
        length: tokens of a text at most.
        texts: number of texts to take from the beginning of each split.
    """
    splits = {split: read_table(RAW / f"{split}.parquet") for split in SPLITS}
    with tempfile.TemporaryDirectory() as folder:
        for path in (PARAMS, Path("classifier")):
            (Path(folder) / path).symlink_to(path.resolve())
        (Path(folder) / BASE).parent.mkdir()
        (Path(folder) / BASE).symlink_to(base.resolve())
        with chdir(folder):
            for split, (rows, metadata) in splits.items():
                write_table(RAW / f"{split}.parquet", rows.head(texts), **metadata)
            tokenize(settings=load_params().tokenize.model_copy(update={"max_length": length}))
            yield


def our_epoch(precision: str) -> float:
    """Train an epoch on the current folder's texts, with the LoRA of Trainer's model; return the seconds."""
    settings = arguments(train, load_params())
    changes = {"batch_size": peers.BATCH, "micro_batch_size": peers.BATCH, "epochs": 1, "short_epoch": None}
    settings["recipe"] = settings["recipe"].model_copy(update=changes | {"precision": precision})
    settings["method"] = Method(peft={"peft_type": "LORA", **peers.lora_settings(BASE)})
    settings["model"] = settings["model"].model_copy(update={"peft": {}})
    training = Training(**settings, train_tokens=open_tokens("train"), validation_tokens=open_tokens("validation"))

    started = time.perf_counter()
    for step in range(1, training.plan.steps + 1):
        training.take_step(step)
    return time.perf_counter() - started


class Clock(TrainerCallback):
    """Measures the seconds of Trainer's steps, without the preparation."""

    def on_train_begin(self, *args, **kwargs):
        self.started = time.perf_counter()

    def on_train_end(self, *args, **kwargs):
        self.seconds = time.perf_counter() - self.started


def their_epoch(settings: peers.TrainerSettings, rows: pd.DataFrame) -> float:
    """Train an epoch by Trainer; return the seconds.

    Args:
        settings: settings of Trainer. If `settings.frugal` is true, Trainer gets the batches of our_epoch().
        rows: the training texts, with the columns text and label.
    """
    clock = Clock()
    settings = replace(settings, callbacks=[clock])
    if settings.frugal:
        batches = epoch_batches(open_tokens("train").lengths, peers.BATCH, load_params().train.seed, epoch=0)
        rows, settings = rows.iloc[np.concatenate(batches)], replace(settings, order="sequential")
    with tempfile.TemporaryDirectory() as folder:
        peers.trainer(settings, rows["text"].tolist(), rows["label"].tolist(), folder)()
    return clock.seconds
