"""Read tables from files. Faulty content is refused with its line; nothing is guessed or repaired.

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
from classifier.text.cleaning import is_blank, is_encodable

ROWS_PER_TABLE = 1024  # at most
PARQUET_BUFFER_BYTES = 2**22  # of a Parquet file to read at a time


def read_rows(path: Path) -> Iterator[pd.DataFrame]:
    """Yield the rows of a .csv, .jsonl or .parquet file in tables of at most ROWS_PER_TABLE rows.

    The index of a table says where each row is in the file: `line`, the line on which the row begins, or `row` in a
    Parquet file, both counted from 1. Values keep their types: strings from .csv ("NA", "null" and "007" too), JSON's
    types from .jsonl, Arrow's types from .parquet. A file without rows gives one empty table.

    Raises:
        InputError: The file is missing, of another kind, damaged or not UTF-8. The error is raised when the table with
            the fault is read.
    """
    readers = {".csv": read_csv, ".jsonl": read_jsonl, ".parquet": read_parquet}
    if path.suffix not in readers:
        kind = f"{path.suffix} files" if path.suffix else "a file without a suffix"
        raise InputError(f"{path}: cannot read {kind}; save the table as {', '.join(readers)}")
    try:
        yield from readers[path.suffix](path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise InputError(
            f"{path}: no such file; put it there or fix its name in params.yaml "
            f"(an experiment with --queue or --temp, in a folder of its own, also needs -C {path})"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: {place_of_bad_utf8(path)}not UTF-8; save the file as UTF-8") from None
    except ValueError as error:  # of the readers below, whose messages say how to fix the file
        raise InputError(f"{path}: {error}") from None


def join_columns(table: pd.DataFrame, columns: Sequence[str], separator: str) -> pd.Series:
    """Return the text of each row.

    The text of one column is returned as it is. The texts of several columns are joined, without missing and blank
    ones. If all are missing, the text is None. If one is not a string, it is returned as the text, for the caller to
    refuse.
    """
    if len(columns) == 1:
        return table[columns[0]]

    def join(values: tuple) -> object:
        present = [value for value in values if not (pd.api.types.is_scalar(value) and pd.isna(value))]
        if not_strings := [value for value in present if not isinstance(value, str)]:
            return not_strings[0]
        return separator.join(value for value in present if not is_blank(value)) if present else None

    texts = [join(row) for row in zip(*(table[name] for name in columns), strict=True)]
    return pd.Series(texts, table.index, dtype=object)


def place_of_bad_utf8(path: Path) -> str:
    """Return the line and the byte, counted from 1, of the first fault. The decoder of a stream knows neither."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                return f"line {number}, byte {error.start + 1}: "
    return ""  # the file has been repaired since


def as_tables(rows: Iterator[tuple[int, list | dict]], columns: list[str] | None = None) -> Iterator[pd.DataFrame]:
    """Yield (line, row) pairs as tables of at most ROWS_PER_TABLE rows; one empty table if there are no rows."""
    part = list(itertools.islice(rows, ROWS_PER_TABLE))
    while True:
        index = pd.Index([line for line, _ in part], name="line")
        yield pd.DataFrame([row for _, row in part], index=index, columns=columns, dtype=object)
        if not (part := list(itertools.islice(rows, ROWS_PER_TABLE))):
            return


def read_csv(path: Path) -> Iterator[pd.DataFrame]:
    """Yield the tables of a .csv file. Raises ValueError, with the line and the fix, for a faulty header or row."""
    csv.field_size_limit(2**31 - 1)  # the default refuses texts above 128 kB
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv_rows(file)
        header = next(rows, (1, []))[1]
        if not header:
            raise ValueError("line 1: no header; write the names of the columns into the first line")
        if repeated := [name for name in header if header.count(name) > 1]:
            raise ValueError(f"line 1: several columns are named {repeated[0]!r:.40}; rename all but one")
        yield from as_tables(rows, header)


def csv_rows(file: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line on which it begins, fields) of the header and of each row that is not blank."""
    reader, header, line = csv.reader(file, strict=True), None, 1
    try:
        for row in reader:
            if header is None or row:
                header = row if header is None else header
                if len(row) != len(header):
                    problem = f"{len(row)} field(s), but {len(header)} in the header"
                    raise ValueError(f"line {line}: {problem}; complete the row, and quote fields that hold a comma")
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {line}: {error}; close each quote, and double a quote inside a field") from None


def read_jsonl(path: Path) -> Iterator[pd.DataFrame]:
    """Yield the tables of a .jsonl file. Raises ValueError, with the line and the fix, for a faulty row."""
    with path.open(encoding="utf-8-sig", newline="\n") as file:  # no other character ends a line
        lines = ((number, line.removesuffix("\n")) for number, line in enumerate(file, start=1))
        yield from as_tables((number, json_row(number, line)) for number, line in lines if line.strip())


def refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, given its keys and values. Raises ValueError for a repeated key."""
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in row if keys.count(key) > 1)
        raise ValueError(f"the key {repeated!r:.40} occurs twice; remove one")
    return row


def json_row(number: int, line: str) -> dict:
    """Return the JSON object on a line. Raises ValueError if the line is anything else."""
    try:
        row = json.loads(line, object_pairs_hook=refuse_repeated_keys)
    except json.JSONDecodeError as error:
        problem = f"line {number}, character {error.colno}: not JSON: {error.msg}"
        raise ValueError(f"{problem}; write one JSON object on each line") from None
    except ValueError as error:  # a repeated key, or an integer with more digits than Python converts
        problem = str(error).replace("use sys.set_int_max_str_digits() to increase the limit", "write it as a string")
        raise ValueError(f"line {number}: {problem}") from None
    except RecursionError:
        raise ValueError(f"line {number}: lists or objects are nested too deeply; flatten them") from None
    if not isinstance(row, dict):
        raise ValueError(f"line {number}: not a JSON object; write one JSON object on each line")
    if "\\ud" in line.lower() and not is_encodable(json.dumps(row, ensure_ascii=False)):
        raise ValueError(f"line {number}: half of a character (a lone surrogate, \\ud...); complete or remove it")
    return row


def read_parquet(path: Path) -> Iterator[pd.DataFrame]:
    """Yield the tables of a .parquet file. Raises ValueError, with the fix, if the file is damaged."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    start = 1
    try:
        # With pre_buffer the reader would keep whole row groups in memory.
        with ParquetFile(path, buffer_size=PARQUET_BUFFER_BYTES, pre_buffer=False) as file:
            names = file.schema_arrow.names
            if repeated := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"several columns are named {repeated[0]!r}; rename all but one")
            for batch in itertools.chain([file.schema_arrow.empty_table()], file.iter_batches(ROWS_PER_TABLE)):
                batch.validate(full=True)  # checks the UTF-8 of the texts, for example
                # pandas' metadata would turn a column into the index, and pandas' own types would round large numbers.
                table = batch.to_pandas(ignore_metadata=True, types_mapper=pd.ArrowDtype)
                yield table.set_axis(pd.RangeIndex(start, start + len(table), name="row"))
                start += len(table)
    # UnicodeDecodeError comes from the names of columns, JSONDecodeError from the file's metadata.
    except (pa.ArrowException, OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        if getattr(error, "errno", None):  # an error of the disk, not of the file's content
            raise
        problem = str(error).partition("\n")[0]
        raise ValueError(f"not a valid Parquet file: {problem}; write the file again") from None
