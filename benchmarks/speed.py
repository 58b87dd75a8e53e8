"""How fast training and scoring are, beside what people would write instead, on the default's texts.

    make speed           # after `dvc repro`
    python -m benchmarks.speed --precision bf16 --steps 100 --texts 2000     # on a GPU, and the same with fp32

Training: steps of the same texts, without markup, with the same LoRA (query and value, rank 8), by train and Trainer;
of the selected encoder, and of one of DistilBERT's size with random weights, each at the length of params.yaml and at
twice that, or as long as the encoder takes. Trainer that pads to the batch has the same batches, since of so few texts
its own grouping by length makes worse ones. What is made ready before the first step is not timed. Scoring: the trained
classifier, in fp32, by infer and by transformers' pipeline, one window of each text; the pipeline cuts the end of a
long one off, and not its middle, and so gives a few other labels. The two take turns at being first; a ratio is of the
medians.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from functools import partial
from operator import eq
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import torch
import typer
from transformers import AutoConfig, AutoTokenizer, TrainerCallback

from benchmarks import peers
from benchmarks.cost import Encoder
from benchmarks.record import Record, in_turn, matrix_rate, ratios, seconds
from classifier.files.formats import read_table, write_table
from classifier.files.places import BASE, RAW
from classifier.model.forward import quiet
from classifier.model.loading import load_classifier
from classifier.params.catalogue import Method
from classifier.predict.classifier import Classifier
from classifier.runner.params import PARAMS, arguments, load_params
from classifier.text.cleaning import cleaned
from classifier.text.encoding import encode
from classifier.text.tokens import open_tokens
from classifier.training.batches import epoch_batches
from classifier.training.training import Training
from stages.tokenize import tokenize
from stages.train import train


def write_distilbert(folder: Path) -> None:
    """An encoder of DistilBERT's size, with random weights and the tokenizer of models/base/."""
    from transformers import DistilBertConfig, DistilBertModel

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    config = DistilBertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    DistilBertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def tokenized(base: Path, length: int, texts: int) -> Iterator[None]:
    """A working folder in which the stages before train have run for that encoder and length, with the first texts."""
    kept = {split: read_table(RAW / f"{split}.parquet") for split in ("train", "validation", "test")}
    with tempfile.TemporaryDirectory() as folder:
        for path in (PARAMS, Path("classifier")):
            (Path(folder) / path).symlink_to(path.resolve())
        (Path(folder) / BASE).parent.mkdir()
        (Path(folder) / BASE).symlink_to(base.resolve())
        with chdir(folder):
            for split, (rows, metadata) in kept.items():
                write_table(RAW / f"{split}.parquet", rows.head(texts), **metadata)
            settings = load_params().tokenize.model_copy(update={"max_length": length})
            tokenize(settings=settings)
            yield


def our_epoch(precision: str) -> float:
    """Seconds of an epoch of the working folder's texts with the peer's adapter."""
    settings = arguments(train, load_params())
    settings["recipe"] = settings["recipe"].model_copy(
        update={"batch_size": peers.BATCH, "micro_batch_size": peers.BATCH, "epochs": 1, "short_epoch": None}
        | {"precision": precision}
    )
    settings["method"] = Method(peft={"peft_type": "LORA", **peers.lora(BASE)})
    settings["model"] = settings["model"].model_copy(update={"peft": {}})
    training = Training(**settings, train_tokens=open_tokens("train"), validation_tokens=open_tokens("validation"))

    started = time.perf_counter()
    for step in range(1, training.plan.steps + 1):
        training.take_step(step)
    return time.perf_counter() - started


class Clock(TrainerCallback):
    """Of the steps alone."""

    def on_train_begin(self, *args, **kwargs):
        self.started = time.perf_counter()

    def on_train_end(self, *args, **kwargs):
        self.seconds = time.perf_counter() - self.started


def their_epoch(base: Path, rows: pd.DataFrame, classes: int, length: int, frugal: bool, precision: str) -> float:
    """Seconds of Trainer's for the same."""
    settings = {"bf16": precision == "bf16", "callbacks": [clock := Clock()]}
    if frugal:
        batches = epoch_batches(open_tokens("train").lengths, peers.BATCH, load_params().train.seed, epoch=0)
        rows, settings["order"] = rows.iloc[np.concatenate(batches)], "sequential"
    with tempfile.TemporaryDirectory() as folder:
        data = rows["text"].tolist(), rows["label"].tolist()
        peers.trainer(base, *data, classes, length, frugal, folder, **settings)()
    return clock.seconds


def encoder(base: Path) -> Encoder:
    """With LoRA in all layers."""
    config = AutoConfig.from_pretrained(base)
    layers, inner = config.num_hidden_layers, getattr(config, "intermediate_size", None) or config.hidden_dim
    return Encoder(layers, config.hidden_size, inner, adapted=layers, trained=0)


def compare(
    what: str,
    operations: list[float],
    pairs: int,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    precision: str = "fp32",
) -> dict[str, str | float]:
    """A row of the table: texts a second of both, their ratio, and ours as a share of the rate at which this machine
    multiplies matrices in that precision, before and after. operations: of each text, ours; ours, theirs: return their
    seconds.
    """
    shares, kind = [], {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]

    def timed() -> float:
        before, taken, after = matrix_rate(kind), ours(), matrix_rate(kind)
        shares.append(sum(operations) / taken / statistics.mean((before, after)))
        return taken

    own, others = in_turn(pairs, timed, theirs)
    row = {
        "what": what,
        "ours, texts/s": len(operations) / statistics.median(own),
        "theirs, texts/s": len(operations) / statistics.median(others),
        **ratios("as fast", others, own),
        "ours, of the matrix rate": f"{statistics.median(shares):.0%}",
    }
    print(row, flush=True)
    return row


def main(
    steps: Annotated[int, typer.Option(min=1, help="Training steps of 16 texts; of slower ones a part.")] = 12,
    texts: Annotated[int, typer.Option(min=2, help="Texts to score.")] = 160,
    pairs: Annotated[int, typer.Option(min=1)] = 5,
    precision: Annotated[Literal["fp32", "bf16"], typer.Option(help="Of the trainings.")] = "fp32",
) -> None:
    """Print the table."""
    quiet()
    record, model = Record("speed"), load_params().model
    rows, metadata = read_table(RAW / "train.parquet")
    tokenized_as = open_tokens("train").metadata
    length = tokenized_as["tokenize"]["max_length"]
    longer = min(2 * length, AutoConfig.from_pretrained(BASE).max_position_embeddings)
    without_markup = partial(cleaned, strip_markup=tokenized_as["tokenize"]["strip_markup"])
    rows["text"] = without_markup(rows["text"])
    reviews = without_markup(read_table(RAW / "test.parquet")[0]["text"].head(texts))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # as in every stage; the pipeline would end it for both
    classifier, table = Classifier(), []
    classifier.model.config.tokenize["windows"] = 1  # as many tokens of a text as the pipeline reads
    labels = [label for label, _ in classifier(reviews)]
    with tempfile.TemporaryDirectory() as folder:
        large, merged = Path(folder) / "distilbert", Path(folder) / "merged"
        write_distilbert(large)
        for name, base, longest, share, frugal in (
            (model, BASE, length, 1, False),
            (model, BASE, length, 1, True),
            (model, BASE, longer, 2, False),
            ("DistilBERT's size", large, length, 4, False),
            ("DistilBERT's size", large, length, 4, True),
            ("DistilBERT's size", large, longer, 4, False),
        ):
            some = rows.head(-(-steps // share) * peers.BATCH)
            how = "padded to the batch, no dropout" if frugal else "padded to the full length, dropout"
            with tokenized(base, longest, len(some)):
                what = f"training, {name}, {longest} tokens; Trainer, {how}"
                operations = [encoder(BASE).training(tokens) for tokens in open_tokens("train").lengths.tolist()]
                ours = partial(our_epoch, precision)
                theirs = partial(their_epoch, BASE, some, len(metadata["labels"]), longest, frugal, precision)
                table.append(compare(what, operations, pairs, ours, theirs, precision))
        for part in load_classifier():
            part.save_pretrained(merged)
        windows = encode(reviews, classifier.tokenizer, **classifier.model.config.tokenize)
        operations = [encoder(BASE).forward(len(window)) for (window,) in windows]
        for batch in (1, 32):
            pipeline = peers.pipeline(str(merged), length, batch)
            equal = sum(map(eq, labels, pipeline(reviews))) / len(reviews)
            what = f"scoring, {length} tokens; pipeline, batches of {batch} ({equal:.1%} equal labels)"
            both = (partial(seconds, partial(score, reviews)) for score in (classifier, pipeline))
            table.append(compare(what, operations, pairs, *both))
    record.write(pd.DataFrame(table))


if __name__ == "__main__":
    typer.run(main)
