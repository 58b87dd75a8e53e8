"""Find a stray quote in a .csv file. Without an error, all rows up to the next quote would become one text."""

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from classifier.errors import InputError

LINE_END = re.compile(r"\r\n|\r|\n")


def refuse_swallowed_rows(
    path: Path, table: pd.DataFrame, column: str, is_label: Callable[[str], bool], delimiter: str = ","
) -> None:
    """Raise InputError, with the line, for a quoted field that holds whole rows of the table.

    Args:
        path: The .csv file.
        table: Some of its rows, as `read_rows` returns them.
        column: The column of the labels.
        is_label: A function that returns whether a value can be a label in that column.
        delimiter: What stands between the fields.
    """
    label_position = list(table.columns).index(column)
    has_lines = table.apply(lambda values: values.str.contains(LINE_END)).any(axis=1)
    for line, fields in zip(table.index[has_lines], table[has_lines].itertuples(index=False), strict=True):
        for position in range(len(fields)):
            rows = rows_within(fields, position, delimiter)
            if rows and all(len(row) == len(fields) and is_label(row[label_position].strip()) for row in rows):
                line += sum(len(LINE_END.findall(field)) for field in fields[:position])
                raise InputError(
                    f"{path}: line {line}: the quoted field that begins here holds {len(rows)} whole rows of the "
                    "table; remove the stray quote or double it, or save the table as .jsonl if the field is right"
                )


def rows_within(fields: Sequence[str], position: int, delimiter: str = ",") -> list[list[str]]:
    """Return the rows that one field of a row would be without its quotes; none if the field has a single line.

    The first line continues the fields before it, and the fields after it continue the last line.

    >>> rows_within(["good,1\\nbad,0\\nfine", "1"], 0)
    [['good', '1'], ['bad', '0'], ['fine', '1']]
    """
    lines = LINE_END.split(fields[position])
    if len(lines) == 1:
        return []
    lines = [lines[0], *filter(None, lines[1:-1]), lines[-1]]  # a blank line is no row
    first, *between, last = (next(csv.reader([line], delimiter=delimiter)) or [""] for line in lines)
    return [[*fields[:position], *first], *between, [*last, *fields[position + 1 :]]]
