"""Read Parquet and Arrow files, whose columns have types."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from classifier.tables import rows

PARQUET_BUFFER_BYTES = 2**22  # of a Parquet file to read at a time


def read_columnar(path: Path, kind: str) -> Iterator[pd.DataFrame]:
    """Yield the tables of a file. kind: parquet or arrow. Raises ValueError, with the fix, if the file is damaged."""
    import pyarrow as pa

    start = 1
    try:
        with open_parquet(path) if kind == "parquet" else open_arrow(path) as (schema, batches):
            if repeated := [name for name in schema.names if schema.names.count(name) > 1]:
                raise ValueError(f"several columns are named {repeated[0]!r}; rename all but one")
            for batch in itertools.chain([schema.empty_table()], batches):
                batch.validate(full=True)  # checks the UTF-8 of the texts, for example
                # pandas' metadata would turn a column into the index, and pandas' own types would round large numbers.
                table = with_plain_texts(batch).to_pandas(ignore_metadata=True, types_mapper=pd.ArrowDtype)
                yield table.set_axis(pd.RangeIndex(start, start + len(table), name="row"))
                start += len(table)
    # UnicodeDecodeError comes from the names of columns, JSONDecodeError from the file's metadata.
    except (pa.ArrowException, OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        if getattr(error, "errno", None):  # an error of the disk, not of the file's content
            raise
        problem = str(error).partition("\n")[0]
        raise ValueError(f"not a valid {kind.capitalize()} file: {problem}; write the file again") from None


@contextmanager
def open_parquet(path: Path) -> Iterator[tuple]:
    """Open a Parquet file as (pyarrow Schema, record batches)."""
    from pyarrow.parquet import ParquetFile

    # With pre_buffer the reader would keep whole row groups in memory.
    with ParquetFile(path, buffer_size=PARQUET_BUFFER_BYTES, pre_buffer=False) as file:
        yield file.schema_arrow, file.iter_batches(rows.ROWS_PER_TABLE)


@contextmanager
def open_arrow(path: Path) -> Iterator[tuple]:
    """Open an Arrow file as (pyarrow Schema, record batches). `datasets` writes the streaming form of the format."""
    import pyarrow as pa

    with pa.OSFile(str(path)) as file:
        is_file_form = file.read(6) == b"ARROW1"
        file.seek(0)
        if is_file_form:
            reader = pa.ipc.open_file(file)
            batches = map(reader.get_batch, range(reader.num_record_batches))
        else:
            batches = reader = pa.ipc.open_stream(file)
        yield reader.schema, (part for batch in batches for part in slices(batch))


def slices(batch) -> Iterator:
    """Yield a record batch in slices of at most rows.ROWS_PER_TABLE rows."""
    return (batch.slice(start, rows.ROWS_PER_TABLE) for start in range(0, max(1, len(batch)), rows.ROWS_PER_TABLE))


def with_plain_texts(batch):
    """Return a pyarrow Table in which texts that are stored as numbers of a dictionary, as views or as bytes are texts.

    Bytes that are not UTF-8, such as pictures, stay bytes.
    """
    import pyarrow as pa

    table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
    for number, field in enumerate(table.schema):
        column, kind = table.column(number), field.type
        if pa.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if pa.types.is_string_view(kind):  # pandas cannot handle them
            column = column.cast(pa.large_string())
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            try:
                column = column.cast(pa.large_string())
            except pa.ArrowInvalid:
                continue
        if column is not table.column(number):
            table = table.set_column(number, field.name, column)
    return table


def schema_of(path: Path, kind: str):
    """Return the pyarrow Schema of a file that `read_columnar` has read."""
    with open_parquet(path) if kind == "parquet" else open_arrow(path) as (schema, _):
        return schema
