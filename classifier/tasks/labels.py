"""The names and numbers of labels, as files write them. The tasks have these functions in common."""

import re

import numpy as np
import pandas as pd

from classifier.params.datasets import Dataset
from classifier.params.labels import label_value

KNOWN, UNKNOWN, LEFT_OUT = 0, -1, -2  # status of a label; the last two also take the place of its number
NO_LABEL = ("", "-", "-1")  # values of a missing label: none, and the marks of SNLI and of data sets on the Hub


def label_numbers(
    spellings: list[str], labels: list[str] | dict[str, str | None], are_numbers: bool = False
) -> np.ndarray:
    """Return the number of each label of a file, UNKNOWN for an unknown label, LEFT_OUT for one to leave out.

    If `labels` is a list, a file has names in all rows or numbers in all rows. Numbers may have any type: 1, "1" or
    1.0. In a file with true and false alone, these are names or stand for 1 and 0. If `labels` is a mapping, its keys
    are the only values.

    Args:
        spellings: The different labels, as the file writes them.
        labels: The names, in the order of their numbers; or a mapping of each value to the name of its label, or to
            None for LEFT_OUT.
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


def labels_fix(spellings: list[str], dataset: Dataset) -> str:
    """Return how to fix a file with unknown labels, given all labels that it has."""
    if isinstance(dataset.labels, dict):
        return f"use {', '.join(dataset.labels)}, or name the value in `labels` in params.yaml, as `VALUE: NAME`"
    names = dataset.labels
    numbers = sorted(int(word) for word in map(plain, spellings) if is_number(word) and len(word) < 20)
    if len(numbers) == len(names) == len(spellings) and not {*spellings} & {*names}:
        pairs = ", ".join(f"{number}: {name}" for number, name in zip(numbers, names, strict=True))
        return f"numbers count from 0 in the order of `labels`; for others write a mapping in params.yaml: {{{pairs}}}"
    fix = f"use the names {', '.join(names)}"
    fix += f", or in all rows their numbers 0 to {len(names) - 1}" * (not any(map(is_number, names)))
    drop = ", or leave the rows out whose label is missing, - or -1, with `drop: [unlabelled]`"
    return f"{fix}, or change `labels` in params.yaml" + drop * any(word in NO_LABEL for word in spellings)


def spelled(values: pd.Series) -> pd.Series:
    """Return values of a column as text without white space around them, and missing ones as empty text."""
    return values.astype(str).str.strip().where(values.notna(), "")


def name_of_sample(label: object, names: list[str]) -> str | None:
    """Return the name of a label that a sample in params.yaml has, as text or a whole number; None if names lack it."""
    name = label_value(label) if isinstance(label, str | int) else None
    return name if name in names else None


def merge_rare(strata: np.ndarray, smallest: int) -> np.ndarray:
    """Merge rare strata into one, so that a stratified sample of `smallest` rows has rows of each stratum.

    A stratum is rare if its share of the sample is less than one row. If all rare strata together are rare, too, the
    smallest of the other strata joins them. The rows outside the sample then have rows of each stratum as well.

    Args:
        strata: The stratum of each row, (rows,).
        smallest: The size of the sample, or of the remaining rows if these are fewer.

    Returns:
        The new stratum of each row, (rows,) int: 0 for the rare strata, and other numbers for the others.
    """
    _, codes, counts = np.unique(strata, return_inverse=True, return_counts=True)
    rare = counts * smallest < len(strata)
    if rare.any() and not rare.all() and counts[rare].sum() * smallest < len(strata):
        rare[np.where(rare, len(strata), counts).argmin()] = True
    return np.where(rare, 0, 1 + np.arange(len(counts)))[codes]
