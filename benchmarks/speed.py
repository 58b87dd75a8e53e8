"""How fast training and scoring are, beside what people would write instead, on the default's texts and encoder.

    make speed           # after `dvc repro`

Training: one epoch of the same texts with the same LoRA (query and value, rank 8), in fp32, by train and by Trainer.
Scoring: the trained classifier, by infer and by transformers' pipeline; which cuts the end of a long text off, and not
its middle, and so gives a few other labels. The two take turns at being first; a ratio is of the medians.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from operator import eq
from typing import Annotated

import pandas as pd
import torch
import typer

from benchmarks import peers
from stages.classifier.forward import quiet
from stages.classifier.tokens import open_tokens
from stages.classifier.training import Training
from stages.files import BASE, RAW, read_table
from stages.settings.catalogue import Method
from stages.settings.params import arguments, load_params
from stages.train import train
from stages.use.loading import load_classifier
from stages.use.scoring import Classifier


def matrix_rate() -> float:
    """Floating-point operations a second of a product of two fp32 matrices of the encoder's sizes."""
    tokens, weights = torch.randn(4096, 384), torch.randn(384, 1536)

    def products() -> None:
        for _ in range(20):
            tokens @ weights

    products()
    return 20 * 2 * 4096 * 384 * 1536 / seconds(products)


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def our_epoch(texts: int) -> Callable[[], None]:
    """An epoch of the first texts with the peer's adapter, ready to be trained."""
    settings = arguments(train, load_params())
    settings["recipe"] = settings["recipe"].model_copy(
        update={"batch_size": peers.BATCH, "micro_batch_size": peers.BATCH, "epochs": 1, "short_epoch": None}
        | {"precision": "fp32"}
    )
    settings["method"] = Method(peft={"peft_type": "LORA", **peers.LORA})
    settings["model"] = settings["model"].model_copy(update={"peft": {}})
    training = Training(**settings, tokens=open_tokens("train").head(texts), held_out=open_tokens("validation"))

    def take_all_steps() -> None:
        for step in range(1, training.steps + 1):
            training.take_step(step)

    return take_all_steps


def compare(what: str, texts: int, pairs: int, ours: Callable, theirs: Callable) -> dict[str, str | float]:
    """A row of the table: texts a second of both, and their ratio. ours, theirs: return what is timed, made ready."""
    times = {ours: [], theirs: []}
    for number in range(pairs):
        for make in (ours, theirs) if number % 2 == 0 else (theirs, ours):
            times[make].append(seconds(make()))
    ratios = [their / our for our, their in zip(times[ours], times[theirs], strict=True)]
    return {
        "what": what,
        "ours, texts/s": texts / statistics.median(times[ours]),
        "theirs, texts/s": texts / statistics.median(times[theirs]),
        "ratio": statistics.median(times[theirs]) / statistics.median(times[ours]),
        "of each pair": f"{min(ratios):.2f} to {max(ratios):.2f}",
    }


def main(
    steps: Annotated[int, typer.Option(min=1, help="Training steps of 16 texts.")] = 12,
    texts: Annotated[int, typer.Option(min=2, help="Texts to score.")] = 160,
    pairs: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Print the table."""
    quiet()
    rows, metadata = read_table(RAW / "train.parquet")
    length = open_tokens("train").metadata["tokenize"]["max_length"]
    rows = rows.head(steps * peers.BATCH)
    data = rows["text"].tolist(), rows["label"].tolist(), len(metadata["labels"]), length
    reviews = read_table(RAW / "test.parquet")[0]["text"].head(texts).tolist()
    classifier, table = Classifier(), []
    classifier.model.config.tokenize["windows"] = 1  # as many tokens of a text as the pipeline reads
    labels = [label for label, _ in classifier(reviews)]
    with tempfile.TemporaryDirectory() as folder:
        for frugal, how in ((False, f"padded to {length}, dropout"), (True, "padded to the batch, no dropout")):
            peer = partial(peers.trainer, BASE, *data, frugal, folder)
            table.append(compare(f"training; Trainer, {how}", len(rows), pairs, partial(our_epoch, len(rows)), peer))
        for part in load_classifier():
            part.save_pretrained(folder)
        for batch in (1, 32):
            pipeline = peers.pipeline(folder, length, batch)
            equal = sum(map(eq, labels, pipeline(reviews))) / len(reviews)
            what = f"scoring; pipeline, batches of {batch} ({equal:.1%} equal labels)"
            ours, theirs = partial(classifier, reviews), partial(pipeline, reviews)
            table.append(compare(what, len(reviews), pairs, lambda call=ours: call, lambda call=theirs: call))
    print(f"matrix products in fp32: {matrix_rate() / 1e9:.0f} GFLOP/s, {torch.get_num_threads()} threads")
    print(pd.DataFrame(table).to_markdown(index=False, floatfmt=".2f"))


if __name__ == "__main__":
    typer.run(main)
