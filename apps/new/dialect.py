"""Find the delimiter, the quoting and the header of a .csv file and its relatives, by trying them on its lines."""

import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from classifier.params.format import Format
from classifier.tables.delimited import Lines, csv_rows, delimiter_of
from classifier.tables.hints import DELIMITERS
from classifier.tables.opening import open_text

SAMPLE_LINES = 2000
SAMPLE_CHARACTERS = 2**20
LONG_NAME = 80  # characters; the name of a column is shorter
QUOTING = ("double", "backslash", "none")  # the likeliest first
FEW_ROWS = 8  # with fewer rows no column of labels can be told by values that repeat


def sample_lines(path: Path, form: Format) -> list[str]:
    """Return the first lines of a file of texts. A line may be cut, as of JSON that is all on one line."""
    lines, size = [], 0
    with open_text(path, form) as file:
        for line in islice(iter(lambda: file.readline(SAMPLE_CHARACTERS), ""), SAMPLE_LINES):
            lines.append(line)
            size += len(line)
            if size >= SAMPLE_CHARACTERS:
                break
    return lines


def find_comment(path: Path, form: Format) -> Format:
    """Return the form with `comment` if the file begins with a line such as `sep=;`, or with comments after #.

    Lines with # are comments if the first of them has no delimiter, and if none of them is below the first row.
    """
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
    """How well a form fits the lines of a file.

    Attributes:
        rows: The number of rows.
        share: The share of the rows that have the usual number of fields; 0 if a quote is wrong.
        width: The usual number of fields.
        repeats: Whether a column has values that repeat, as labels do.
    """

    rows: int
    share: float
    width: int
    repeats: bool

    @property
    def is_whole(self) -> bool:
        """Whether all rows have the same number of fields, two or more."""
        return self.share == 1 and self.width > 1


def measure(lines: Iterable[str], form: Format, is_sample: bool = False) -> Measure:
    """Return how well a form fits lines. A sample of the lines may end inside a row."""
    widths, values, is_faulty = Counter(), {}, False
    try:
        for number, (_, row) in enumerate(csv_rows(Lines(iter(lines), form), form.quoting, form.delimiter)):
            widths[len(row)] += bool(row)
            for column, field in enumerate(row if number < SAMPLE_LINES else ()):
                values.setdefault(column, set()).add(field)
    except ValueError as error:
        is_faulty = not (is_sample and "unexpected end of data" in str(error))
    rows = widths.total()
    width, count = max(widths.items(), key=lambda item: item[1], default=(0, 0))
    sample = min(rows, SAMPLE_LINES)
    repeats = sample < FEW_ROWS or any(1 < len(found) <= sample / 2 for found in values.values())
    return Measure(rows, 0.0 if is_faulty or not rows else count / rows, width, repeats)


def find_delimiter(path: Path, form: Format, known: dict) -> Format:
    """Return the form with the delimiter and quoting under which most rows of a sample have equally many fields.

    A form that gives all rows the same number of fields is preferred. Among several such forms, one that gives a column
    with repeated values, as labels are, is preferred.

    Args:
        path: The file.
        form: How the file is written, as far as it is known.
        known: The settings that the user gave.
    """
    if form.delimiter:
        return form
    lines, usual = sample_lines(path, form), delimiter_of(path, form)
    names = next((line for line in lines if line.strip() and not (form.comment and line.startswith(form.comment))), "")
    best, best_form = (False, False, 0.0, 0), form.model_copy(update={"delimiter": usual})
    for mark in dict.fromkeys([usual, *DELIMITERS]):
        has_spaces = mark in names and all(field[:1] == " " for field in names.split(mark)[1:])
        for quoting in [known["quoting"]] if "quoting" in known else QUOTING:
            trial = form.model_copy(update={"delimiter": mark + " " * has_spaces, "quoting": quoting})
            found = measure(lines, trial, is_sample=True)
            repeats = found.repeats and found.share > 0.5
            key = found.share == 1, repeats, found.share, -QUOTING.index(quoting)
            if found.width > 1 and key > best:
                best, best_form = key, trial
    return best_form


def find_quoting(path: Path, form: Format, known: dict) -> Format:
    """Return the form with the quoting under which all rows of the whole file have the same number of fields.

    The quoting is `none` if the rows also have equally many fields when quotes mean nothing, and if there are more rows
    then: `double` would join several rows into one.
    """
    if "quoting" in known:
        return form
    forms = {quoting: form.model_copy(update={"quoting": quoting}) for quoting in ("double", "none", "backslash")}
    found: dict[str, Measure] = {}
    for quoting, trial in forms.items():
        with open_text(path, form) as file:
            found[quoting] = measure(file, trial)
        if quoting == "none" and found["double"].is_whole:
            swallows = found["none"].is_whole and found["none"].rows > found["double"].rows
            return forms["none" if swallows else "double"]
    return forms[next((quoting for quoting in ("backslash", "none") if found[quoting].is_whole), "double")]


def sample_rows(path: Path, form: Format) -> list[list[str]]:
    """Return the first rows of a file, the header included."""
    lines = Lines(iter(sample_lines(path, form)), form)
    rows = []
    with suppress(ValueError):  # the sample ends inside a row, or `read_rows` will name the fault
        rows.extend(row for _, row in csv_rows(lines, form.quoting, form.delimiter) if row)
    return rows


def first_row_is_header(rows: list[list[str]]) -> bool:
    """Return whether the first row has names: no field is long, equal to a value below it, or a number above a number.

    >>> first_row_is_header([["text", "label"], ["fine", "good"]]), first_row_is_header([["fine", "1"], ["bad", "0"]])
    (True, False)
    """
    if not rows:
        return True
    others = [row for row in rows if row != rows[0]]  # the first row may occur again, as in joined files
    columns = [{row[number].strip() for row in others if len(row) > number} for number in range(len(rows[0]))]
    first = zip((field.strip() for field in rows[0]), columns, strict=True)
    return not any(
        field and (len(field) > LONG_NAME or field in column or (is_number(field) and any(map(is_number, column))))
        for field, column in first
    )


def is_number(field: str) -> bool:
    """Return whether a field is a number, with digits and perhaps a sign, a point and commas."""
    return re.fullmatch(r"[-+]?[\d.,]+", field) is not None
