"""Files of any size, .csv, .jsonl or .parquet, as batches of rows; memory does not grow with the file."""

import io
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from stages.settings.errors import InputError

ROWS = 1024  # of a batch at most
BLOCK = 2**22  # bytes of a file to read at a time, of a .csv up to 32 ahead; a row of a .csv must fit


def read_batches(path: Path, column: str) -> Iterator:
    """The rows of a file as pyarrow RecordBatches of at most ROWS rows and of one schema, which Parquet can hold.

    The columns of a .csv stay text. Raises InputError if there is no such file or column of texts, or a row cannot
    be read.
    """
    import pyarrow as pa
    from pyarrow import csv
    from pyarrow.parquet import ParquetFile, ParquetWriter

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        if path.suffix == ".parquet":
            file = ParquetFile(path, buffer_size=BLOCK, pre_buffer=False)  # else it keeps whole row groups
            schema, batches = file.schema_arrow, file.iter_batches(ROWS)
        elif path.suffix == ".jsonl":
            schema, batches = jsonl_batches(path)
        elif path.suffix == ".csv":
            options = [csv.ReadOptions(block_size=BLOCK), csv.ParseOptions(newlines_in_values=True)]
            with csv.open_csv(path, *options) as header:
                texts = csv.ConvertOptions(column_types=dict.fromkeys(header.schema.names, pa.string()))
            batches = csv.open_csv(path, *options, texts)
            schema = batches.schema
        else:
            raise InputError(f"{path}: must end in .csv, .jsonl or .parquet")
        names = schema.names
        if column not in names:
            raise InputError(f"{path}: no column {column!r}; it has {', '.join(names)}; name one with --column")
        if doubled := [name for name in names if names.count(name) > 1]:
            raise InputError(f"{path}: has several columns {doubled[0]!r}; rename all but one")
        if not (pa.types.is_string(schema.field(column).type) or pa.types.is_large_string(schema.field(column).type)):
            raise InputError(f"{path}: column {column!r} holds {schema.field(column).type}, not text; name another")
        with ParquetWriter(pa.BufferOutputStream(), schema):  # refuses a type that Parquet has not, before all work
            pass
        for batch in batches:
            batch.validate(full=True)  # UTF-8, which the readers of .jsonl and .parquet do not look at
            yield from (batch.slice(start, ROWS) for start in range(0, batch.num_rows, ROWS))
    except pa.ArrowException as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}; fix the file") from None


def jsonl_batches(path: Path) -> tuple:
    """(schema, pyarrow RecordBatches) of a JSON Lines file, whose schema is that of all its rows.

    Keys may be missing from rows. pyarrow's own reader of streams takes the schema from the first block and refuses
    a file whose later rows have more.
    """
    import pyarrow as pa
    from pyarrow import json

    def tables(schema: pa.Schema | None) -> Iterator[pa.Table]:
        parsing, count = json.ParseOptions(explicit_schema=schema), 0
        with path.open("rb") as file:
            while lines := file.readlines(BLOCK):
                block, first, count = b"".join(lines), count + 1, count + len(lines)
                if block.strip():
                    try:
                        yield json.read_json(io.BytesIO(block), json.ReadOptions(block_size=len(block)), parsing)
                    except pa.ArrowInvalid as error:
                        raise InputError(f"{path}: lines {first} to {count}: {error}") from None

    def stated(kind: pa.DataType) -> pa.DataType:
        """The type as it stands in the file: pyarrow makes dates of texts that look like one."""
        if pa.types.is_timestamp(kind):
            return pa.string()
        if pa.types.is_list(kind):
            return pa.list_(stated(kind.value_type))
        if pa.types.is_struct(kind):
            return pa.struct([field.with_type(stated(field.type)) for field in kind])
        return kind

    schema = pa.schema([])
    for table in tables(None):
        found = pa.schema([field.with_type(stated(field.type)) for field in table.schema])
        schema = pa.unify_schemas([schema, found], promote_options="permissive")  # null and text: text
    return schema, (batch for table in tables(schema) for batch in table.to_batches())


def write_whole(path: Path, tables: Iterable) -> None:
    """Write pyarrow Tables of one schema as one Parquet file: all of it or nothing."""
    from pyarrow.parquet import ParquetWriter

    tables = iter(tables)
    first = next(tables)
    part = path.with_suffix(".part")
    # Statistics, of which a text's are long, would stay in memory until the end.
    with ParquetWriter(part, first.schema, write_statistics=False) as writer:
        for table in itertools.chain([first], tables):
            writer.write_table(table)
    os.replace(part, path)
