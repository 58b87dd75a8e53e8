"""A data set's own tables, read strictly: what is odd is refused, with its line, and not guessed at."""

import csv
import io
import json
from pathlib import Path

import pandas as pd

from stages.settings.errors import InputError

LOCAL = Path("data/local")


def read_rows(path: Path) -> pd.DataFrame:
    """A .csv, .jsonl or .parquet file as a table whose index says where each row stands in the file: its (first)
    line, or its row where a file has no lines. Texts stay as they are: "NA", "null" and "007" are texts.

    Raises InputError if the file is missing, of another kind, broken, or not UTF-8.
    """
    readers = {".csv": read_csv, ".jsonl": read_jsonl, ".parquet": read_parquet}
    if path.suffix not in readers:
        raise InputError(f"{path}: cannot read {path.suffix or 'a file without suffix'}; use {', '.join(readers)}")
    try:
        return readers[path.suffix](path)
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(
            f"{path}: no such file; put it there or fix `source` in params.yaml "
            f"(an experiment in a folder of its own, by --queue or --temp, needs -C {path})"
        ) from None
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, byte = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise InputError(f"{path}: line {line}, byte {byte}: not UTF-8; save the file as UTF-8") from None
    except (ValueError, csv.Error) as error:  # the parsers' own errors are ValueErrors
        raise InputError(f"{path}: {str(error).splitlines()[0]}; fix the file") from None


def read_csv(path: Path) -> pd.DataFrame:
    csv.field_size_limit(2**31 - 1)  # the default refuses texts above 128 kB
    reader = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), strict=True)
    header, rows, lines, line = None, [], [], 1
    try:
        for row in reader:
            if header is None:
                header = row
            elif row:  # not a blank line
                if len(row) != len(header):
                    raise ValueError(f"line {line}: {len(row)} fields where the header has {len(header)}")
                rows.append(row)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {line}: {error}") from None
    if not header or len(set(header)) < len(header):
        raise ValueError("line 1: a header with a different name for each column is needed")
    return pd.DataFrame(rows, index=pd.Index(lines, name="line"), columns=header)


def read_jsonl(path: Path) -> pd.DataFrame:
    rows, lines = [], []
    for number, line in enumerate(path.read_bytes().decode("utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}, character {error.colno}: not JSON: {error.msg}") from None
        if not isinstance(row, dict):
            raise ValueError(f"line {number}: not a JSON object")
        if "\\ud" in line.lower():
            try:
                json.dumps(row, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                raise ValueError(f"line {number}: half of a character (a lone surrogate, \\ud...)") from None
        rows.append(row)
        lines.append(number)
    return pd.DataFrame(rows, index=pd.Index(lines, name="line"))


def read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = pq.read_table(path)
        content.validate(full=True)  # UTF-8, for one
        table = content.to_pandas(ignore_metadata=True)  # pandas' own would hide a column as an index
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None):  # the disk's, not the file's
            raise
        raise ValueError(f"not a sound Parquet file: {error}") from None
    return table.set_axis(pd.RangeIndex(1, len(table) + 1, name="row"))
