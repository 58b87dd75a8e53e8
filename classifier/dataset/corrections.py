"""Labels put right by hand, by a table in data/local/ with the columns hash and label.

A hash is what hexadecimal() makes of a text; it stands in data/doubtful_labels.csv beside each doubtful one. The label
is one of the data set's names, or `drop` to leave the text out. Only what is trained on is corrected: which texts
validation and test hold, and their labels, stay as they were.
"""

import numpy as np
import pandas as pd

from classifier.dataset.checking import digest
from classifier.dataset.tables import read_rows
from classifier.errors import InputError
from classifier.files.places import LOCAL
from classifier.params.catalogue import Dataset

DROP = "drop"


def hexadecimal(text: str) -> str:
    """32 digits, equal for texts that are duplicates of each other."""
    return digest(text).hex()


def read_corrections(rows: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """What is corrected, by number of the row: columns new, the label's number or -1 to drop the text, and correction,
    a number for each, since duplicates of a text have one in common.

    rows: what read_split returned for the source's train split. Raises InputError, with its place, for a hash that none
    of them has or that came before, and for a label that the data set has not.
    """
    path = LOCAL / dataset.corrections
    if DROP in dataset.labels:
        raise InputError(f"{path}: the data set has a label {DROP!r} of its own; rename it in `labels`")
    numbers = {DROP: -1} | {name: number for number, name in enumerate(dataset.labels)}
    wanted: dict[bytes, int] = {}
    for table in read_rows(path):
        if missing := {"hash", "label"} - set(table.columns):
            raise InputError(f"{path}: no column {min(missing)!r}; hash and label are needed")
        for place, name, label in zip(table.index, table["hash"], table["label"], strict=True):
            where = f"{path}: {table.index.name} {place}"
            if not isinstance(label, str) or label not in numbers:
                raise InputError(f"{where}: unknown label {label!r:.40}; use {', '.join(numbers)}")
            if (key := digits(name, where)) in wanted:
                raise InputError(f"{where}: the hash {name} stands there twice; remove one")
            wanted[key] = numbers[label]
    keys = np.frombuffer(b"".join(wanted), dtype=np.uint64).reshape(-1, 2)
    table = pd.DataFrame({"high": keys[:, 0], "low": keys[:, 1], "new": list(wanted.values())})
    table["correction"] = range(len(table))
    found = rows[rows["low"].isin(table["low"])].reset_index(names="row").merge(table, on=["high", "low"])
    if unknown := set(wanted) - {digest_of(high, low) for high, low in zip(found["high"], found["low"], strict=True)}:
        raise InputError(f"{path}: no text of train has the hash {min(unknown).hex()}; remove its row")
    return found.set_index("row")[["new", "correction"]]


def digits(name: object, where: str) -> bytes:
    try:
        key = bytes.fromhex(name)
    except (TypeError, ValueError):
        key = b""
    if len(key) != 16:
        raise InputError(f"{where}: hash {name!r:.40}: 32 hexadecimal digits are needed")
    return key


def digest_of(high: int, low: int) -> bytes:
    return np.array([high, low], dtype=np.uint64).tobytes()


def correct(train: pd.DataFrame, corrections: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """(the chosen train rows as the corrections want them, counts of what was done)."""
    own = corrections[corrections.index.isin(train.index)]
    dropped, relabelled = own.index[own["new"] < 0], own["new"][own["new"] >= 0]
    changed = int((train["label"][relabelled.index] != relabelled).sum())
    train = train.assign(label=relabelled.reindex(train.index).fillna(train["label"]).astype(int)).drop(dropped)
    return train, {
        "labels_corrected": changed,
        "texts_dropped_by_hand": len(dropped),
        "corrections_of_texts_not_in_train": corrections["correction"].nunique() - len(own),
    }
