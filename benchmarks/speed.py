"""How fast training and scoring are, beside what people would write instead, on the default's texts.

    make speed           # after `dvc repro`

Training: steps of the same texts with the same LoRA (query and value, rank 8), in fp32, by train and by Trainer; of
the selected encoder, and of one of DistilBERT's size with random weights, each at the length of params.yaml and at
twice that. Scoring: the trained classifier, by infer and by transformers' pipeline; which cuts the end of a long text
off, and not its middle, and so gives a few other labels. The two take turns at being first; a ratio is of the medians.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from functools import partial
from operator import eq
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from transformers import AutoConfig, AutoTokenizer

from benchmarks import peers
from benchmarks.cost import Encoder
from benchmarks.record import in_turn, matrix_rate, ratios, record, seconds
from stages.classifier.forward import quiet
from stages.classifier.tokens import open_tokens
from stages.classifier.training import Training
from stages.files import BASE, RAW, read_table, write_table
from stages.settings.catalogue import Method
from stages.settings.params import PARAMS, arguments, load_params
from stages.text import encode
from stages.tokenize import tokenize
from stages.train import train
from stages.use.loading import load_classifier
from stages.use.scoring import Classifier


def write_distilbert(folder: Path) -> None:
    """An encoder of DistilBERT's size, with random weights and the tokenizer of models/base/."""
    from transformers import DistilBertConfig, DistilBertModel

    DistilBertModel(DistilBertConfig()).save_pretrained(folder)
    AutoTokenizer.from_pretrained(BASE).save_pretrained(folder)


@contextmanager
def tokenized(base: Path, length: int, texts: int) -> Iterator[None]:
    """A working folder in which the stages before train have run for that encoder and length, with the first texts."""
    kept = {split: read_table(RAW / f"{split}.parquet") for split in ("train", "validation", "test")}
    with tempfile.TemporaryDirectory() as folder:
        for path in (PARAMS, Path("stages")):
            (Path(folder) / path).symlink_to(path.resolve())
        (Path(folder) / BASE).parent.mkdir()
        (Path(folder) / BASE).symlink_to(base.resolve())
        with chdir(folder):
            for split, (rows, metadata) in kept.items():
                write_table(RAW / f"{split}.parquet", rows.head(texts), **metadata)
            tokenize(**arguments(tokenize, load_params()) | {"max_length": length})
            yield


def our_epoch() -> Callable[[], None]:
    """An epoch of the working folder's texts with the peer's adapter, ready to be trained."""
    settings = arguments(train, load_params())
    settings["recipe"] = settings["recipe"].model_copy(
        update={"batch_size": peers.BATCH, "micro_batch_size": peers.BATCH, "epochs": 1, "short_epoch": None}
        | {"precision": "fp32"}
    )
    settings["method"] = Method(peft={"peft_type": "LORA", **peers.lora(BASE)})
    settings["model"] = settings["model"].model_copy(update={"peft": {}})
    training = Training(**settings, tokens=open_tokens("train"), held_out=open_tokens("validation"))

    def take_all_steps() -> None:
        for step in range(1, training.steps + 1):
            training.take_step(step)

    return take_all_steps


def encoder(base: Path) -> Encoder:
    """With LoRA in all layers."""
    config = AutoConfig.from_pretrained(base)
    layers, inner = config.num_hidden_layers, getattr(config, "intermediate_size", None) or config.hidden_dim
    return Encoder(layers, config.hidden_size, inner, adapted=layers, trained=0)


def compare(what: str, operations: list[float], pairs: int, ours: Callable, theirs: Callable) -> dict[str, str | float]:
    """A row of the table: texts a second of both, their ratio, and ours as a share of the rate at which this machine
    multiplies matrices. operations: of each text, ours; ours, theirs: return what is timed, made ready.
    """
    rates = []

    def timed() -> float:
        rates.append(matrix_rate())
        return seconds(ours())

    own, others = in_turn(pairs, timed, lambda: seconds(theirs()))
    row = {
        "what": what,
        "ours, texts/s": len(operations) / statistics.median(own),
        "theirs, texts/s": len(operations) / statistics.median(others),
        **ratios(own, others),
        "ours, of the matrix rate": f"{sum(operations) / statistics.median(own) / statistics.median(rates):.0%}",
    }
    print(row, flush=True)
    return row


def main(
    steps: Annotated[int, typer.Option(min=1, help="Training steps of 16 texts; of slower ones a part.")] = 12,
    texts: Annotated[int, typer.Option(min=2, help="Texts to score.")] = 160,
    pairs: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Print the table."""
    quiet()
    rows, metadata = read_table(RAW / "train.parquet")
    length, model = open_tokens("train").metadata["tokenize"]["max_length"], load_params().model
    reviews = read_table(RAW / "test.parquet")[0]["text"].head(texts).tolist()
    classifier, table = Classifier(), []
    classifier.model.config.tokenize["windows"] = 1  # as many tokens of a text as the pipeline reads
    labels = [label for label, _ in classifier(reviews)]
    with tempfile.TemporaryDirectory() as folder:
        large, merged, trash = (Path(folder) / name for name in ("distilbert", "merged", "trash"))
        write_distilbert(large)
        for name, base, longest, share, frugal in (
            (model, BASE, length, 1, False),
            (model, BASE, length, 1, True),
            (model, BASE, 2 * length, 2, False),
            ("DistilBERT's size", large, length, 4, False),
            ("DistilBERT's size", large, 2 * length, 4, False),
        ):
            some = rows.head(-(-steps // share) * peers.BATCH)
            data = some["text"].tolist(), some["label"].tolist(), len(metadata["labels"]), longest
            how = "padded to the batch, no dropout" if frugal else "padded to the full length, dropout"
            with tokenized(base, longest, len(some)):
                peer = partial(peers.trainer, BASE, *data, frugal, str(trash))
                operations = [encoder(base).training(length) for length in open_tokens("train").lengths]
                what = f"training, {name}, {longest} tokens; Trainer, {how}"
                table.append(compare(what, operations, pairs, our_epoch, peer))
        for part in load_classifier():
            part.save_pretrained(merged)
        windows = encode(reviews, classifier.tokenizer, **classifier.model.config.tokenize)
        operations = [encoder(BASE).forward(len(window)) for (window,) in windows]
        for batch in (1, 32):
            pipeline = peers.pipeline(str(merged), length, batch)
            equal = sum(map(eq, labels, pipeline(reviews))) / len(reviews)
            what = f"scoring; pipeline, batches of {batch} ({equal:.1%} equal labels)"
            ours, theirs = partial(classifier, reviews), partial(pipeline, reviews)
            table.append(compare(what, operations, pairs, lambda call=ours: call, lambda call=theirs: call))
    record("speed", pd.DataFrame(table))


if __name__ == "__main__":
    typer.run(main)
