"""Read the rows of a file that belong to a split, in the columns that the entry of the data set names."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from classifier.errors import InputError
from classifier.params.datasets import Dataset
from classifier.params.labels import label_value
from classifier.params.sources import Where
from classifier.tables.delimited import delimiter_of
from classifier.tables.hints import delimiter_hint, header_hint
from classifier.tables.quotes import refuse_swallowed_rows
from classifier.tables.reading import column_values, join_columns, kind_of, read_rows
from classifier.tasks.labels import UNKNOWN, plain, spelled
from classifier.tasks.task import TASKS

COLUMNS_SHOWN = 20  # of a file, in an error


def read_selected_rows(path: Path, dataset: Dataset, split: str = "train") -> Iterator[pd.DataFrame]:
    """Yield the rows of one file that belong to a split, in tables with the columns text, label and perhaps group.

    Rows that `where` excludes, and rows that `where` gives to another split of the same table, are left out. In the
    split from which the test rows come, there is also a column for each slice, named `slice_column(NAME)`. Its values
    are strings, "" for a missing value.

    Raises:
        InputError: A stray quote swallows rows; or, at the end of the file, a column is missing.
    """
    where, others, task = dataset.required_values(split), dataset.excluded_values(split), TASKS[dataset.task]
    settings = dict.fromkeys([column for values in (where, *others) for column in values], "where")
    settings |= dict.fromkeys(dataset.text, "text") | dict.fromkeys(dataset.label_columns, "label")
    settings |= {dataset.group: "group"} if dataset.group else {}
    slices = dataset.slices_in(split)
    settings |= {column: "slices" for column in slices if column not in settings}
    check_quotes = kind_of(path, dataset.format) == "csv" and dataset.format.quoting != "none"
    columns, found = {}, set()
    for table in read_rows(path, dataset.format):
        columns |= dict.fromkeys(table.columns)
        if check_quotes and {*dataset.label_columns} <= {*table}:
            column = dataset.label_columns[0]
            is_label = partial(is_label_beside, table[column].unique().tolist(), dataset)
            refuse_swallowed_rows(path, table, column, is_label, delimiter_of(path, dataset.format)[0])
        # A table lacks a column if all its rows of JSON leave out the key. Tables before or after may have it.
        values = {column: column_values(table, column) for column in settings}
        found |= {column for column, of_column in values.items() if of_column is not None}
        table = pd.DataFrame(values, index=table.index, dtype=object)
        table = table[has_values(table, where) & ~np.any([has_values(table, other) for other in others], axis=0)]
        chosen = {
            "text": join_columns(table, dataset.text, dataset.separator, dataset.pair),
            "label": task.label_cells(table, dataset),
        }
        chosen |= {"group": table[dataset.group]} if dataset.group else {}
        yield pd.DataFrame(chosen | {slice_column(name): spelled(table[name]).map(plain) for name in slices})
    for column, setting in settings.items():
        if columns and column not in found:
            raise InputError(f"{path}: no column {column!r}; {column_fix(path, dataset, setting, list(columns))}")


def slice_column(name: str) -> str:
    """Return the name of a slice's column in the tables of `read_selected_rows`. No other column there has the name."""
    return f"slice {name}"


def is_label_beside(cells: list[str], dataset: Dataset, cell: str) -> bool:
    """Return whether a cell and the other cells of its column can all be labels.

    The other values matter: they show, for example, whether the column has names or numbers.
    """
    task = TASKS[dataset.task]
    table = pd.DataFrame({column: [*cells, cell] for column in dataset.label_columns}, dtype=object)
    _, status = task.read_labels(task.label_cells(table, dataset).tolist(), dataset)
    return bool((status != UNKNOWN).all())


def has_values(table: pd.DataFrame, where: Where) -> pd.Series:
    """Return whether each row of a table has the value that `where` gives for each of its columns, (rows,) bool."""
    found = pd.Series(True, table.index)
    for column, value in where.items():
        found &= spelled(table[column]).map(plain) == plain(label_value(value))
    return found


def column_fix(path: Path, dataset: Dataset, setting: str, names: list[str]) -> str:
    """Return how to fix a missing column, given the setting that names it and the columns of the file."""
    shown = ", ".join(f"{name!r:.40}" for name in names[:COLUMNS_SHOWN]) + ", ..." * (len(names) > COLUMNS_SHOWN)
    if kind_of(path, dataset.format) == "csv" and not dataset.format.header:
        hint = delimiter_hint(names, delimiter_of(path, dataset.format))
        if hint := hint or header_hint(names, [*(dataset.labels or []), *map(str, range(10))]):
            return f"{hint} (the first line has {shown})"
    return f"set `{setting}` in params.yaml to a column of the file: {shown}"
