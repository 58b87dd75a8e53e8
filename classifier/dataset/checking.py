"""A data set's rows, checked, and known by numbers from then on: no text is kept beyond the table at hand."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from classifier.dataset.quotes import refuse_swallowed_rows
from classifier.dataset.tables import joined, read_rows
from classifier.errors import InputError
from classifier.params.catalogue import Dataset
from classifier.text.cleaning import blank

FAULTS = [  # of a row, in the order in which they are told: the column, and what is wrong with it
    ("text", "no text; fill it or drop the row"),
    ("text", "not a text; put it in quotes"),
    ("text", "empty text; fill it or drop the row"),
    ("label", "missing label; fill it or drop the row"),
]


def read_split(paths: list[Path], dataset: Dataset) -> pd.DataFrame:
    """The rows of all files, some 40 bytes each, numbered from 0: label (a number), words (how many the text has),
    high and low (the halves of digest(text)).

    Raises InputError that names the file, the row and the column.
    """
    rows = pd.concat([check_file(path, dataset) for path in paths], ignore_index=True)
    if missing := set(range(len(dataset.labels))) - set(rows["label"].unique()):
        name = dataset.labels[min(missing)]
        raise InputError(
            f"{paths[0]}: column {dataset.label!r}: no row has the label {name!r}; fix the file or `labels`"
        )
    return rows


def check_file(path: Path, dataset: Dataset) -> pd.DataFrame:
    """What read_split returns, of one file, whose labels are understood once all have been seen."""
    seen: dict[str, int] = {}  # the different labels, as they stand in the file -> their place in this dict
    rows = pd.concat([numbers_of(table, seen) for table in selected_rows(path, dataset)])

    def refuse(bad: pd.Series, column: str, problem: str) -> None:
        if bad.any():
            place = f"{rows.index.name} {bad.idxmax()}, column {column}"
            raise InputError(f"{path}: {place}: {problem} (such rows: {int(bad.sum())})")

    named = names_in_file(path, dataset) if path.suffix == ".parquet" else None
    for number, (column, problem) in enumerate(FAULTS):
        names = dataset.text if column == "text" else [dataset.label]
        refuse(rows["fault"] == number, " and ".join(map(repr, names)), problem)
    words, numbers = understood(list(seen), dataset.labels, are_numbers=named is not None)
    unknown = pd.Series(numbers[rows["seen"]] < 0, rows.index)
    what = f"unknown label {words[rows['seen'][unknown].iloc[0]]!r:.40}" if unknown.any() else ""
    refuse(unknown, repr(dataset.label), f"{what}; the labels are {', '.join(dataset.labels)}")
    return rows.assign(label=numbers[rows["seen"]])[["label", "words", "high", "low"]]


def selected_rows(path: Path, dataset: Dataset) -> Iterator[pd.DataFrame]:
    """The columns text and label of one file, in tables; rows that `where` leaves out are not looked at.

    Raises InputError, at the end, if a column or all rows are missing.
    """
    where = getattr(dataset.source, "where", {})
    needed = list(dict.fromkeys([*where, *dataset.text, dataset.label]))
    columns, count = {}, 0
    for table in read_rows(path):
        columns |= dict.fromkeys(table.columns)
        if path.suffix == ".csv" and dataset.label in table:
            known = {*table[dataset.label].str.strip()}
            refuse_swallowed_rows(path, table, dataset.label, partial(are_labels, *known, names=dataset.labels))
        # None where a table has no such column: a row of JSON may leave out what others have.
        values = {column: [*table[column]] if column in table else None for column in needed}
        table = pd.DataFrame(values, index=table.index, dtype=object)
        for column, value in where.items():
            table = table[table[column] == value]
        count += len(table)
        yield pd.DataFrame({"text": joined(table, dataset.text, dataset.separator), "label": table[dataset.label]})
    for column in needed:
        if column not in columns:
            raise InputError(f"{path}: no column {column!r}; it has {', '.join(map(repr, columns))}")
    if not count:
        raise InputError(f"{path}: no rows; fix the file or `source` in params.yaml")


def names_in_file(path: Path, dataset: Dataset) -> list[str] | None:
    """What a Parquet file's own metadata, as `datasets` writes them, call the numbers in its column of labels.

    Raises InputError if the data set's entry has one of these names for another number. Other names are a renaming.
    """
    from pyarrow import types
    from pyarrow.parquet import read_schema

    schema = read_schema(path)
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        named = [name.strip() for name in features[dataset.label]["names"]]
    except (ValueError, LookupError, TypeError, AttributeError):  # the file says nothing of them
        return None
    if not types.is_integer(schema.field(dataset.label).type):
        return None
    own, wanted = named, [name.strip() for name in dataset.labels]
    if len({name.casefold() for name in named}) == len(named):
        own, wanted = ([name.casefold() for name in names] for names in (own, wanted))
    if any(name in wanted and wanted.index(name) != number for number, name in enumerate(own)):
        numbers = ", ".join(f"{number} {name}" for number, name in enumerate(named))
        raise InputError(
            f"{path}: column {dataset.label!r}: its numbers are {numbers} by the file's own names; write `labels` in "
            "that order"
        )
    return named


def numbers_of(table: pd.DataFrame, seen: dict[str, int]) -> pd.DataFrame:
    """What is remembered of some rows: fault (an index into FAULTS or their number), seen, words, high and low.

    seen: grows by the labels that are new.
    """
    text, label = table["text"], table["label"]
    is_text = text.map(lambda value: isinstance(value, str)).astype(bool)
    texts = text.where(is_text, "")
    names = label.astype(str).str.strip().where(label.notna(), "")
    faults = [text.isna(), ~is_text, texts.map(blank).astype(bool), names == ""]
    halves = np.frombuffer(b"".join(map(digest, texts)), dtype=np.uint64).reshape(-1, 2)
    return pd.DataFrame(
        {
            "fault": np.select(faults, range(len(FAULTS)), len(FAULTS)).astype(np.int8),
            "seen": np.array([seen.setdefault(name, len(seen)) for name in names], dtype=np.int32),
            "words": np.array([len(value.split()) for value in texts], dtype=np.int32),
            "high": halves[:, 0],
            "low": halves[:, 1],
        },
        index=table.index,
    )


def normalize(text: str) -> str:
    """The text by which duplicates are found: `"A  Film\n"` and `"a film"` are equal, and so are the two ways in which
    Unicode writes a letter with an accent.
    """
    folded = unicodedata.normalize("NFD", text).casefold()
    return " ".join(unicodedata.normalize("NFC", folded).split())


def digest(text: str) -> bytes:
    """16 bytes that are equal for equal texts, and for no others: 128 bits leave no room for chance."""
    return hashlib.blake2b(normalize(text).encode(), digest_size=16).digest()


def understood(values: Iterable[str], labels: list[str], are_numbers: bool = False) -> tuple[pd.Series, np.ndarray]:
    """(the different labels of a file as they are meant, their numbers or -1).

    They are names, or else numbers, whatever type the file gave them: 1, "1" or 1.0. are_numbers: they are no names,
    even if they look like some.
    """
    words = pd.Series(list(values), dtype=str)
    if (lower := words.str.lower()).isin(("false", "true")).all():  # as one program or another writes them
        names = {name.lower(): name for name in labels}
        words = lower.map({"false": names.get("false", "0"), "true": names.get("true", "1")})
    by_name = words.isin(labels) & (not are_numbers)
    words = words.str.replace(r"^(-?\d+)\.0$", r"\1", regex=True).where(~by_name, words)
    by_name = words.isin(labels).any() and not are_numbers
    known = labels if by_name else [str(number) for number in range(len(labels))]
    return words, pd.Index(known).get_indexer(words)


def are_labels(*values: str, names: list[str]) -> bool:
    """Whether these values of a column are all understood as labels, side by side."""
    return bool((understood(values, names)[1] >= 0).all())
