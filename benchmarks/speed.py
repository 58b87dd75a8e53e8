"""Compare the speed of training and scoring with the usual alternatives, on the default's texts.

    make speed           # after `dvc repro`
    python -m benchmarks.speed --precision bf16 --steps 100 --texts 2000     # on a GPU, and the same with fp32
    python -m benchmarks.speed --set model=mpnet --set datasets.imdb-wheel.train=200    # another encoder, in a clone

Training: steps of `train` and of Trainer on the same texts, without markup, with the same LoRA (query and value, rank
8). Two encoders train: the selected one, and one of DistilBERT's size with random weights. With --set, only the
selected one trains. Each encoder trains at the length of params.yaml, and at twice that length or the encoder's limit.
Trainer that pads to the batch gets the batches of `train`, because Trainer's own grouping by length makes worse batches
of so few texts. The preparation before the first step is not timed.

Scoring: the trained classifier, by infer and by transformers' pipeline, on one window of each text, in fp32 and, if the
machine multiplies in bf16, in bf16 on both sides. The pipeline cuts the end of a long text and infer its middle, so a
few labels differ.

Both sides are timed in turn, and each starts every second pair. Ratios are those of the medians.
"""

import os
import statistics
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from operator import eq
from pathlib import Path
from subprocess import run
from typing import Annotated, Literal

import pandas as pd
import torch
import typer

from benchmarks import peers
from benchmarks.clone import in_clone
from benchmarks.overrides import params_with
from benchmarks.record import Record, in_turn, matrix_rate, ratios, seconds_of
from benchmarks.speed_training import (
    Case,
    encoder_sizes,
    our_epoch,
    their_epoch,
    tokenized,
    training_cases,
    write_distilbert,
)
from classifier.distributed.devices import device, uses_bf16
from classifier.errors import InputError
from classifier.files.formats import read_table
from classifier.files.places import BASE, RAW
from classifier.model.loading import load_classifier, silence_libraries
from classifier.predict.classifier import Classifier
from classifier.text.cleaning import clean_texts
from classifier.text.encoding import encode
from classifier.text.tokens import open_tokens

WHAT = (
    "Texts a second in training and scoring, beside transformers' Trainer and pipeline on the same texts; "
    "the medians, and the lowest and highest ratio of the pairs."
)
FORMATS = {
    **{"what": "", "compared with": "", "ours, texts/s": ",.2f", "theirs, texts/s": ",.2f"},
    **{"times as fast": ".2f", "lowest": ".2f", "highest": ".2f"},
    **{"ours, of the matrix rate": ".0%", "equal labels": ".1%"},
}


def time_both(
    row: dict[str, str | float],
    operations: list[float],
    pairs: int,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    precision: str = "fp32",
) -> dict[str, str | float]:
    """Time two functions in turn; print and return a row of the table.

    The row has the texts a second of both, their ratio with its lowest and highest value in a pair, and ours as a
    share of the rate at which this machine multiplies matrices in that precision, measured before and after.

    Args:
        row: what is timed and compared.
        operations: floating-point operations of each text in our function.
        pairs: number of measurements.
        ours, theirs: functions that return their seconds.
        precision: precision of our function, fp32 or bf16.
    """
    shares, dtype = [], {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]

    def ours_with_share() -> float:
        before, seconds, after = matrix_rate(dtype), ours(), matrix_rate(dtype)
        shares.append(sum(operations) / seconds / statistics.mean((before, after)))
        return seconds

    our_times, their_times = in_turn(pairs, ours_with_share, theirs)
    row |= {
        "ours, texts/s": len(operations) / statistics.median(our_times),
        "theirs, texts/s": len(operations) / statistics.median(their_times),
        **ratios("times as fast", their_times, our_times),
        "ours, of the matrix rate": statistics.median(shares),
    }
    print(row, flush=True)
    return row


def compare_training(case: Case, steps: int, pairs: int, precision: str) -> dict[str, str | float]:
    """Compare `train` with Trainer."""
    rows, metadata = read_table(RAW / "train.parquet")
    rows = rows.head(-(-steps // case.share) * peers.BATCH)
    rows["text"] = without_markup(rows["text"])
    settings = peers.TrainerSettings(BASE, len(metadata["labels"]), case.length, case.frugal, bf16=precision == "bf16")
    with tokenized(case.base, case.length, len(rows)):
        sizes, lengths = encoder_sizes(BASE), open_tokens("train").lengths.tolist()
        ours, theirs = partial(our_epoch, precision), partial(their_epoch, settings, rows)
        how = "padded to the batch, no dropout" if case.frugal else "padded to the full length, dropout"
        row = {"what": f"training, {case.name}, {case.length} tokens", "compared with": f"Trainer, {how}"}
        return time_both(row, [sizes.training(tokens) for tokens in lengths], pairs, ours, theirs, precision)


def compare_scoring(texts: int, pairs: int, folder: Path, precision: str) -> list[dict[str, str | float]]:
    """Compare infer with transformers' pipeline, in batches of 1 and 32.

    Args:
        texts: number of texts.
        pairs: number of measurements.
        folder: a folder for the merged model in fp32.
        precision: precision of infer and of the pipeline, fp32 or bf16.
    """
    reviews = without_markup(read_table(RAW / "test.parquet")[0]["text"].head(texts))
    classifier, table = Classifier(precision=precision), []
    settings = classifier.model.config.tokenize
    settings["windows"] = 1  # the pipeline reads one window of a text
    for part in load_classifier():
        part.save_pretrained(folder)
    dtype, suffix = {"fp32": ("float32", ""), "bf16": ("bfloat16", " in bf16")}[precision]
    labels = [label for label, _ in classifier(reviews)]
    windows = encode(reviews, classifier.tokenizer, **settings)
    operations = [encoder_sizes(BASE).forward(len(window)) for (window,) in windows]
    for batch in (1, 32):
        pipeline = peers.pipeline(str(folder), settings["max_length"], batch, dtype=dtype)
        equal = sum(map(eq, labels, pipeline(reviews))) / len(reviews)
        row = {"what": f"scoring{suffix}, {settings['max_length']} tokens"}
        row["compared with"] = f"pipeline{suffix}, batches of {batch}"
        ours, theirs = (partial(seconds_of, partial(score, reviews)) for score in (classifier, pipeline))
        table.append(time_both(row, operations, pairs, ours, theirs, precision) | {"equal labels": equal})
    return table


def without_markup(texts: pd.Series) -> list[str]:
    """Return the texts as the stage `tokenize` cleaned them."""
    return clean_texts(texts, open_tokens("train").metadata["tokenize"]["strip_markup"])


def main(
    steps: Annotated[int, typer.Option(min=1, help="Steps of 16 texts; slower trainings take fewer.")] = 12,
    texts: Annotated[int, typer.Option(min=2, help="Texts to score.")] = 160,
    pairs: Annotated[int, typer.Option(min=1, help="Measurements of both sides, in turn.")] = 5,
    precision: Annotated[Literal["fp32", "bf16"], typer.Option(help="Precision of the trainings.")] = "fp32",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="A setting, as `dvc exp run -S` takes it.")
    ] = None,
) -> None:
    """Compare the speed of training with Trainer's, and of scoring with that of transformers' pipeline."""
    silence_libraries()
    try:
        record = Record("speed", WHAT, f"speed-{params_with(overrides).model}" if overrides else None)
    except InputError as error:
        raise SystemExit(f"speed: {error}") from None
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # as in every stage; the pipeline would switch it off
    with in_clone(*overrides) if overrides else nullcontext(), tempfile.TemporaryDirectory() as folder:
        large = None if overrides else Path(folder) / "distilbert"
        if large:
            write_distilbert(large)
        else:
            run(["dvc", "repro", "--quiet", "train"], check=True)
        table = [compare_training(case, steps, pairs, precision) for case in training_cases(large)]
        # The pages read rows by their numbers, so new rows come last.
        for scoring_precision in ("fp32", "bf16") if uses_bf16("auto", device()) else ("fp32",):
            table += compare_scoring(texts, pairs, Path(folder) / "merged", scoring_precision)
    record.write(pd.DataFrame(table), FORMATS)


if __name__ == "__main__":
    typer.run(main)
