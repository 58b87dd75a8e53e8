"""Read .csv files and other files whose fields are separated by a delimiter.

An error names the lines of faulty rows. Nothing is guessed or repaired.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from classifier.params.format import Format
from classifier.tables.hints import delimiter_hint
from classifier.tables.opening import open_text, plain_name
from classifier.tables.rows import PLACES_SHOWN, as_tables, column_names, list_places

# An odd number of backslashes before a quote: the last of them belongs to the quote.
ESCAPED_QUOTE = re.compile(r'(?<!\\)((?:\\\\)*)\\"')
# Replaces a backslash and a quote until the fields are separated, and is then replaced by a quote. No text has this
# character: it is half of a surrogate pair.
QUOTE = "\udc22"
QUOTE_AFTER_SPACE = re.compile(r'\s+".*"\s*', re.DOTALL)


def read_csv(path: Path, form: Format) -> Iterator[pd.DataFrame]:
    """Yield the tables of a .csv file. Raises ValueError, with the lines and the fix, for a faulty header or rows."""
    csv.field_size_limit(2**31 - 1)  # the default refuses texts above 128 kB
    with open_text(path, form) as file:
        delimiter = delimiter_of(path, form)
        rows = csv_rows(Lines(file, form), form.quoting, delimiter)
        line, header = (1, form.header) if form.header else next(rows, (1, []))
        if not header:
            raise ValueError("line 1: no header; write the names of the columns into the first line")
        names = column_names(header, f"line {line}")
        yield from as_tables(rows_of_width(rows, line, header, delimiter, form), names)


def delimiter_of(path: Path, form: Format) -> str:
    """Return the delimiter of a file: that of the format, or else a tab for a .tsv file and a comma for any other."""
    return form.delimiter or ("\t" if plain_name(path).suffix == ".tsv" else ",")


class Lines:
    """The lines of a file for `csv.reader`, without comments between the rows.

    Attributes:
        number: The number of the line that was read last.
        start: The number of the line on which the present row begins; None before its first line is read.
        present: The lines of the present row.
    """

    def __init__(self, file: Iterator[str], form: Format):
        self.file, self.form = file, form
        self.number, self.start, self.present = 0, None, []

    def __iter__(self):
        return self

    def __next__(self) -> str:
        line = next(self.file)
        self.number += 1
        if self.start is None:
            while self.form.comment and line.startswith(self.form.comment):
                line = next(self.file)
                self.number += 1
            self.start = self.number
            self.present.clear()
        self.present.append(ESCAPED_QUOTE.sub(rf"\1{QUOTE}", line) if self.form.quoting == "backslash" else line)
        return self.present[-1]

    def has(self, field: str, delimiter: str) -> bool:
        """Return whether the lines of the present row contain this field without quotes around it."""
        return delimiter + field in delimiter + "".join(self.present)


def csv_rows(lines: Lines, quoting: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first line, fields) of the header and of each row that is not blank.

    Raises ValueError, with the line and the fix, for a faulty quote.
    """
    options = {"delimiter": delimiter[0], "skipinitialspace": delimiter[1:].startswith(" "), "strict": True}
    reader = csv.reader(lines, quoting=csv.QUOTE_NONE if quoting == "none" else csv.QUOTE_MINIMAL, **options)
    try:
        for row in reader:
            if row or (lines.start == 1 and not lines.form.header):
                yield lines.start, [field.replace(QUOTE, '"') for field in row] if quoting == "backslash" else row
            quotes = [field for field in row if field[:1].isspace() and QUOTE_AFTER_SPACE.fullmatch(field)]
            if quoting != "none" and any(lines.has(field, delimiter[0]) for field in quotes):
                fix = 'set `format.delimiter` to a character and a space, such as ", ", or remove the space'
                raise ValueError(f"line {lines.start}: a space before a quote would make the quote text; {fix}")
            lines.start = None
    except csv.Error as error:
        backslash = '; if quotes in a text are written as \\", set `format.quoting` to backslash'
        fix = f"close each quote, and double a quote inside a field{backslash * (quoting == 'double')}"
        problem = f"line {lines.start or lines.number}: {error}; {fix}"
        raise ValueError(f"{problem}; if quotes mean nothing, set `format.quoting` to none") from None


def rows_of_width(
    rows: Iterator[tuple[int, list[str]]], header_line: int, header: list[str], delimiter: str, form: Format
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that have a field for each column. Raises ValueError at the end if there are others."""
    lines, widths, count = [], Counter(), 0
    for count, (line, row) in enumerate(rows, start=1):  # noqa: B007  all rows are counted
        if len(row) == len(header):
            yield line, row
        else:
            if len(lines) < PLACES_SHOWN:
                lines.append((line, fields(len(row))))
            widths[len(row)] += 1
    if widths:
        hint = delimiter_hint(header, delimiter)
        ((width, others),) = widths.most_common(1)
        if len(header) == 1 < width and not hint and not form.header and count > 1 and others > count / 2:
            which = "all other rows have" if others == count else "most other rows have"
            problem = f"line {header_line} has 1 field, {which} {fields(width)}"
            raise ValueError(f"{problem}; if it is a title, remove the line, or else complete the header")
        places = list_places("line", [line for line, _ in lines], widths.total(), [width for _, width in lines])
        fix = hint or "complete the rows, and quote fields that hold the delimiter"
        if form.header:
            fix = f"{fix}, or name each column in `format.header`"
        raise ValueError(f"{places}: the header has {fields(len(header))}; {fix}")


def fields(number: int) -> str:
    """Return a number of fields in words."""
    return f"{number} field{'s' * (number != 1)}"
