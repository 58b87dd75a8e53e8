"""Tables in files, read strictly: what is odd is refused, with its line, and not guessed at.

Memory grows with the longest rows, not with the file.
"""

import csv
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from classifier.errors import InputError
from classifier.text.cleaning import blank, is_encodable

ROWS = 1024  # of a table at most
BLOCK = 2**22  # bytes of a Parquet file to read at a time


def read_rows(path: Path) -> Iterator[pd.DataFrame]:
    """The rows of a .csv, .jsonl or .parquet file as tables of at most ROWS rows, at least one table, whose index says
    where each row stands in the file: its (first) line, or its row where a file has no lines. Values stay as they are:
    of a .csv texts ("NA", "null" and "007" too), of a .jsonl what JSON has, of a .parquet Arrow's types.

    Raises InputError if the file is missing, of another kind, broken, or not UTF-8, at the table where that shows.
    """
    readers = {".csv": read_csv, ".jsonl": read_jsonl, ".parquet": read_parquet}
    if path.suffix not in readers:
        raise InputError(f"{path}: cannot read {path.suffix or 'a file without suffix'}; use {', '.join(readers)}")
    try:
        yield from readers[path.suffix](path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise InputError(
            f"{path}: no such file; put it there or fix its name in params.yaml "
            f"(an experiment in a folder of its own, by --queue or --temp, needs -C {path})"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: {place_of_bad_utf8(path)}not UTF-8; save the file as UTF-8") from None
    except (ValueError, csv.Error) as error:  # the parsers' own errors are ValueErrors
        raise InputError(f"{path}: {str(error).splitlines()[0]}; fix the file") from None


def joined(table: pd.DataFrame, columns: Sequence[str], separator: str) -> pd.Series:
    """The text of each row: out of one column as it is, or out of several, of which those that are missing or blank are
    left out. None where all are missing; what is no text stays in its place, to be refused.
    """
    if len(columns) == 1:
        return table[columns[0]]

    def join(values: tuple) -> object:
        there = [value for value in values if not (pd.api.types.is_scalar(value) and pd.isna(value))]
        if odd := [value for value in there if not isinstance(value, str)]:
            return odd[0]
        return separator.join(value for value in there if not blank(value)) if there else None

    texts = [join(row) for row in zip(*(table[name] for name in columns), strict=True)]
    return pd.Series(texts, table.index, dtype=object)


def place_of_bad_utf8(path: Path) -> str:
    """Line and byte, both counted from 1, of what is not UTF-8: a decoder of a stream knows neither."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                return f"line {number}, byte {error.start + 1}: "
    return ""  # the file was put right meanwhile


def tables(rows: Iterator[tuple[int, list | dict]], columns: list[str] | None = None) -> Iterator[pd.DataFrame]:
    """(line, row) pairs as tables of at most ROWS rows; of no rows, one empty table."""
    some = list(itertools.islice(rows, ROWS))
    while True:
        index = pd.Index([line for line, _ in some], name="line")
        yield pd.DataFrame([row for _, row in some], index=index, columns=columns, dtype=object)
        if not (some := list(itertools.islice(rows, ROWS))):
            return


def read_csv(path: Path) -> Iterator[pd.DataFrame]:
    csv.field_size_limit(2**31 - 1)  # the default refuses texts above 128 kB
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv_rows(file)
        header = next(rows, (1, []))[1]
        if not header or len(set(header)) < len(header):
            raise ValueError("line 1: a header with a different name for each column is needed")
        yield from tables(rows, header)


def csv_rows(file: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """(line on which it begins, fields) of the header and of each row that is not blank.

    Raises ValueError, with the line, for a row that is broken or has not as many fields as the header.
    """
    reader, header, line = csv.reader(file, strict=True), None, 1
    try:
        for row in reader:
            if header is None or row:
                header = row if header is None else header
                if len(row) != len(header):
                    raise ValueError(f"line {line}: {len(row)} fields where the header has {len(header)}")
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {line}: {error}") from None


def read_jsonl(path: Path) -> Iterator[pd.DataFrame]:
    with path.open(encoding="utf-8-sig", newline="\n") as file:  # no other character ends a line
        lines = ((number, line.removesuffix("\n")) for number, line in enumerate(file, start=1))
        yield from tables((number, json_row(number, line)) for number, line in lines if line.strip())


def keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of its keys and values. Raises ValueError for a key that stands there twice."""
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        doubled = next(key for key in row if keys.count(key) > 1)
        raise ValueError(f"the key {doubled!r:.40} stands there twice; remove one")
    return row


def json_row(number: int, line: str) -> dict:
    """One line. Raises ValueError, with its number, for what is not a JSON object of sound texts."""
    try:
        row = json.loads(line, object_pairs_hook=keys_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number}, character {error.colno}: not JSON: {error.msg}") from None
    except ValueError as error:  # a key that stands there twice, a number of thousands of digits
        raise ValueError(f"line {number}: {error}") from None
    except RecursionError:
        raise ValueError(f"line {number}: lists or objects in each other, too deep to read") from None
    if not isinstance(row, dict):
        raise ValueError(f"line {number}: not a JSON object")
    if "\\ud" in line.lower() and not is_encodable(json.dumps(row, ensure_ascii=False)):
        raise ValueError(f"line {number}: half of a character (a lone surrogate, \\ud...)")
    return row


def read_parquet(path: Path) -> Iterator[pd.DataFrame]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    start = 1
    try:
        with ParquetFile(path, buffer_size=BLOCK, pre_buffer=False) as file:  # else it keeps whole row groups
            names = file.schema_arrow.names
            if doubled := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"several columns {doubled[0]!r}; rename all but one")
            for batch in itertools.chain([file.schema_arrow.empty_table()], file.iter_batches(ROWS)):
                batch.validate(full=True)  # UTF-8, for one
                # Of pandas' metadata, which would hide a column as an index, and types, which round, nothing is used.
                table = batch.to_pandas(ignore_metadata=True, types_mapper=pd.ArrowDtype)
                yield table.set_axis(pd.RangeIndex(start, start + len(table), name="row"))
                start += len(table)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last one of a column name
        if getattr(error, "errno", None):  # the disk's, not the file's
            raise
        raise ValueError(f"not a sound Parquet file: {error}") from None
