"""Check the rows of a data set and describe each row by numbers.

A file is read in four phases: read its rows in tables (selected_rows.py), describe each row by numbers
(`describe_rows`), read the labels (`read_labels` of the task), and leave out the rows that `drop` and `labels` of the
data set's entry exclude (`leave_out`) and refuse the faulty rows (`refuse_faults`). The last two phases need all rows
of the file, but not the texts. So the texts of a table are freed as soon as its rows are described.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from classifier.dataset.faults import EMPTY, NO_GROUP, NO_TEXT, NOT_A_TEXT, ONE_TEXT, UNLABELLED, refuse_faults
from classifier.dataset.named_numbers import has_named_numbers
from classifier.dataset.selected_rows import read_selected_rows
from classifier.errors import InputError
from classifier.params.datasets import Dataset
from classifier.tables.reading import kind_of
from classifier.tasks.labels import KNOWN, LEFT_OUT, NO_LABEL, plain, spelled
from classifier.tasks.task import TASKS
from classifier.text.cleaning import is_blank
from classifier.text.duplicates import digest
from classifier.text.pairs import parts
from classifier.text.words import count_words

NOTHING_TO_READ = NO_TEXT | EMPTY | ONE_TEXT  # the faults of rows that `drop: [empty]` leaves out


def read_split(paths: list[Path], dataset: Dataset, split: str = "train") -> tuple[pd.DataFrame, Counter]:
    """Return (the rows of one split's files, how many rows were left out by reason).

    The table describes each row by about 40 bytes. Its index is the number of the row, from 0, counted over all files.
    Rows that `drop` or `labels` leaves out are counted, too, but not rows that `where` excludes. The columns are label
    (its value, see classifier/tasks), words (the number of words), high and low (the halves of `digest(text)`) and, if
    the entry has a `group`, group (a number that is equal for equal values).

    Raises:
        InputError: Files or rows are faulty (the message has the places and the column), or a label has no row. A test
            split may lack a label.
    """
    tables, counts, start = [], Counter(), 0
    for path in paths:
        rows, total, left_out = read_file(path, dataset, split)
        tables.append(rows.set_index(rows.index + start))
        counts.update(left_out)
        start += total
    rows = pd.concat(tables)
    if not start:
        where = " and ".join(
            f"{value!r} in column {column!r}" for column, value in dataset.required_values(split).items()
        )
        problem = f"no rows with {where}" if where else "no rows"
        raise InputError(f"{paths[0]}: {problem}; fix the file or `source` in params.yaml")
    if rows.empty:
        raise InputError(
            f"{paths[0]}: no rows are left, since `drop` or `labels` leaves all out; fix them in params.yaml"
        )
    if split != "test":
        refuse_missing_label(rows["label"], dataset, paths[0])
    return rows, counts


def refuse_missing_label(labels: pd.Series, dataset: Dataset, path: Path) -> None:
    """Raise InputError if a label that every split needs has no row."""
    counts = TASKS[dataset.task].needed_labels(labels)
    for number, name in enumerate(dataset.label_names if counts is not None else []):
        if not counts.get(number):
            column = " and ".join(map(repr, dataset.label_columns))
            fix = "add rows with this label or remove it from `labels` in params.yaml"
            raise InputError(f"{path}: column {column}: no row has the label {name!r}; {fix}")


def read_file(path: Path, dataset: Dataset, split: str) -> tuple[pd.DataFrame, int, Counter]:
    """Return (the rows of one file as `read_split` does, the number of rows read, the counts of rows left out)."""
    spellings: dict[str, int] = {}  # each label, as the file writes it, and its place in the order of appearance
    rows = pd.concat([describe_rows(table, spellings) for table in read_selected_rows(path, dataset, split)])
    places, total = rows.index, len(rows)
    rows.index = pd.RangeIndex(total)
    are_numbers = has_named_numbers(path, kind_of(path, dataset.format), dataset)
    values, status = TASKS[dataset.task].read_labels(list(spellings), dataset, are_numbers)
    described = rows.assign(label=values[rows["spelling"]], status=status[rows["spelling"]])
    rows, counts = leave_out(described, list(spellings), dataset)
    refuse_faults(path, rows, places, list(spellings), dataset)
    return rows.drop(columns=["faults", "spelling", "status"]), total, counts


def leave_out(rows: pd.DataFrame, spellings: list[str], dataset: Dataset) -> tuple[pd.DataFrame, Counter]:
    """Return (the rows that `drop` and `labels` do not leave out, the number of rows left out for each reason)."""
    no_label = np.isin([plain(word) for word in spellings], NO_LABEL)[rows["spelling"]] & (rows["status"] != KNOWN)
    reasons = {"rows_dropped_by_label": rows["status"] == LEFT_OUT}
    if "unlabelled" in dataset.drop:
        reasons["unlabelled_rows_dropped"] = no_label & ~reasons["rows_dropped_by_label"]
    if "empty" in dataset.drop:
        # A number or a list in place of a text has no word either, but it is a fault of the file.
        is_other = (rows["faults"] & NOT_A_TEXT > 0) & (rows["faults"] & NO_TEXT == 0)
        is_empty = (rows["faults"] & NOTHING_TO_READ > 0) & ~is_other
        reasons["empty_rows_dropped"] = is_empty & ~np.any([*reasons.values()], axis=0)
    if not (isinstance(dataset.labels, dict) and None in dataset.labels.values()):
        del reasons["rows_dropped_by_label"]
    counts = Counter({reason: int(dropped.sum()) for reason, dropped in reasons.items()})
    return (rows[~np.any([*reasons.values()], axis=0)] if reasons else rows), counts


def describe_rows(table: pd.DataFrame, spellings: dict[str, int]) -> pd.DataFrame:
    """Return the numbers that describe each row of a table: faults, spelling, words, high, low and perhaps group.

    faults has a bit for each fault. A row can have several: a missing text is also not a text, and empty. spelling is
    the number of the row's label in `spellings`. A label that `spellings` lacks is added to it.
    """
    text, labels = table["text"], table["label"]
    is_text = text.map(lambda value: isinstance(value, str | tuple)).astype(bool)
    texts = text.where(is_text, "")
    blank = [[is_blank(part) for part in parts(value)] for value in texts]
    found = {
        NO_TEXT: text.isna(),
        NOT_A_TEXT: ~is_text,
        EMPTY: pd.Series([*map(all, blank)], table.index, dtype=bool),
        ONE_TEXT: pd.Series([*map(any, blank)], table.index, dtype=bool),
        UNLABELLED: labels == "",
    }
    more = {}
    if "group" in table:
        groups = spelled(table["group"]).map(plain)
        found[NO_GROUP] = groups == ""
        more["group"] = np.array([int.from_bytes(digest(name)[:8], "little", signed=True) for name in groups], np.int64)
    halves = np.frombuffer(b"".join(map(digest, texts)), dtype=np.uint64).reshape(-1, 2)
    columns = {
        "faults": sum((rows.to_numpy(dtype=np.int8) * np.int8(fault) for fault, rows in found.items()), np.int8(0)),
        "spelling": np.array([spellings.setdefault(name, len(spellings)) for name in labels], dtype=np.int32),
        "words": np.array([sum(map(count_words, parts(value))) for value in texts], np.int32),
        "high": halves[:, 0],
        "low": halves[:, 1],
    }
    return pd.DataFrame(columns | more, index=table.index)
