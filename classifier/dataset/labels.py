"""Map the labels of a file to numbers."""

import json
import re
from pathlib import Path

import numpy as np

from classifier.errors import InputError
from classifier.params.datasets import Dataset
from classifier.tables.columnar import schema_of

UNKNOWN, LEFT_OUT = -1, -2  # in place of a label's number
NO_LABEL = ("", "-", "-1")  # with `drop: [unlabelled]`: no value, or what SNLI and the Hub write in its place


def label_numbers(
    spellings: list[str], labels: list[str] | dict[str, str | None], are_numbers: bool = False
) -> np.ndarray:
    """Return the number of each label of a file, UNKNOWN for an unknown label, LEFT_OUT for one to leave out.

    If `labels` is a list, a file has names in all rows or numbers in all rows, whatever their type: 1, "1" or 1.0. If
    it has only true and false, they may be names or stand for 1 and 0. If `labels` is a mapping, its keys are the only
    values.

    Args:
        spellings: The different labels, as the file writes them.
        labels: The names in the order of their numbers, or each value and the name of its label, None to leave it out.
        are_numbers: Whether the labels of the file are numbers, even if they look like names.

    >>> files = ["good", "bad", "fine"], ["1", "0.0", "2"], ["TRUE", "False"]
    >>> [label_numbers(spellings, ["bad", "good"]).tolist() for spellings in files]
    [[1, 0, -1], [1, 0, -1], [1, 0]]
    >>> label_numbers(["1", "3", "5.0"], {"1": "bad", "3": None, "5": "good"}).tolist()
    [0, -2, 1]
    """
    if isinstance(labels, dict):
        order = {name: number for number, name in enumerate(dict.fromkeys(filter(None, labels.values())))}
        numbers = {value: LEFT_OUT if name is None else order[name] for value, name in labels.items()}
        return np.array([numbers.get(word, numbers.get(plain(word), UNKNOWN)) for word in spellings], dtype=np.intp)
    names = set() if are_numbers else set(labels)
    words, lower = spellings, [word.lower() for word in spellings]
    if {"false", "true", *NO_LABEL}.issuperset(lower):  # programs write them in upper or lower case
        meanings = {"false": "0", "true": "1"} | {name.lower(): name for name in labels}
        words = [meanings.get(word, word) for word in lower]
    words = [word if word in names else plain(word) for word in words]
    have_names = names.intersection(words) or any(map(is_number, names))
    known_words = labels if have_names else map(str, range(len(labels)))
    numbers = {word: number for number, word in enumerate(known_words)}
    return np.array([numbers.get(word, UNKNOWN) for word in words], dtype=np.intp)


def plain(word: str) -> str:
    """Return a whole number without the fraction .0, true and false in lower case, and any other word unchanged."""
    return word.lower() if word.lower() in ("true", "false") else re.sub(r"^(-?[0-9]+)\.0+$", r"\1", word)


def is_number(word: str) -> bool:
    """Return whether a word is a whole number."""
    return bool(re.fullmatch("-?[0-9]+", word))


def are_labels(*values: str, labels: list[str] | dict[str, str | None]) -> bool:
    """Return whether one file can have all these values as labels: all are names, or all are numbers."""
    return bool((label_numbers(list(values), labels) != UNKNOWN).all())


def labels_fix(spellings: list[str], dataset: Dataset) -> str:
    """Return how to fix a file with unknown labels, given all labels that it has."""
    if isinstance(dataset.labels, dict):
        return f"use {', '.join(dataset.labels)}, or name the value in `labels` in params.yaml, as `VALUE: NAME`"
    names = dataset.labels
    numbers = sorted(int(word) for word in map(plain, spellings) if is_number(word))
    if len(numbers) == len(names) == len(spellings) and not {*spellings} & {*names}:
        pairs = ", ".join(f"{number}: {name}" for number, name in zip(numbers, names, strict=True))
        return f"numbers count from 0 in the order of `labels`; for others write a mapping in params.yaml: {{{pairs}}}"
    fix = f"use the names {', '.join(names)}"
    fix += f", or in all rows their numbers 0 to {len(names) - 1}" * (not any(map(is_number, names)))
    drop = ", or leave the rows out whose label is missing, - or -1, with `drop: [unlabelled]`"
    return f"{fix}, or change `labels` in params.yaml" + drop * any(word in NO_LABEL for word in spellings)


def has_named_numbers(path: Path, kind: str, dataset: Dataset) -> bool:
    """Return whether a file has numbers as labels and names them in its metadata, as `datasets` writes them.

    Args:
        path: The file.
        kind: parquet or arrow. Other files have no metadata.
        dataset: The data set's entry.

    Raises:
        InputError: The data set's entry gives one of these names to another number. Names that the file does not have
            are accepted: they rename the labels. Case is ignored, unless two names of the file differ by case alone.
    """
    from pyarrow import types

    if kind not in ("parquet", "arrow") or isinstance(dataset.labels, dict):
        return False
    schema = schema_of(path, kind)
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        names = [name.strip() for name in features[dataset.label]["names"]]
    except (ValueError, LookupError, TypeError, AttributeError):  # the metadata do not name the labels
        return False
    if not types.is_integer(schema.field(dataset.label).type):
        return False
    in_file, in_params = names, dataset.labels
    if len({name.casefold() for name in names}) == len(names):
        in_file, in_params = ([name.casefold() for name in listed] for listed in (in_file, in_params))
    if any(name in in_params and in_params.index(name) != number for number, name in enumerate(in_file)):
        numbers = ", ".join(f"{number} {name}" for number, name in enumerate(names))
        problem = f"the file's own metadata name the labels {numbers}"
        raise InputError(f"{path}: column {dataset.label!r}: {problem}; write `labels` in params.yaml in this order")
    return True
