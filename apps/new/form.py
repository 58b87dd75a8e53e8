"""Find how a table is written: its kind, encoding, delimiter, quoting, comment and header."""

import itertools
import re
from pathlib import Path

from apps.new.dialect import (
    find_comment,
    find_delimiter,
    find_quoting,
    first_row_is_header,
    sample_lines,
    sample_rows,
)
from apps.new.encodings import common_encoding
from classifier.errors import InputError
from classifier.params.format import Format
from classifier.tables.delimited import delimiter_of
from classifier.tables.labelled_texts import FASTTEXT_LABEL
from classifier.tables.opening import describe_undecodable, open_bytes, plain_name
from classifier.tables.reading import KINDS
from classifier.tables.rows import ROWS_PER_TABLE
from classifier.tables.sheets import sheet_rows

BINARY = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow"}  # first bytes -> kind


def find_form(paths: list[Path], given: Format, has_header: bool | None) -> Format:
    """Return how tables are written. See `form_of` for the arguments. Raises InputError if one cannot be read."""
    try:
        return form_of(paths, given, has_header)
    except UnicodeDecodeError:
        raise InputError(f"{paths[0]}: {describe_undecodable(paths[0], given.encoding)}") from None
    except ValueError as error:  # such as a zip of several files
        raise InputError(f"{paths[0]}: {error}") from None


def form_of(paths: list[Path], given: Format, has_header: bool | None) -> Format:
    """Return how tables are written: in one encoding, and else as the first one.

    Args:
        paths: The files, or folders that have a folder for each label.
        given: The settings that are known. Their defaults mean that they are not known.
        has_header: Whether the first row has the names of the columns; None: not known.
    """
    path, known = paths[0], given.model_dump(exclude_unset=True)
    kind = given.kind or binary_kind(path)
    if kind in ("parquet", "arrow", "xlsx"):
        form = Format(**{"kind": kind} | known)
        return form if kind != "xlsx" else with_sheet_header(path, form, has_header)
    files = texts_in_folders(paths) if kind == "folders" else paths
    form = Format(**({} if "encoding" in known else {"encoding": common_encoding(files)}) | known)
    if kind == "folders":
        return form.model_copy(update={"kind": kind})
    form = form.model_copy(update={"kind": kind or text_kind(path, form)})
    if form.kind != "csv":
        return form
    form = find_quoting(path, find_delimiter(path, find_comment(path, form), known), known)
    rows = sample_rows(path, form)
    if has_header is None:
        has_header = first_row_is_header(rows)
    return form if has_header or not rows else with_header(form, len(rows[0]))


def texts_in_folders(folders: list[Path]) -> list[Path]:
    """Return the texts in folders that have a folder for each label. Raises InputError for a file of Windows."""
    files = [path for folder in folders for path in sorted(folder.glob("[!.]*/[!.]*")) if path.is_file()]
    if system := [path for path in files if path.name.lower() in ("thumbs.db", "desktop.ini")]:
        raise InputError(f"{system[0]}: is a file of Windows, not a text; remove it")
    return files


def without_defaults(form: Format, path: Path) -> Format:
    """Return the form without the settings that follow from the file's suffix."""
    suffix, changes = plain_name(path).suffix, {}
    if form.kind == KINDS.get(suffix) or (form.kind == "csv" and form.delimiter and suffix not in KINDS):
        changes["kind"] = None
    if form.kind == "csv" and suffix in (".csv", ".tsv") and form.delimiter == delimiter_of(path, Format()):
        changes |= {"delimiter": None, "kind": None}
    return form.model_copy(update=changes)


def binary_kind(path: Path) -> str | None:
    """Return the kind of a file by its first bytes, or None for a file of texts."""
    if path.is_dir():
        return "folders"
    with open_bytes(path) as file:
        start = file.read(512)
        if start[257:262] == b"ustar":
            raise InputError(f"{path}: is a tar archive; unpack it, and name the folder or the table")
    if path.suffix.lower() != ".zip" and start.startswith(b"PK\x03\x04"):
        return "xlsx"  # store.local_name() has given other zip files the suffix .zip
    return next((kind for signature, kind in BINARY.items() if start.startswith(signature)), None)


def text_kind(path: Path, form: Format) -> str:
    """Return the kind of a file of texts: json, fasttext or csv."""
    lines = [line for line in sample_lines(path, form) if line.strip()]
    first = lines[0].lstrip() if lines else ""
    is_named_json = KINDS.get(plain_name(path).suffix) == "json"  # then also what `read_json` refuses, such as [["a"]]
    if re.match(r'\{\s*("|\}|$)|\[\s*(\{|$)', first) or (is_named_json and re.match(r"[\[{]\s*[\[\]\"'\d]", first)):
        return "json"
    if lines and sum(map(bool, map(FASTTEXT_LABEL.match, lines))) > len(lines) / 2:
        return "fasttext"
    return "csv"


def with_header(form: Format, count: int) -> Format:
    """Return the form with names for the columns of a table without a header."""
    return form.model_copy(update={"header": [f"column{number}" for number in range(1, count + 1)]})


def with_sheet_header(path: Path, form: Format, has_header: bool | None) -> Format:
    """Return the form with names for the columns of a sheet if its first row has none."""
    first = itertools.islice(sheet_rows(path, form)[0], ROWS_PER_TABLE)
    rows = [["" if cell is None else str(cell) for cell in row] for _, row in first]
    if not rows:
        return form  # the survey refuses it
    if has_header is None:
        has_header = first_row_is_header(rows)
    return form if has_header else with_header(form, len(rows[0]))
