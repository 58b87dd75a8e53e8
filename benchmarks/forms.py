"""Measure the size, the speed and the agreement of the exported forms, beside transformers' pipeline.

    make forms           # runs the pipeline with all forms first

Every form reads the same test texts, without markup, cut to one window by its own tokenizer, and is called as its users
call it: the weights by transformers' pipeline, the graphs by the tokenizer and ONNX Runtime, batch by batch in the
order of the texts. The classifier of `python -m apps.infer` is measured beside them. All are timed in turn. Ratios are
those of the medians.
"""

import os
import statistics
from collections.abc import Callable
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from benchmarks import peers
from benchmarks.record import Record, seconds_of
from classifier.export.forms import FORMS
from classifier.files.formats import read_json, read_table
from classifier.files.places import EXPORT, METRICS, RAW
from classifier.model.loading import silence_libraries
from classifier.predict.classifier import Classifier
from classifier.text.cleaning import clean_texts
from classifier.text.tokens import open_tokens

WHAT = (
    "Each form of the model: its size, its texts a second in batches of 1 and of 32 beside pipeline() in fp32 with as "
    "many, how many of its labels equal pipeline()'s, and its difference to fp32 in accuracy on validation."
)
FORMATS = {
    **{"form": "", "scored by": "", "MB": ",.1f", "batch 1, texts/s": ",.1f", "times pipeline()": ".2f"},
    **{"batch 32, texts/s": ",.1f", "times pipeline(), batch 32": ".2f", "equal labels": ".1%"},
    **{"accuracy difference": "+.4f", "from": "+.4f", "to": "+.4f"},
}
BATCHES = (1, 32)
Score = Callable[[list[str]], list[str]]


def by_graph(file: str, batch: int) -> Score:
    """Return a function that scores texts by a graph of models/export, as the documentation shows it."""
    import onnxruntime
    from transformers import AutoConfig, AutoTokenizer

    session = onnxruntime.InferenceSession(EXPORT / file)
    tokenizer, names = AutoTokenizer.from_pretrained(EXPORT), AutoConfig.from_pretrained(EXPORT).id2label

    def score(texts: list[str]) -> list[str]:
        labels = []
        for start in range(0, len(texts), batch):
            inputs = tokenizer(texts[start : start + batch], truncation=True, padding=True, return_tensors="np")
            (logits,) = session.run(["logits"], dict(inputs))
            labels += [names[number] for number in logits.argmax(axis=1)]
        return labels

    return score


def by_classifier(precision: str, batch: int) -> Score:
    """Return a function that scores one window of each text as apps.infer does, with one text a call if batch is 1."""
    classifier = Classifier(precision=precision)
    classifier.model.config.tokenize["windows"] = 1

    def score(texts: list[str]) -> list[str]:
        calls = [texts] if batch > 1 else [[text] for text in texts]
        return [label for call in calls for label, _ in classifier(call)]

    return score


def contenders(batch: int, length: int) -> dict[tuple[str, str], Score]:
    """Return the functions to compare, by form and by what scores it. pipeline() in fp32 is the first."""
    import torch

    bf16 = {"dtype": torch.bfloat16, "model_kwargs": {"variant": "bf16"}}
    kept = {name for name, form in read_json(METRICS / "export.json").items() if form["kept"]}
    all_forms = {
        ("transformers", "pipeline()"): lambda: peers.pipeline(str(EXPORT), length, batch),
        ("bf16", "pipeline()"): lambda: peers.pipeline(str(EXPORT), length, batch, **bf16),
        ("onnx", "ONNX Runtime"): lambda: by_graph(FORMS["onnx"].file, batch),
        ("int8", "ONNX Runtime"): lambda: by_graph(FORMS["int8"].file, batch),
    }
    found = {key: make() for key, make in all_forms.items() if key[0] in kept}
    return found | {("", f"infer, {precision}"): by_classifier(precision, batch) for precision in ("fp32", "bf16")}


def main(
    texts: Annotated[int, typer.Option(min=2, help="Texts to score.")] = 160,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each form, in turn.")] = 5,
) -> None:
    """Compare the forms."""
    silence_libraries()
    record = Record("forms", WHAT)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # as in every stage
    settings, forms = open_tokens("test").metadata["tokenize"], read_json(METRICS / "export.json")
    reviews = clean_texts(read_table(RAW / "test.parquet")[0]["text"].head(texts), settings["strip_markup"])
    rows: dict[tuple[str, str], dict] = {}
    for batch in BATCHES:
        functions = contenders(batch, settings["max_length"])
        labels = {key: score(reviews) for key, score in functions.items()}  # the first call is not timed
        times = {key: [] for key in functions}
        for _ in range(rounds):
            for key, score in functions.items():
                times[key].append(seconds_of(lambda score=score: score(reviews)))
        reference, *_ = functions
        for key in functions:
            row = rows.setdefault(key, {"form": key[0], "scored by": key[1]})
            rate = len(reviews) / statistics.median(times[key])
            row[f"batch {batch}, texts/s"] = rate
            ratio = "times pipeline()" + f", batch {batch}" * (batch > 1)
            row[ratio] = statistics.median(times[reference]) / statistics.median(times[key])
            row["equal labels"] = float(np.mean([a == b for a, b in zip(labels[key], labels[reference], strict=True)]))
            if form := forms.get(key[0]):
                found = form["validation"]
                row["MB"] = form["megabytes"]
                ends = {"accuracy difference": "", "from": "_low", "to": "_high"}
                row |= {name: found.get(f"accuracy_difference{end}") for name, end in ends.items()}
            print(row, flush=True)
    record.write(pd.DataFrame(rows.values()), FORMATS)


if __name__ == "__main__":
    typer.run(main)
