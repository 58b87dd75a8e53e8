"""Measure what several windows gain on long texts: the trained default on reviews that none of its splits holds.

    make windows

Reviews of 500 words and more are read in three ways: in one window of tokenize.max_length tokens, in one window of
twice that length, and in several windows. The table has accuracy, log loss, tokens read of a text, and time.
"""

import time

import numpy as np
import pandas as pd

from benchmarks.record import Record
from classifier.dataset.selected_rows import read_selected_rows
from classifier.files.places import RAW
from classifier.predict.classifier import Classifier
from classifier.runner.command import no_arguments
from classifier.runner.params import load_params, select
from classifier.sources.dataset import source_files
from classifier.text.duplicates import digest
from classifier.text.encoding import encode

WORDS, TEXTS = 500, 500
WHAT = f"{TEXTS} reviews of {WORDS} words and more, which no split of the default holds, read by the trained default."
FORMATS = {"read in": "", "tokens of a text": ".0f", "accuracy": ".1%", "log loss": ".3f", "seconds": ".0f"}


def unused_texts(count: int, words: int = 0) -> pd.DataFrame:
    """Draw texts of the source that stand in no split.

    Args:
        count: number of texts.
        words: fewest words of a text.

    Returns:
        A table with the columns text and label.
    """
    dataset = select(load_params(), "dataset")
    rows = pd.concat([table for path in source_files(dataset)["train"] for table in read_selected_rows(path, dataset)])
    rows = rows.assign(label=rows["label"].astype(int), digest=rows["text"].map(digest)).drop_duplicates("digest")
    used = {digest(text) for path in RAW.iterdir() for text in pd.read_parquet(path, columns=["text"])["text"]}
    rows = rows[~rows["digest"].isin(used) & (rows["text"].str.split().str.len() >= words)]
    return rows.sample(count, random_state=0)


def main() -> None:
    """Read the reviews in three ways; print the accuracy, log loss, tokens and time of each."""
    no_arguments("python -m benchmarks.windows", "make windows")
    record, rows, classifier, table = Record("windows", WHAT), unused_texts(TEXTS, WORDS), Classifier(), []
    texts, labels, settings = rows["text"].tolist(), rows["label"].to_numpy(), classifier.model.config.tokenize
    length = settings["max_length"]
    for name, changes in {
        f"one window of {length}": {"windows": 1},
        f"one window of {2 * length}": {"windows": 1, "max_length": 2 * length},
        f"up to {settings['windows']} windows of {length}": {},
    }.items():
        classifier.model.config.tokenize = settings | changes
        windows = encode(texts, classifier.tokenizer, **settings | changes)
        started = time.monotonic()
        probabilities = classifier.probabilities(texts)
        table.append(
            {
                "read in": name,
                "tokens of a text": sum(len(ids) for text_windows in windows for ids in text_windows) / len(texts),
                "accuracy": (probabilities.argmax(axis=1) == labels).mean(),
                "log loss": -np.log(probabilities[np.arange(len(labels)), labels]).mean(),
                "seconds": time.monotonic() - started,
            }
        )
    record.write(pd.DataFrame(table), FORMATS)


if __name__ == "__main__":
    main()
