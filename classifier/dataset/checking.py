"""Check the rows of a data set and describe each row by numbers.

A file is read in four phases: read its rows in tables (`read_selected_rows`), describe each row by numbers
(`describe_rows`), refuse the first faulty row (`refuse_first_fault`), and map the labels to numbers (`label_numbers`).
The last two phases need all rows of the file, but not its texts, which are kept no longer than their table.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from classifier.dataset.quotes import refuse_swallowed_rows
from classifier.dataset.tables import join_columns, read_rows
from classifier.errors import InputError
from classifier.params.datasets import Dataset
from classifier.text.cleaning import is_blank

FAULTS = [  # what can be wrong with a row, in the order of the checks: column, problem, fix
    ("text", "no text", "fill it in or remove the row"),
    ("text", "not a text", "write it as a string in quotes"),
    ("text", "empty text, or only white space, HTML tags and invisible characters", "fill it in or remove the row"),
    ("label", "missing label", "fill it in or remove the row"),
]


def read_split(paths: list[Path], dataset: Dataset) -> pd.DataFrame:
    """Return a table that describes the rows of one split's files, numbered from 0, by about 40 bytes per row.

    The columns are label (its number), words (the number of words), high and low (the halves of `digest(text)`).

    Raises:
        InputError: A file or a row is faulty (the message has the line and the column), or a label has no row.
    """
    rows = pd.concat([read_file(path, dataset) for path in paths], ignore_index=True)
    if missing := set(range(len(dataset.label_names))) - set(rows["label"].unique()):
        name = dataset.label_names[min(missing)]
        fix = "add rows with this label or remove it from `labels` in params.yaml"
        raise InputError(f"{paths[0]}: column {dataset.label!r}: no row has the label {name!r}; {fix}")
    return rows


def read_file(path: Path, dataset: Dataset) -> pd.DataFrame:
    """Return the rows of one file as `read_split` does, indexed by their line in the file."""
    spellings: dict[str, int] = {}  # each label, as the file writes it, and its place in the order of appearance
    rows = pd.concat([describe_rows(table, spellings) for table in read_selected_rows(path, dataset)])
    are_numbers = path.suffix == ".parquet" and has_named_numbers(path, dataset)
    columns = {"text": dataset.text, "label": [dataset.label]}
    for number, (kind, problem, fix) in enumerate(FAULTS):
        refuse_first_fault(path, rows["fault"] == number, columns[kind], problem, fix)
    numbers = pd.Series(label_numbers(list(spellings), dataset.label_names, are_numbers)[rows["spelling"]], rows.index)
    if (unknown := numbers < 0).any():
        spelling = list(spellings)[rows["spelling"][unknown].iloc[0]]
        names = f"the names {', '.join(dataset.label_names)}, or in all rows their numbers 0 to {len(dataset.label_names) - 1}"
        fix = f"use {names}, or change `labels` in params.yaml"
        refuse_first_fault(path, unknown, columns["label"], f"unknown label {spelling!r:.40}", fix)
    return rows.assign(label=numbers)[["label", "words", "high", "low"]]


def read_selected_rows(path: Path, dataset: Dataset) -> Iterator[pd.DataFrame]:
    """Yield the columns text and label of one file in tables, without the rows that `where` leaves out.

    Raises:
        InputError: A stray quote swallows rows; or, at the end of the file, a column is missing or no rows are left.
    """
    where = getattr(dataset.source, "where", {})
    settings = dict.fromkeys(where, "where") | dict.fromkeys(dataset.text, "text") | {dataset.label: "label"}
    columns, count = {}, 0
    for table in read_rows(path):
        columns |= dict.fromkeys(table.columns)
        if path.suffix == ".csv" and dataset.label in table:
            labels = {*table[dataset.label].str.strip()}
            refuse_swallowed_rows(path, table, dataset.label, partial(are_labels, *labels, names=dataset.label_names))
        # A table lacks a column if all its rows of JSON leave out the key. Tables before or after may have it.
        values = {column: [*table[column]] if column in table else None for column in settings}
        table = pd.DataFrame(values, index=table.index, dtype=object)
        for column, value in where.items():
            table = table[table[column] == value]
        count += len(table)
        texts = join_columns(table, dataset.text, dataset.separator)
        yield pd.DataFrame({"text": texts, "label": table[dataset.label]})
    for column, setting in settings.items():
        if column not in columns:
            fix = f"set `{setting}` in params.yaml to a column of the file: {', '.join(map(repr, columns))}"
            raise InputError(f"{path}: no column {column!r}; {fix}")
    if not count:
        conditions = " and ".join(f"{value!r} in column {column!r}" for column, value in where.items())
        rows = f"no rows with {conditions}" if where else "no rows"
        raise InputError(f"{path}: {rows}; fix the file or `source` in params.yaml")


def has_named_numbers(path: Path, dataset: Dataset) -> bool:
    """Return whether a Parquet file has numbers as labels and names them in its metadata, as `datasets` writes them.

    Raises:
        InputError: The data set's entry gives one of these names to another number. Names that the file does not have
            are accepted: they rename the labels. Case is ignored, unless two names of the file differ by case alone.
    """
    from pyarrow import types
    from pyarrow.parquet import read_schema

    schema = read_schema(path)
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        names = [name.strip() for name in features[dataset.label]["names"]]
    except (ValueError, LookupError, TypeError, AttributeError):  # the metadata do not name the labels
        return False
    if not types.is_integer(schema.field(dataset.label).type):
        return False
    in_file, in_params = names, [name.strip() for name in dataset.label_names]
    if len({name.casefold() for name in names}) == len(names):
        in_file, in_params = ([name.casefold() for name in listed] for listed in (in_file, in_params))
    if any(name in in_params and in_params.index(name) != number for number, name in enumerate(in_file)):
        numbers = ", ".join(f"{number} {name}" for number, name in enumerate(names))
        problem = f"the file's own metadata name the labels {numbers}"
        raise InputError(f"{path}: column {dataset.label!r}: {problem}; write `labels` in params.yaml in this order")
    return True


def describe_rows(table: pd.DataFrame, spellings: dict[str, int]) -> pd.DataFrame:
    """Return the numbers that describe each row of a table: fault, spelling, words, high and low.

    fault is an index into FAULTS, or len(FAULTS) for a row without a fault. spelling is the number of the label in
    `spellings`, to which new labels are added.
    """
    text, label = table["text"], table["label"]
    is_text = text.map(lambda value: isinstance(value, str)).astype(bool)
    texts = text.where(is_text, "")
    labels = label.astype(str).str.strip().where(label.notna(), "")
    faults = [text.isna(), ~is_text, texts.map(is_blank).astype(bool), labels == ""]  # in the order of FAULTS
    halves = np.frombuffer(b"".join(map(digest, texts)), dtype=np.uint64).reshape(-1, 2)
    return pd.DataFrame(
        {
            "fault": np.select(faults, range(len(FAULTS)), len(FAULTS)).astype(np.int8),
            "spelling": np.array([spellings.setdefault(name, len(spellings)) for name in labels], dtype=np.int32),
            "words": np.array([len(value.split()) for value in texts], dtype=np.int32),
            "high": halves[:, 0],
            "low": halves[:, 1],
        },
        index=table.index,
    )


def refuse_first_fault(path: Path, is_faulty: pd.Series, columns: list[str], problem: str, fix: str) -> None:
    """Raise InputError for the first faulty row, if there is one. The index of `is_faulty` is the place in the file."""
    if is_faulty.any():
        place = f"{is_faulty.index.name} {is_faulty.idxmax()}, column {' and '.join(map(repr, columns))}"
        raise InputError(f"{path}: {place}: {problem} (rows like this: {int(is_faulty.sum())}); {fix}")


def normalize(text: str) -> str:
    r"""Return the form of a text that is the same for all duplicates of the text.

    `"A  Film\n"` and `"a film"` are equal, and so are the two ways in which Unicode writes a letter with an accent.
    """
    folded = unicodedata.normalize("NFD", text).casefold()
    return " ".join(unicodedata.normalize("NFC", folded).split())


def digest(text: str) -> bytes:
    """Return 16 bytes that are equal for duplicates. The chance that they are equal for other texts is negligible."""
    return hashlib.blake2b(normalize(text).encode(), digest_size=16).digest()


def label_numbers(spellings: list[str], labels: list[str], are_numbers: bool = False) -> np.ndarray:
    """Return the number of each label of a file, -1 for an unknown label.

    A file has names in all rows or numbers in all rows, whatever their type: 1, "1" or 1.0. If it has only true and
    false, they may be names or stand for 1 and 0.

    Args:
        spellings: The different labels, as the file writes them.
        labels: The names of the labels in the order of their numbers.
        are_numbers: Whether the labels of the file are numbers, even if they look like names.

    >>> files = ["good", "bad", "fine"], ["1", "0.0", "2"], ["TRUE", "False"]
    >>> [label_numbers(spellings, ["bad", "good"]).tolist() for spellings in files]
    [[1, 0, -1], [1, 0, -1], [1, 0]]
    """
    names = set() if are_numbers else set(labels)
    words, lower = spellings, [word.lower() for word in spellings]
    if {"false", "true"}.issuperset(lower):  # programs write them in upper or lower case
        meanings = {"false": "0", "true": "1"} | {name.lower(): name for name in labels}
        words = [meanings[word] for word in lower]
    words = [word if word in names else re.sub(r"^(-?[0-9]+)\.0$", r"\1", word) for word in words]
    known_words = labels if names.intersection(words) else map(str, range(len(labels)))
    numbers = {word: number for number, word in enumerate(known_words)}
    return np.array([numbers.get(word, -1) for word in words], dtype=np.intp)


def are_labels(*values: str, names: list[str]) -> bool:
    """Return whether one file can have all these values as labels: all are names, or all are numbers."""
    return bool((label_numbers(list(values), names) >= 0).all())
