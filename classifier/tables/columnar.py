"""Read Parquet and Arrow files, whose columns have types."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from classifier.tables import rows

PARQUET_BUFFER_BYTES = 2**22  # of a Parquet file to read at a time


def read_columnar(path: Path, kind: str) -> Iterator[pd.DataFrame]:
    """Yield the tables of a file: first one with all columns and no row, then those with the rows.

    kind: parquet or arrow.

    Raises ValueError, with the fix, if the file is damaged or two columns have the same name.
    """
    import pyarrow as pa

    start = 1
    try:
        with open_parquet(path) if kind == "parquet" else open_arrow(path) as (schema, batches):
            if repeated := [name for name in schema.names if schema.names.count(name) > 1]:
                raise ValueError(f"several columns are named {repeated[0]!r}; rename all but one")
            yield pd.DataFrame(columns=schema.names, index=pd.RangeIndex(1, 1, name="row"), dtype=object)
            for batch in batches:
                batch.validate(full=True)  # checks the UTF-8 of the texts, for example
                yield to_frame(batch).set_axis(pd.RangeIndex(start, start + len(batch), name="row"))
                start += len(batch)
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


def to_frame(batch) -> pd.DataFrame:
    """Return a record batch as a DataFrame with all texts as strings.

    Arrow can store a text as bytes, as a view, or as a number that stands for an entry of a dictionary. Bytes that are
    not UTF-8, such as pictures, stay bytes. A column of a type that pandas lacks has Python objects.
    """
    return pd.DataFrame(
        {name: to_series(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    )


def to_series(column) -> pd.Series:
    """Return a column of a record batch as a Series; see `to_frame`. A missing value is None or pandas.NA."""
    from pyarrow import ArrowException, large_string, types

    if types.is_dictionary(column.type):
        column = without_views(column.dictionary).take(column.indices)
    column = without_views(column)
    if types.is_binary(column.type) or types.is_large_binary(column.type):
        try:
            column = column.cast(large_string())
        except ArrowException:  # one of the values is not UTF-8
            return pd.Series(map(decoded, column.to_pylist()), dtype=object)
    try:
        _ = pd.ArrowDtype(column.type).type  # raises an error for a type that pandas lacks
        return pd.Series(pd.arrays.ArrowExtensionArray(column))  # pandas' own types would round large numbers
    except NotImplementedError:
        return pd.Series(column.to_pylist(), dtype=object)


def without_views(column):
    """Return a column of views of texts or bytes in the layout that all of pyarrow takes, and any other unchanged."""
    from pyarrow import large_binary, large_string, types

    layouts = {types.is_string_view: large_string, types.is_binary_view: large_binary}
    return next((column.cast(layout()) for is_view, layout in layouts.items() if is_view(column.type)), column)


def decoded(value: bytes | None) -> str | bytes | None:
    """Return bytes as text if they are UTF-8, and anything else unchanged."""
    try:
        return value.decode() if value is not None else None
    except UnicodeDecodeError:
        return value


def names_of_numbers(schema, column: str) -> list[str] | None:
    """Return the names of the numbers in a column, which the library `datasets` writes into a file's metadata.

    Returns None if the metadata do not name them.

    Args:
        schema: The pyarrow Schema of the file.
        column: The name of the column.
    """
    try:
        feature = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"][column]
        # The feature of a list, in either notation of `datasets`, contains the feature of the list's items.
        feature = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
        return [name.strip() for name in feature["names"]]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def schema_of(path: Path, kind: str):
    """Return the pyarrow Schema of a file that `read_columnar` has read."""
    with open_parquet(path) if kind == "parquet" else open_arrow(path) as (schema, _):
        return schema
