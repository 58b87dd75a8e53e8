"""Find a stray quote in a .csv, which makes one text of all rows up to the next quote."""

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from classifier.errors import InputError

END = re.compile(r"\r\n|\r|\n")  # of a line


def refuse_swallowed_rows(path: Path, table: pd.DataFrame, column: str, is_label: Callable[[str], bool]) -> None:
    """Raises InputError, with the line, for a quoted field that holds whole rows of the table.

    table: of read_rows, of a .csv; column: of the labels; is_label: whether a value of that column is one.
    """
    at = list(table.columns).index(column)
    several = table.apply(lambda values: values.str.contains(END)).any(axis=1)
    for line, fields in zip(table.index[several], table[several].itertuples(index=False), strict=True):
        for place in range(len(fields)):
            rows = rows_within(fields, place)
            if rows and all(len(row) == len(fields) and is_label(row[at].strip()) for row in rows):
                line += sum(len(END.findall(before)) for before in fields[:place])
                raise InputError(
                    f"{path}: line {line}: a quoted field that begins here holds {len(rows)} rows of the table; remove "
                    "the stray quote, or double it; if the field is meant so, save the table as .jsonl"
                )


def rows_within(fields: Sequence[str], place: int) -> list[list[str]]:
    """The rows that one field would be if its quotes were not there: its lines, the first with the fields before it,
    the last with those after it. None of a field of one line.

    >>> rows_within(["good,1\\nbad,0\\nfine", "1"], 0)
    [['good', '1'], ['bad', '0'], ['fine', '1']]
    """
    lines = END.split(fields[place])
    if len(lines) == 1:
        return []
    lines = [lines[0], *filter(None, lines[1:-1]), lines[-1]]  # blank ones are no rows
    first, *between, last = (next(csv.reader([line])) or [""] for line in lines)
    return [[*fields[:place], *first], *between, [*last, *fields[place + 1 :]]]
