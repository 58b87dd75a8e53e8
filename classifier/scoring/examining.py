"""Read a file to its end, and refuse it if it cannot be scored."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from classifier.errors import InputError
from classifier.scoring.columns import ColumnTypes, output_schema
from classifier.scoring.job import Job
from classifier.tables.columnar import schema_of
from classifier.tables.delimited import delimiter_of
from classifier.tables.hints import delimiter_hint
from classifier.tables.quotes import refuse_swallowed_rows
from classifier.tables.reading import column_values, read_rows
from classifier.tables.rows import PLACES_SHOWN, list_places
from classifier.tasks.labels import UNKNOWN, label_numbers


def examine(job: Job, labels: list[str]) -> tuple:
    """Read the input of a job to its end and check that its rows can be scored.

    Args:
        job: The input, its columns of texts, and the columns to keep.
        labels: The names of the model's labels. If a .csv has a column of labels, they show where a stray quote has
            made one text of several rows.

    Returns:
        (schema, number of rows). The pyarrow schema has the columns to write, with types for all rows together: a row
        of JSON may lack a key that other rows have, and may hold null or an integer where other rows hold a text or a
        fraction.

    Raises:
        InputError: The file cannot be read, has no rows, lacks a column, holds something else in a column of texts, or
            has a column that scoring adds.
    """
    kind, texts, types, row_count = job.kind, [TextColumn(name) for name in job.columns], ColumnTypes(), 0
    for table in read_rows(job.path, job.form):
        row_count += len(table)
        if kind == "csv":
            check_quotes(job, table, labels)
        for column in texts:
            column.add(table)
        if kind not in ("parquet", "arrow"):
            types.add(table)
        if kind != "json":  # the first table shows all columns, but perhaps not all keys of an object
            check_columns(job, [text.name for text in texts if not text.may_be_in(table)], [*table])
    if not row_count:
        raise InputError(f"{job.path}: has no rows")
    if kind in ("parquet", "arrow"):
        types.types = {field.name: field.type for field in schema_of(job.path, kind)}
    check_columns(job, [text.name for text in texts if not text.is_found], [*types.types])
    check_texts(job, texts)
    return output_schema(types.types, dict.fromkeys(job.keep or types.types), job.out.suffix), row_count


def check_quotes(job: Job, table: pd.DataFrame, labels: list[str]) -> None:
    """Raise InputError if a stray quote has put several rows into one field. A column of labels reveals such rows."""
    for column in table.columns.difference(job.columns):
        if are_labels(*{*table[column].str.strip()}, labels=labels):
            is_label, delimiter = partial(are_labels, labels=labels), delimiter_of(job.path, job.form)[0]
            refuse_swallowed_rows(job.path, table, column, is_label, delimiter)


def are_labels(*values: str, labels: list[str]) -> bool:
    """Return whether one file can have all these values as labels: all are names, or all are numbers."""
    return bool((label_numbers(list(values), labels) != UNKNOWN).all())


def check_columns(job: Job, missing: Sequence[str], names: list[str]) -> None:
    """Raise InputError if a file lacks a column, or has one that scoring adds.

    Args:
        job: The file, its columns of texts and the columns to keep.
        missing: The columns of texts that the file lacks.
        names: The columns that the file has.
    """
    if missing:
        hint = delimiter_hint(names, delimiter_of(job.path, job.form)) if job.kind == "csv" else ""
        raise InputError(
            f"{job.path}: no column {missing[0]!r}; the texts are read from {', '.join(job.columns)}, and the file has "
            f"{', '.join(names)}; {hint or 'name the columns of its texts with --column'}"
        )
    if unknown := [name for name in job.keep if name not in names]:
        raise InputError(f"{job.path}: no column {unknown[0]!r} to keep; the file has {', '.join(names)}")
    if taken := [name for name in job.added if name in (job.keep or names)]:
        raise InputError(f"{job.path}: has a column {taken[0]!r} already; rename it, or leave it out with --keep")


def check_texts(job: Job, texts: Sequence["TextColumn"]) -> None:
    """Raise InputError if a column of texts holds something else, or if none of the columns holds a text.

    If the texts are in several columns, a column may be empty in all rows as long as another one has a text. For pairs
    of texts, both columns need a text.
    """
    for column in texts:
        if column.count:
            places = list_places(column.place, column.places, column.count)
            fix = "write it as a string, or name another column with --column"
            raise InputError(f"{job.path}: column {column.name!r}: not a text in {places}; {fix}")
    empty = [column for column in texts if not column.has_text]
    if len(empty) == len(texts) or (job.pair and empty):
        names = " and ".join(repr(column.name) for column in empty)
        raise InputError(f"{job.path}: column {names}: no text in any row; name another with --column")


class TextColumn:
    """A column of texts and what its rows hold, gathered while the tables of a file are read.

    Attributes:
        name: The name, in which a dot may lead into an object.
        is_found: Whether a table has the column.
        has_text: Whether a row has a text.
        place: The kind of the places: line or row.
        places: The first places of values that are not texts.
        count: The number of these values.
    """

    def __init__(self, name: str):
        self.name, self.place, self.places, self.count = name, "", [], 0
        self.is_found = self.has_text = False

    def may_be_in(self, table: pd.DataFrame) -> bool:
        """Return whether a file, of which this is the first table, can have the column."""
        return self.is_found or self.name.partition(".")[0] in table

    def add(self, table: pd.DataFrame) -> None:
        """Take in the rows of one more table."""
        values = column_values(table, self.name)
        if values is None:
            return
        values, self.is_found = values.dropna(), True
        is_text = values.map(lambda value: isinstance(value, str)).astype(bool)
        self.has_text |= is_text.any()
        faulty = values.index[~is_text]
        self.place, self.count = table.index.name, self.count + len(faulty)
        self.places += [*faulty[: PLACES_SHOWN - len(self.places)]]
