"""Rows of any number as Arrow: looked at before they are scored, converted, and written as Parquet."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from classifier.dataset.checking import are_labels
from classifier.dataset.quotes import refuse_swallowed_rows
from classifier.dataset.tables import read_rows
from classifier.errors import InputError
from classifier.files.writing import written

PART = "{:07}.parquet"
GROUP_ROWS, GROUP_BYTES = 2**16, 2**24  # of a row group of the result, about: its footer has an entry for each


def examined(path: Path, columns: Sequence[str], labels: list[str]) -> tuple:
    """(pyarrow Schema, number of rows) of a file, which is read to its end, or InputError for what cannot be scored.

    columns: of texts; labels: of the model, by which rows inside a text are known if the file has a column of labels.

    A row of JSON may lack keys that others have, or have null or a whole number for what is a text or a fraction there.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    schema, total = pa.schema([]), 0
    for table in read_rows(path):
        total += len(table)
        if path.suffix == ".csv":
            for column in table.columns.difference(columns):
                if are_labels(*{*table[column].str.strip()}, names=labels):
                    refuse_swallowed_rows(path, table, column, partial(are_labels, names=labels))
        with arrow_errors_refused(path, table):
            schema = pa.unify_schemas([schema, arrow_table(table).schema], promote_options="permissive")
        if path.suffix != ".jsonl":  # the others' columns are known at once
            check_columns(path, columns, schema.names)
    if not total:
        raise InputError(f"{path}: has no rows")
    check_columns(path, columns, schema.names)
    kinds = {column: schema.field(column).type for column in columns}
    of_several = {kind for kind in kinds.values() if not pa.types.is_null(kind)}  # one may be missing in all rows
    for column, kind in kinds.items():
        of = kind.value_type if pa.types.is_dictionary(kind) else kind
        text = pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of)
        if not (text or (pa.types.is_null(kind) and of_several)):
            raise InputError(f"{path}: column {column!r} holds {kind}, not text; name another with --column")
    with arrow_errors_refused(path), ParquetWriter(pa.BufferOutputStream(), schema):
        pass  # a type that Parquet has not is refused
    return schema, total


def check_columns(path: Path, columns: Sequence[str], names: list[str]) -> None:
    for column in columns:
        if column not in names:
            raise InputError(
                f"{path}: no column {column!r}; the texts are read from {', '.join(columns)}, and the file has "
                f"{', '.join(names)}; name the columns of its texts with --column"
            )
    if taken := {"predicted", "confidence"}.intersection(names):
        raise InputError(f"{path}: has a column {taken.pop()!r} already; rename it")


def arrow_table(table, schema=None):
    """A DataFrame of read_rows as a pyarrow Table, of the types that its values have or of a schema for all rows."""
    import pandas as pd
    import pyarrow as pa

    if schema:
        table = pd.DataFrame({name: table.get(name) for name in schema.names}, table.index)
    return pa.Table.from_pandas(table, schema, preserve_index=False).replace_schema_metadata()


@contextmanager
def arrow_errors_refused(path: Path, table=None) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OverflowError) as error:
        place = "" if table is None else f"{table.index.name}s {table.index[0]} to {table.index[-1]}: "
        raise InputError(f"{path}: {place}{'; '.join(map(str, error.args))}; fix the file") from None


def row_groups(folder: Path) -> Iterator:
    """The rows of all parts in a folder as pyarrow Tables, few of them but none larger than memory must hold."""
    import pyarrow as pa
    from pyarrow import parquet

    tables = []
    for part in sorted(folder.glob("*.parquet"), key=lambda part: int(part.stem)):
        tables.append(parquet.read_table(part, partitioning=None))  # a folder's name may have a "="
        if sum(map(len, tables)) >= GROUP_ROWS or sum(table.nbytes for table in tables) >= GROUP_BYTES:
            yield pa.concat_tables(tables)
            tables.clear()
    if tables:
        yield pa.concat_tables(tables)


def is_whole(part: Path) -> bool:
    """Whether a part is there and can be read: a power cut may leave an empty file."""
    import pyarrow as pa
    from pyarrow.parquet import read_metadata

    with suppress(FileNotFoundError, pa.ArrowInvalid):
        return read_metadata(part).num_rows > 0
    return False


def write_whole(path: Path, schema, tables: Iterable) -> None:
    """Write pyarrow Tables of this schema as one Parquet file, a row group each: all of it or nothing."""
    from pyarrow.parquet import ParquetWriter

    # Statistics, of which a text's are long, would stay in memory until the end.
    with written(path) as part, ParquetWriter(part, schema, write_statistics=False) as writer:
        for table in tables:
            writer.write_table(table)
            del table  # before the next is read
