"""Correct labels by hand, with a table in data/local/ that has the columns hash and label.

The hash of a text is computed by `text_hash`; data/doubtful_labels.csv has the hash of each doubtful text. A label is
a label name of the data set, a list of names if a text can have several labels, a number if labels are numbers, or
`drop` to leave the text out. Corrections change train alone: the texts and the labels of validation and test stay as
they are.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from classifier.errors import InputError
from classifier.files.places import DOUBTFUL, LOCAL
from classifier.params.datasets import Dataset
from classifier.tables.reading import read_rows
from classifier.tasks.labels import KNOWN
from classifier.tasks.task import TASKS

DROP = "drop"


def read_corrections(train: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Return the corrections of the source's train split, indexed by the number of the row.

    The column new is the value of the new label, and dropped says whether the text is dropped. The column correction is
    the number of the correction. Rows whose texts are duplicates have the same correction.

    Args:
        train: The rows of the train split, as `read_split` returns them.
        dataset: The data set's entry, whose `corrections` names the table.

    Raises:
        InputError: The table is faulty, or no text in train has one of the hashes.
    """
    path = LOCAL / dataset.corrections
    new_labels = read_new_labels(path, dataset)
    halves = np.frombuffer(b"".join(new_labels), dtype=np.uint64).reshape(-1, 2)
    table = pd.DataFrame({"high": halves[:, 0], "low": halves[:, 1]})
    table["new"], table["dropped"] = zip(*new_labels.values(), strict=True) if new_labels else ([], [])
    table["correction"] = range(len(table))
    candidates = train[train["low"].isin(table["low"])].reset_index(names="row")  # few, which makes the merge cheap
    matches = candidates.merge(table, on=["high", "low"])
    if unmatched := table.index.difference(matches["correction"]).tolist():
        name = min(list(new_labels)[number] for number in unmatched).hex()
        raise InputError(f"{path}: no text of train has the hash {name}; remove its row or copy the hash again")
    return matches.set_index("row")[["new", "dropped", "correction"]]


def read_new_labels(path: Path, dataset: Dataset) -> dict[bytes, tuple]:
    """Return a mapping from the digest of each text to (value of the new label, whether to drop the text).

    Raises:
        InputError: A column is missing, or a row has an unknown label or a malformed or repeated hash, or `drop` is a
            label of the data set.
    """
    names = dataset.label_names
    if DROP in names and len(names) > 1:
        raise InputError(f"{path}: {DROP!r} is a label of the data set, but drops a text here; rename it in `labels`")
    new_labels: dict[bytes, tuple] = {}
    for table in read_rows(path):
        if missing := {"hash", "label"} - set(table.columns):
            raise InputError(f"{path}: no column {min(missing)!r}; add it: the columns are hash and label")
        values, known = values_of(table["label"].tolist(), dataset)
        for row, (place, name, label) in enumerate(zip(table.index, table["hash"], table["label"], strict=True)):
            where = f"{path}: {table.index.name} {place}"
            if label != DROP and not known[row]:
                fix = f"use {', '.join([DROP, *names])}" if len(names) > 1 else f"write a number or {DROP}"
                raise InputError(f"{where}: unknown label {label!r:.40}; {fix}")
            if (key := parse_hash(name, where)) in new_labels:
                raise InputError(f"{where}: the hash {name} occurs twice; remove one of its rows")
            new_labels[key] = (values[row], label == DROP)
    return new_labels


def values_of(labels: list, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return (the value of each label, whether the label is known).

    labels: Names of `Dataset.label_names`, as a table of corrections writes them; numbers for a regression.
    """
    task, names = TASKS[dataset.task], dataset.label_names
    entry = dataset.model_copy(update={"label": "label", "labels": names})
    cells = task.label_cells(pd.DataFrame({"label": [*names, *labels]}, dtype=object), entry)
    # The names stand in front of the labels, so that `read_labels` takes no label for the number of a name.
    values, status = task.read_labels(cells.tolist(), entry)
    return values[len(names) :], (status == KNOWN)[len(names) :]


def parse_hash(name: object, where: str) -> bytes:
    """Return the digest that a hash stands for. Raises InputError, with the place, for a malformed hash."""
    try:
        key = bytes.fromhex(name)
    except (TypeError, ValueError):
        key = b""
    if len(key) != 16:
        raise InputError(f"{where}: {name!r:.40} is not 32 hexadecimal digits; copy the hash from {DOUBTFUL}")
    return key


def apply_corrections(train: pd.DataFrame, corrections: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return (the corrected rows, counts of the changes).

    Args:
        train: The rows chosen for train.
        corrections: The corrections of the source's train split, as `read_corrections` returns them.
    """
    applied = corrections[corrections.index.isin(train.index)]
    dropped, relabelled = applied.index[applied["dropped"]], applied["new"][~applied["dropped"]]
    changed = int((train["label"][relabelled.index] != relabelled).sum())
    labels = train["label"].copy()
    labels[relabelled.index] = relabelled.astype(labels.dtype).array
    train = train.assign(label=labels).drop(dropped)
    return train, {
        "labels_corrected": changed,
        "texts_dropped_by_hand": len(dropped),
        "corrections_of_texts_not_in_train": corrections["correction"].nunique() - len(applied),
    }
