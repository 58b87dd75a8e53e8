"""Write scored rows as Parquet, CSV or JSON Lines, completely or not at all."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from classifier.files.writing import replace_file
from classifier.scoring.columns import JSON
from classifier.scoring.values import json_line, json_value


def write_parquet(path: Path, schema, tables: Iterable) -> None:
    """Write pyarrow Tables of one schema to a Parquet file, one row group for each."""
    from pyarrow.parquet import ParquetWriter

    # The writer would keep the statistics, which are long for texts, in memory until the end.
    with replace_file(path) as unfinished, ParquetWriter(unfinished, schema, write_statistics=False) as writer:
        for table in tables:
            writer.write_table(table)
            del table  # free its memory before the next one is read


def write_csv(path: Path, schema, tables: Iterable) -> None:
    """Write pyarrow Tables of one schema as CSV in UTF-8: commas, quotes where needed, an empty field for null.

    Values that are not texts are written as JSON.
    """

    def cell(value: Any) -> str:
        return value if isinstance(value, str) else "" if value is None else json_line(value)

    with replace_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        quoting = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(schema.names)
        for table in tables:
            for row in rows_of(table):
                fields = [cell(value) for value in row]
                # Python 3.11 does not quote a carriage return, which ends a row for most readers.
                (quoting if any("\r" in field for field in fields) else writer).writerow(fields)


def write_json_lines(path: Path, schema, tables: Iterable) -> None:
    """Write pyarrow Tables of one schema as JSON objects, one on each line."""
    are_json = [JSON in (field.metadata or {}) for field in schema]
    with replace_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        for table in tables:
            for row in rows_of(table):
                values = [
                    json.loads(value) if is_json and value is not None else value
                    for value, is_json in zip(row, are_json, strict=True)
                ]
                file.write(json_line(dict(zip(schema.names, values, strict=True))) + "\n")


def rows_of(table) -> Iterator[tuple]:
    """Yield the rows of a pyarrow Table as values of JSON."""
    import pyarrow as pa

    columns = []
    for column in table.columns:
        are_lists = any(is_kind(column.type) for is_kind in (pa.types.is_list, pa.types.is_large_list))
        if column.type == pa.float32():  # 0.9982 and not 0.9982000589370728
            column = column.cast(pa.string()).cast(pa.float64())
        elif are_lists and column.type.value_type == pa.float32():
            column = column.cast(pa.list_(pa.string())).cast(pa.list_(pa.float64()))
        columns.append(map(json_value, column.to_pylist()))
    return zip(*columns, strict=True)


WRITERS = {".parquet": write_parquet, ".csv": write_csv, ".jsonl": write_json_lines}
