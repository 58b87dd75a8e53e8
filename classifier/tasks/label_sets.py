"""Read sets of labels from files, and write each set as a value, such as "0 3" for the labels with these numbers.

task.py describes the functions that have no docstring here.
"""

import ast
import json
from contextlib import suppress

import numpy as np
import pandas as pd

from classifier.params.datasets import Dataset
from classifier.tasks import labels as names_and_numbers
from classifier.tasks.labels import (
    KNOWN,
    LEFT_OUT,
    NO_LABEL,
    UNKNOWN,
    is_number,
    label_numbers,
    merge_rare,
    plain,
    spelled,
)


def label_cells(table: pd.DataFrame, dataset: Dataset) -> pd.Series:
    """Return the labels of each row as a list in JSON, "" if they are missing.

    A single column has a list, which may be empty, or names joined by `label_separator`. Each of several columns has 1
    or true in the rows with its label, and 0 or false in other rows. As for single labels, - and -1 mean that the
    labels are missing, unless a label has this name.
    """
    columns = dataset.label_columns
    if len(columns) == 1:
        missing = {f'["{mark}"]': "" for mark in NO_LABEL if mark not in (dataset.labels or ())}
        return table[columns[0]].map(lambda value: listed(value, dataset.label_separator)).replace(missing)
    marks = pd.DataFrame({name: spelled(table[name]).map(plain) for name in columns})

    def row_labels(row: tuple) -> str:
        found = []
        for name, mark in zip(columns, row, strict=True):
            if mark in NO_LABEL:
                return ""
            if mark not in ("0", "false"):
                found.append(name if mark in ("1", "true") else f"{name}={mark}")
        return json.dumps(found, ensure_ascii=False)

    rows = [row_labels(row) for row in marks.itertuples(index=False)]
    return pd.Series(rows, table.index, dtype=object)


def listed(value: object, separator: str | None) -> str:
    """Return one value of a column as a list in JSON, "" if it is missing.

    A text can be a list in JSON, or as Python prints it and pandas writes it into a .csv: ["a", "b"] or ['a', 'b'].
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return json.dumps([str(label).strip() for label in value], ensure_ascii=False)
    if pd.isna(value):
        return ""
    text = str(value).strip()
    if text.startswith("["):
        for parse in (json.loads, ast.literal_eval):
            with suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                return listed([*parse(text)], None)
    if separator is None:
        return text and listed([text], None)
    return listed([label for label in text.split(separator) if label.strip()], None)


def read_labels(spellings: list[str], dataset: Dataset, are_numbers: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return (value, status) of each spelling. A label that the entry maps to null is left out of its rows.

    Lists of marks, with a 0 or 1 for each label, are refused. A list that repeats a number is unknown, and so are true
    and false if they are no names. If the data set has two labels, the marks [0, 1] and [1, 0] repeat no number. Both
    are unknown if the file has both, because lists of numbers would have the numbers in one order.
    """
    sets = [json.loads(text) if text else [] for text in spellings]
    words = list(dict.fromkeys(word for labels in sets for word in labels))
    names = dataset.labels or dataset.label_names
    numbers = dict(zip(words, label_numbers(words, names, are_numbers), strict=True))
    numbers |= {word: UNKNOWN for word in words if plain(word) in ("true", "false") and word not in names}
    rows = [sorted({int(numbers[word]) for word in labels} - {LEFT_OUT}) for labels in sets]
    two_marks = marks_of_two(sets, dataset)
    unknown = [
        UNKNOWN in row or repeats_number(labels) or (two_marks and len(labels) == 2)
        for row, labels in zip(rows, sets, strict=True)
    ]
    status = [UNKNOWN if not text or bad else KNOWN for text, bad in zip(spellings, unknown, strict=True)]
    return np.array([" ".join(map(str, row)) for row in rows], dtype=object), np.array(status, dtype=np.int64)


def repeats_number(labels: list[str]) -> bool:
    """Return whether a list has a number twice. Most lists of marks, with a 0 or 1 for each label, do."""
    return len(set(labels)) < len(labels) and any(is_number(plain(word)) for word in labels if labels.count(word) > 1)


def marks_of_two(sets: list[list[str]], dataset: Dataset) -> bool:
    """Return whether a data set of two labels, none named 0 or 1, has both [0, 1] and [1, 0] among its lists."""
    if len(dataset.label_names) != 2 or {"0", "1"} & {*dataset.label_names}:
        return False
    return {("0", "1"), ("1", "0")} <= {tuple(map(plain, labels)) for labels in sets}


def labels_fix(spellings: list[str], dataset: Dataset) -> str:
    if len(dataset.label_columns) > 1:
        return "write 1 or true in the rows with the column's label, and 0 or false in other rows"
    sets = [json.loads(text) for text in spellings if text]
    words = list(dict.fromkeys(word for labels in sets for word in labels))
    if any(map(repeats_number, sets)) or marks_of_two(sets, dataset) or {*map(plain, words)} & {"true", "false"}:
        return "list the names of the text's labels; marks of 0 and 1 need a column for each label"
    fix = names_and_numbers.labels_fix(words, dataset)
    joined = any(mark in word for mark in ",;|" for word in words)
    return fix + "; if names are joined, set `label_separator`" * (joined and not dataset.label_separator)


def needed_labels(values: pd.Series) -> dict[int, int]:
    counts = {}
    for value, count in values.value_counts().items():
        for number in value.split():
            counts[int(number)] = counts.get(int(number), 0) + count
    return counts


def strata(values: pd.Series, smallest: int) -> np.ndarray:
    """Return the stratum of each row: its rarest label. A random sample would not keep the shares of rare labels."""
    counts = needed_labels(values)
    codes, sets = pd.factorize(values)
    rarest = [min(map(int, text.split()), key=counts.get, default=-1) for text in sets]
    return merge_rare(np.array(rarest)[codes], smallest)


def label_array(values: pd.Series, names: list[str]) -> np.ndarray:
    codes, sets = pd.factorize(values)
    rows = np.zeros((len(sets), len(names)), dtype=np.uint8)
    for row, text in zip(rows, sets, strict=True):
        row[[int(number) for number in text.split()]] = 1
    return rows[codes]


def micro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Return the F1 of all pairs of a text and a label; 1 if no text has a label and none is predicted."""
    return f1((labels & predicted).sum(), predicted.sum(), labels.sum())


def f1(right: int, predicted: int, actual: int) -> float:
    """Return the F1 of counts: predicted labels that are right, predicted labels, actual labels. 1 without a label."""
    return float(2 * right / (predicted + actual)) if predicted + actual else 1.0
