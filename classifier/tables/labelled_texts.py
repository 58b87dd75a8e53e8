"""Read texts whose labels stand beside them without a table: fastText's lines, and a folder for each label."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from classifier.params.format import Format
from classifier.tables.opening import describe_undecodable, open_text
from classifier.tables.rows import as_tables

FASTTEXT_LABEL = re.compile(r"\s*__label__(\S+)\s*")
COLUMNS = ["text", "label"]


def read_fasttext(path: Path, form: Format) -> Iterator[pd.DataFrame]:
    """Yield the tables of lines such as `__label__good A fine film.`, with the columns text and label.

    Raises ValueError, with the line, for a line with several labels.
    """
    with open_text(path, form, newline="\n") as file:
        lines = ((number, line.rstrip("\r\n")) for number, line in enumerate(file, start=1))
        yield from as_tables(((number, fasttext_row(line, number)) for number, line in lines if line.strip()), COLUMNS)


def fasttext_row(line: str, number: int) -> list[str | None]:
    """Return [text, label] of a line. The label is None if the line has none."""
    labels, text = [], line
    while match := FASTTEXT_LABEL.match(text):
        labels.append(match[1])
        text = text[match.end() :]
    if len(labels) > 1:
        raise ValueError(f"line {number}: has {len(labels)} labels, but a text has one here; keep one")
    return [text, labels[0] if labels else None]


def read_folders(path: Path, form: Format) -> Iterator[pd.DataFrame]:
    """Yield the tables of a folder that has a folder of files for each label, with the columns text and label.

    Each file is one text, and the name of its folder is its label. Files beside these folders, and files and folders
    whose names begin with a dot, are not read. The order is that of the names.

    Raises ValueError, with the file, for a file that is not in the format's encoding.
    """
    if not path.is_dir():
        raise ValueError("is not a folder; `format.kind: folders` needs a folder that has a folder for each label")
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    if not folders:
        raise ValueError("has no folders; with `format.kind: folders` it needs a folder of files for each label")
    files = (file for folder in folders for file in sorted(folder.iterdir()) if not file.name.startswith("."))
    yield from as_tables(
        ((place_of(file), [file_text(file, form), file.parent.name]) for file in files),
        COLUMNS,
        place="file",
    )


def place_of(file: Path) -> str:
    """Return the name of a file with that of its folder. Bytes of a name that are not UTF-8 are escaped."""
    return os.fsencode(f"{file.parent.name}/{file.name}").decode(errors="backslashreplace")


def file_text(file: Path, form: Format) -> str:
    """Return the content of a file."""
    if not file.is_file():
        problem = "is a folder" if file.is_dir() else "is a link to nothing"
        raise ValueError(f"{place_of(file)}: {problem}; a label's folder may hold files only")
    try:
        with open_text(file, form) as opened:
            return opened.read()
    except UnicodeError:
        raise ValueError(f"{place_of(file)}: {describe_undecodable(file, form.encoding)}") from None
    except ValueError as error:  # a compressed file is damaged
        raise ValueError(f"{place_of(file)}: {error}") from None
