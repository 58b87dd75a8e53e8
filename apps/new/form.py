"""Find how a table is written: its kind, encoding, delimiter, quoting, comment and header."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from apps.new.encodings import find_encoding
from classifier.errors import InputError
from classifier.params.format import Format
from classifier.tables.delimited import Lines, csv_rows, delimiter_of
from classifier.tables.hints import DELIMITERS
from classifier.tables.labelled_texts import FASTTEXT_LABEL
from classifier.tables.opening import open_bytes, open_text, plain_name
from classifier.tables.reading import KINDS, read_rows

SAMPLE_LINES = 2000
SAMPLE_CHARACTERS = 2**20
LONG_NAME = 80  # characters; the name of a column is shorter
BINARY = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow"}  # first bytes -> kind


def find_form(path: Path, given: Format, has_header: bool | None) -> Format:
    """Return how a table is written.

    Args:
        path: The file, or a folder that has a folder for each label.
        given: The settings that are known. Their defaults mean that they are not known.
        has_header: Whether the first row has the names of the columns; None: not known.
    """
    known = given.model_dump(exclude_unset=True)
    kind = given.kind or binary_kind(path)
    if kind == "folders":
        first = next(path.glob("[!.]*/[!.]*"))
        return Format(**{"kind": kind, "encoding": find_encoding(first)} | known)
    if kind in ("parquet", "arrow", "xlsx"):
        form = Format(**{"kind": kind} | known)
        return with_header(form, len(first_columns(path, form))) if has_header is False and kind == "xlsx" else form
    form = Format(**{"encoding": find_encoding(path)} | known)
    form = form.model_copy(update={"kind": kind or text_kind(path, form)})
    if form.kind != "csv":
        return form
    form = find_quoting(path, find_delimiter(path, find_comment(path, form), known), known)
    rows = [row for row in sample_rows(path, form) if row]
    if has_header is None:
        has_header = first_row_is_header(rows)
    return form if has_header else with_header(form, len(rows[0]))


def without_defaults(form: Format, path: Path) -> Format:
    """Return the form without settings that the file's suffix says."""
    suffix, changes = plain_name(path).suffix, {}
    if form.kind == KINDS.get(suffix) or (form.kind == "csv" and form.delimiter):
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
        return "xlsx"  # other zip files got the suffix .zip
    return next((kind for signature, kind in BINARY.items() if start.startswith(signature)), None)


def text_kind(path: Path, form: Format) -> str:
    """Return the kind of a file of texts: json, fasttext or csv."""
    lines = [line for line in sample_lines(path, form) if line.strip()]
    first = lines[0].lstrip() if lines else ""
    if re.match(r'\{\s*("|\}|$)|\[\s*(\{|$)', first):
        return "json"
    if lines and sum(map(bool, map(FASTTEXT_LABEL.match, lines))) > len(lines) / 2:
        return "fasttext"
    return "csv"


def sample_lines(path: Path, form: Format) -> list[str]:
    """Return the first lines of a file of texts."""
    lines, size = [], 0
    with open_text(path, form) as file:
        for line in islice(file, SAMPLE_LINES):
            lines.append(line)
            size += len(line)
            if size > SAMPLE_CHARACTERS:
                break
    return lines


def find_comment(path: Path, form: Format) -> Format:
    """Return the form with `comment` if the file begins with a line `sep=;`, or with # on lines at its head alone."""
    first = next(iter(sample_lines(path, form)), "")
    if form.comment or not first.startswith(("sep=", "#")):
        return form
    if first.startswith("sep="):
        delimiter = form.delimiter or first[4:].strip("\r\n\"'") or None
        return form.model_copy(update={"comment": "sep=", "delimiter": delimiter})
    with open_text(path, form) as file:
        marks = "".join("#" if line.startswith("#") else "." for line in file)
    is_prose = not any(mark in first for mark in DELIMITERS)
    return form.model_copy(update={"comment": "#"}) if is_prose and re.fullmatch(r"#+\.+", marks) else form


@dataclass
class Measure:
    """How well a form fits a file: the number of rows, and the share of them that have the usual number of fields."""

    rows: int
    share: float
    width: int
    has_repeats: bool = True  # whether a column has values that repeat, as labels do

    @property
    def is_whole(self) -> bool:
        return self.share == 1 and self.width > 1


def find_delimiter(path: Path, form: Format, known: dict) -> Format:
    """Return the form with the delimiter under which most rows of a sample have the same number of fields."""
    if form.delimiter:
        return form
    lines, usual = sample_lines(path, form), delimiter_of(path, form)
    names = next((line for line in lines if line.strip() and not (form.comment and line.startswith(form.comment))), "")
    best, best_form = (False, 0.0), form.model_copy(update={"delimiter": usual})
    for mark in dict.fromkeys([usual, *DELIMITERS]):
        has_spaces = mark in names and all(field[:1] == " " for field in names.split(mark)[1:])
        for quoting in [known["quoting"]] if "quoting" in known else ("double", "backslash", "none"):
            trial = form.model_copy(update={"delimiter": mark + " " * has_spaces, "quoting": quoting})
            measure = measure_rows(parsed(iter(lines), trial))
            if measure.width > 1 and (key := (measure.has_repeats and measure.share > 0.5, measure.share)) > best:
                best, best_form = key, trial
    return best_form


def parsed(lines: Iterator[str], form: Format) -> Iterator[list[str] | None]:
    """Yield the rows of lines. A last None says that an error ended them."""
    try:
        yield from (row for _, row in csv_rows(Lines(lines, form), form.quoting, form.delimiter) if row)
    except ValueError as error:
        if "unexpected end of data" not in str(error):  # a sample may end inside a row
            yield None


def measure_rows(rows: Iterator[list[str] | None]) -> Measure:
    """Return how well a form fits the rows that `parsed` yields."""
    widths, values, last = Counter(), {}, []
    for last in rows:
        widths[len(last or ())] += 1
        if widths.total() <= SAMPLE_LINES:
            for number, field in enumerate(last or ()):
                values.setdefault(number, set()).add(field)
    total = widths.total()
    if not total or last is None:
        return Measure(total, 0.0, max(widths, default=0))
    width, count = widths.most_common(1)[0]
    has_repeats = total < 8 or any(1 < len(found) <= min(total, SAMPLE_LINES) / 2 for found in values.values())
    return Measure(total, count / total, width, has_repeats)


def find_quoting(path: Path, form: Format, known: dict) -> Format:
    """Return the form with the quoting under which all rows of the whole file have the same number of fields.

    If they also have it where quotes mean nothing, and the rows are more, then stray quotes would swallow rows.
    """
    if "quoting" in known:
        return form
    found: dict[str, Measure] = {}
    for quoting in ("double", "none", "backslash"):
        with open_text(path, form) as file:
            found[quoting] = measure_rows(parsed(file, form.model_copy(update={"quoting": quoting})))
        if found["double"].is_whole and quoting == "none":
            swallows = found["none"].is_whole and found["none"].rows > found["double"].rows
            return form.model_copy(update={"quoting": "none" if swallows else "double"})
    whole = [quoting for quoting in ("backslash", "none") if found[quoting].is_whole]
    return form.model_copy(update={"quoting": (whole or ["double"])[0]})


def sample_rows(path: Path, form: Format) -> list[list[str]]:
    """Return the first rows of a file, the header included."""
    return [row for row in parsed(iter(sample_lines(path, form)), form) if row]


def first_row_is_header(rows: list[list[str]]) -> bool:
    """Return whether the first row has names, and not values: none is a number, long, or a value of its column."""
    if not rows:
        return True
    columns = [{row[number] for row in rows[1:] if len(row) > number} for number in range(len(rows[0]))]
    return not any(
        field.strip() and (re.fullmatch(r"[-+]?[\d.,]+", field.strip()) or len(field) > LONG_NAME or field in column)
        for field, column in zip(rows[0], columns, strict=True)
        if rows[0] not in rows[1:]
    )


def with_header(form: Format, count: int) -> Format:
    """Return the form with names for the columns of a table without a header."""
    return form.model_copy(update={"header": [f"column{number}" for number in range(1, count + 1)]})


def first_columns(path: Path, form: Format) -> list[str]:
    """Return the names of the columns of a table's first rows."""
    return list(next(read_rows(path, form)).columns)
