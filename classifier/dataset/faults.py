"""Refuse the faulty rows of a file: all kinds of faults in one message, each with its first places."""

from pathlib import Path

import pandas as pd

from classifier.errors import InputError
from classifier.params.datasets import Dataset
from classifier.tables.rows import PLACES_SHOWN, list_places
from classifier.tasks.labels import UNKNOWN
from classifier.tasks.task import TASKS

# Bits of a row's faults.
NO_TEXT, NOT_A_TEXT, EMPTY, ONE_TEXT, UNLABELLED, NO_GROUP = (1 << number for number in range(6))
FILL_IN = "fill it in or remove the row"
# Fault -> (the setting that has the name of the column, the problem, the fix), in the order of the checks.
FAULTS = {
    NO_TEXT: ("text", "no text", f"{FILL_IN}, or leave such rows out with `drop: [empty]`"),
    NOT_A_TEXT: ("text", "not a text", "write it as a string in quotes"),
    EMPTY: (
        "text",
        "empty text, or only white space, HTML tags and invisible characters",
        f"{FILL_IN}, or leave such rows out with `drop: [empty]`",
    ),
    ONE_TEXT: ("text", "a pair with one text", f"{FILL_IN}, or leave such rows out with `drop: [empty]`"),
    UNLABELLED: ("label", "missing label", f"{FILL_IN}, or leave such rows out with `drop: [unlabelled]`"),
    NO_GROUP: ("group", "no group", FILL_IN),
}
UNKNOWN_SHOWN = 10  # unknown labels in a message


def refuse_faults(path: Path, rows: pd.DataFrame, places: pd.Index, spellings: list[str], dataset: Dataset) -> None:
    """Raise InputError if there are faulty rows. A row is named for its first fault only.

    Args:
        path: The file.
        rows: Its rows with the columns faults, spelling and status; the index is the number of the row.
        places: The place of each row in the file.
        spellings: The different labels, as the file writes them. The column spelling has a row's index in this list.
        dataset: The data set's entry.
    """

    def where(numbers: pd.Index) -> str:
        return list_places(places.name, places[numbers[:PLACES_SHOWN]].tolist(), len(numbers))

    columns = {"text": dataset.text, "label": dataset.label_columns, "group": [dataset.group]}
    messages, faults = [], rows["faults"].to_numpy()
    for fault, (setting, problem, fix) in FAULTS.items():
        is_first = (faults & fault > 0) & (faults & (fault - 1) == 0)
        if is_first.any():
            column = " and ".join(map(repr, columns[setting]))
            messages.append(f"{where(rows.index[is_first])}, column {column}: {problem}; {fix}")
    unknown = rows[(faults == 0) & (rows["status"] == UNKNOWN)].groupby("spelling", sort=False)
    label_column = " and ".join(map(repr, dataset.label_columns))
    named = [
        f"{where(group.index)}, column {label_column}: unknown label {spellings[spelling]!r:.40}"
        for spelling, group in list(unknown)[:UNKNOWN_SHOWN]
    ]
    if named:
        more = f"; {len(unknown) - len(named):,} more unknown labels" if len(unknown) > len(named) else ""
        messages.append(f"{'; '.join(named)}{more}; {TASKS[dataset.task].labels_fix(spellings, dataset)}")
    if messages:
        raise InputError(f"{path}: {'. Also '.join(messages)}")
