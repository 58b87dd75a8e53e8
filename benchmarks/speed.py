"""How fast training and scoring are, beside what people would write instead, on the default's texts and encoder.

    make speed           # after `dvc repro`

Training: the same encoder, texts and LoRA (query and value, rank 8) as `peers.trainer_steps` trains them; without the
short first epoch, and with all else as in params.yaml. Scoring: the trained classifier, exported, under transformers'
pipeline, which cuts the end of long texts off, and so differs in a few labels. Each pair is measured in turn, several
times; a ratio is of the medians.
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


def our_steps(steps: int) -> Callable[[], None]:
    """The first steps of a training of the peer's adapter, ready to be taken."""
    settings = arguments(train, load_params())
    settings["recipe"] = settings["recipe"].model_copy(
        update={"batch_size": peers.BATCH, "micro_batch_size": peers.BATCH, "short_epoch": None, "validations": 1}
    )
    settings["method"] = settings["method"].model_copy(update={"peft": {"peft_type": "LORA", **peers.LORA}})
    settings["model"] = settings["model"].model_copy(update={"peft": {}})
    training = Training(**settings, tokens=open_tokens("train"), held_out=open_tokens("validation"))

    def take() -> None:
        for step in range(1, steps + 1):
            training.take_step(step)

    return take


def compare(what: str, texts: int, pairs: int, ours: Callable, peer: Callable) -> dict[str, str | float]:
    """A row of the table: texts a second of both, and their ratio. ours, peer: make ready and return what is timed."""
    times = [(seconds(ours()), seconds(peer())) for _ in range(pairs)]
    mine, theirs = zip(*times, strict=True)
    ratios = [other / own for own, other in times]
    return {
        "what": what,
        "ours, texts/s": texts / statistics.median(mine),
        "theirs, texts/s": texts / statistics.median(theirs),
        "ratio": statistics.median(theirs) / statistics.median(mine),
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
    first = rows.head(count := steps * peers.BATCH)
    recipe = partial(
        peers.trainer_steps, BASE, first["text"].tolist(), first["label"].tolist(), len(metadata["labels"]), length
    )
    table = [compare("training", count, pairs, partial(our_steps, steps), recipe)]

    reviews = read_table(RAW / "test.parquet")[0]["text"].head(texts).tolist()
    classifier = Classifier()
    labels = [label for label, _ in classifier(reviews)]
    with tempfile.TemporaryDirectory() as folder:
        for part in load_classifier():
            part.save_pretrained(folder)
        for batch in (1, 32):
            pipeline = peers.pipeline(folder, length, batch)
            equal = sum(map(eq, labels, pipeline(reviews))) / len(reviews)
            what = f"scoring, their batches of {batch}; {equal:.1%} of the labels equal"
            ours, theirs = partial(classifier, reviews), partial(pipeline, reviews)
            table.append(compare(what, len(reviews), pairs, lambda call=ours: call, lambda call=theirs: call))
    print(f"matrix products in fp32: {matrix_rate() / 1e9:.0f} GFLOP/s, {torch.get_num_threads()} threads")
    print(pd.DataFrame(table).to_markdown(index=False, floatfmt=".2f"))


if __name__ == "__main__":
    typer.run(main)
