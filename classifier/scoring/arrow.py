"""Rows of a file of any size as Arrow tables: checked before they are scored, converted, and written as Parquet."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from classifier.dataset.checking import are_labels
from classifier.dataset.quotes import refuse_swallowed_rows
from classifier.dataset.tables import read_rows
from classifier.errors import InputError
from classifier.files.writing import replace_file

ADDED = ("predicted", "confidence")  # the columns that scoring adds


def examine(path: Path, columns: Sequence[str], labels: list[str]) -> tuple:
    """Read a file to its end and check that its rows can be scored and written as Parquet.

    Args:
        path: A .csv, .jsonl or .parquet file.
        columns: The names of the columns that hold the texts.
        labels: The names of the model's labels. If a .csv has a column of labels, they show where a stray quote has
            made one text of several rows.

    Returns:
        (schema, number of rows). The pyarrow schema has the columns and types of all rows together: a row of JSON may
        lack a key that other rows have, and may hold null or an integer where other rows hold a text or a fraction.

    Raises:
        InputError: The file cannot be read, has no rows, lacks a column of texts or holds no texts in it, has a column
            that scoring adds, or has a type that Parquet cannot store.
    """
    import pyarrow as pa

    schema, row_count = pa.schema([]), 0
    for table in read_rows(path):
        row_count += len(table)
        if path.suffix == ".csv":
            check_quotes(path, table, columns, labels)
        with input_errors_of_arrow(path, table):
            schema = pa.unify_schemas([schema, arrow_table(table).schema], promote_options="permissive")
        if path.suffix != ".jsonl":  # the first table shows all columns
            check_columns(path, columns, schema.names)
    if not row_count:
        raise InputError(f"{path}: has no rows")
    check_columns(path, columns, schema.names)
    check_types(path, columns, schema)
    return schema, row_count


def check_quotes(path: Path, table, columns: Sequence[str], labels: list[str]) -> None:
    """Raise InputError if a stray quote has put several rows into one field. A column of labels reveals such rows."""
    for column in table.columns.difference(columns):
        if are_labels(*{*table[column].str.strip()}, names=labels):
            refuse_swallowed_rows(path, table, column, partial(are_labels, names=labels))


def check_columns(path: Path, columns: Sequence[str], names: list[str]) -> None:
    """Raise InputError if the file, which has columns of these names, lacks one that is needed or has one of ADDED."""
    for column in columns:
        if column not in names:
            raise InputError(
                f"{path}: no column {column!r}; the texts are read from {', '.join(columns)}, and the file has "
                f"{', '.join(names)}; name the columns of its texts with --column"
            )
    if taken := [column for column in ADDED if column in names]:
        raise InputError(f"{path}: has a column {taken[0]!r} already; rename it")


def check_types(path: Path, columns: Sequence[str], schema) -> None:
    """Raise InputError if a column of texts holds something else, or if Parquet cannot store a type of the schema.

    If the texts are in several columns, some of them may be empty in all rows, but not all of them.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    types = {column: schema.field(column).type for column in columns}
    all_empty = all(map(pa.types.is_null, types.values()))
    for column, kind in types.items():
        value = kind.value_type if pa.types.is_dictionary(kind) else kind
        is_text = pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value)
        if not is_text and (all_empty or not pa.types.is_null(kind)):
            raise InputError(f"{path}: column {column!r} holds {kind}, not text; name another with --column")
    with input_errors_of_arrow(path), ParquetWriter(pa.BufferOutputStream(), schema):
        pass  # opening the writer checks the types


def arrow_table(table, schema=None):
    """Return a DataFrame of `read_rows` as a pyarrow Table, with the types of its own values or of a given schema."""
    import pandas as pd
    import pyarrow as pa

    if schema:
        table = pd.DataFrame({name: table.get(name) for name in schema.names}, table.index)
    return pa.Table.from_pandas(table, schema, preserve_index=False).replace_schema_metadata()


@contextmanager
def input_errors_of_arrow(path: Path, table=None) -> Iterator[None]:
    """Raise an error of pyarrow as an InputError that names the file and the lines or rows of the table."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OverflowError) as error:
        place = "" if table is None else f"{table.index.name}s {table.index[0]} to {table.index[-1]}: "
        raise InputError(f"{path}: {place}{'; '.join(map(str, error.args))}; fix the file") from None


def write_parquet(path: Path, schema, tables: Iterable) -> None:
    """Write pyarrow Tables of one schema to a Parquet file, one row group for each, completely or not at all."""
    from pyarrow.parquet import ParquetWriter

    # The writer would keep the statistics, which are long for texts, in memory until the end.
    with replace_file(path) as unfinished, ParquetWriter(unfinished, schema, write_statistics=False) as writer:
        for table in tables:
            writer.write_table(table)
            del table  # free its memory before the next one is read
