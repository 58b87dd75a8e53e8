"""Read tables from files. Faulty content is refused with its place; nothing is guessed or repaired.

Memory grows with the longest rows, not with the file. The exception is a sheet of Excel, which is read as a whole.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from classifier.errors import InputError
from classifier.params.format import Format
from classifier.tables.columnar import read_columnar
from classifier.tables.delimited import read_csv
from classifier.tables.hints import refuse_other_content
from classifier.tables.labelled_texts import read_fasttext, read_folders
from classifier.tables.objects import read_json
from classifier.tables.opening import describe_undecodable, plain_name
from classifier.tables.sheets import read_sheet
from classifier.text.cleaning import is_blank

# Suffix of a file (without the suffix of a compression) -> how the file is read if Format.kind is not set.
KINDS = {
    **{".csv": "csv", ".tsv": "csv"},
    **{".jsonl": "json", ".ndjson": "json", ".json": "json"},
    **{".parquet": "parquet", ".arrow": "arrow", ".xlsx": "xlsx", ".ods": "xlsx"},
}
READERS: dict[str, Callable[[Path, Format], Iterator[pd.DataFrame]]] = {
    "csv": read_csv,
    "json": read_json,
    "fasttext": read_fasttext,
    "folders": read_folders,
    "parquet": lambda path, form: read_columnar(path, "parquet"),
    "arrow": lambda path, form: read_columnar(path, "arrow"),
    "xlsx": read_sheet,
}
TEXT_KINDS = ("csv", "json", "fasttext")  # read as a stream of texts, in any encoding, compressed or not


def kind_of(path: Path, form: Format) -> str:
    """Return how a file is read, a key of READERS.

    Raises InputError if there is no file, if neither the format nor the suffix says how to read it, or if it is
    compressed and cannot be read as a stream.
    """
    if not path.exists():
        raise InputError(
            f"{path}: no such file; put it there or fix its name in params.yaml "
            f"(an experiment with --queue or --temp, in a folder of its own, also needs -C {path})"
        )
    try:
        name = plain_name(path)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    kind = form.kind or KINDS.get(name.suffix) or ("csv" if form.delimiter else None)
    if kind is None:
        what = f"a {name.suffix} file" if name.suffix else "a file without a suffix"
        fix = f"set `format.delimiter` if it has fields between delimiters, or `format.kind` ({', '.join(READERS)})"
        raise InputError(f"{path}: {what} may hold anything; {fix}, or save the table as one of {', '.join(KINDS)}")
    if kind not in TEXT_KINDS and name.name != path.name.lower():
        raise InputError(f"{path}: a compressed {kind} file cannot be read; unpack it")
    return kind


def read_rows(path: Path, form: Format = Format()) -> Iterator[pd.DataFrame]:  # noqa: B008  it is never changed
    """Yield the rows of a file in tables of at most ROWS_PER_TABLE rows.

    The index of a table says where each row is in the file: `line`, the line on which the row begins, `row` in a
    Parquet, Arrow or Excel file, `object` in a JSON array on few lines, all counted from 1, or `file` in a folder for
    each label. Values keep their types: strings from .csv ("NA", "null" and "007" too), JSON's types from .jsonl,
    Arrow's types from .parquet. A file without rows gives one empty table.

    Args:
        path: The file, or the folder that has a folder for each label.
        form: How the file is written, where its suffix does not say it.

    Raises:
        InputError: The file is missing, of another kind, damaged, or not in its encoding. The error is raised when the
            table with the fault is read.
    """
    try:
        kind = kind_of(path, form)
        if kind in TEXT_KINDS:
            refuse_other_content(path, form.encoding)
        yield from READERS[kind](path, form)
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; name a file") from None
    except UnicodeError:
        raise InputError(f"{path}: {describe_undecodable(path, form.encoding)}") from None
    except ValueError as error:  # of the readers, whose messages say how to fix the file
        raise InputError(f"{path}: {error}") from None


def column_values(table: pd.DataFrame, name: str) -> pd.Series | None:
    """Return a column, or None if the table lacks it.

    `review.text` is the column with this name or, if there is none, the key text of the JSON objects in the column
    review. A row whose object lacks the key has None.
    """
    if name in table:
        return table[name]
    first, _, rest = name.partition(".")
    if not rest or first not in table:
        return None
    values = table[first].tolist()
    for key in rest.split("."):
        values = [value.get(key) if isinstance(value, dict) else None for value in values]
    return pd.Series(values, table.index, dtype=object) if any(value is not None for value in values) else None


def join_columns(table: pd.DataFrame, columns: Sequence[str], separator: str, pair: bool = False) -> pd.Series:
    """Return the text of each row.

    The text of one column is returned as it is. The texts of several columns are joined, without missing and blank
    ones. If all are missing, the text is None. If one is not a string, it is returned as the text, for the caller to
    refuse. With `pair`, the texts of two columns form a tuple, in which "" stands for a missing text.
    """
    if len(columns) == 1:
        return table[columns[0]]

    def join(values: tuple) -> object:
        present = [value for value in values if not (pd.api.types.is_scalar(value) and pd.isna(value))]
        if not_strings := [value for value in present if not isinstance(value, str)]:
            return not_strings[0]
        if pair and present:
            return tuple(value if isinstance(value, str) else "" for value in values)
        return separator.join(value for value in present if not is_blank(value)) if present else None

    texts = [join(row) for row in zip(*(table[name] for name in columns), strict=True)]
    return pd.Series(texts, table.index, dtype=object)
