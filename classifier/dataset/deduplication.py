"""Drop duplicates, and rows whose text or group is in another split.

A split is a table that describes each row without its text (see `read_split` in checking.py). The index is the number
of the row in the source's split.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd


def number_texts(splits: dict[str, pd.DataFrame]) -> dict[str, pd.Series]:
    """Return a number for each row's text, equal for duplicates in all splits."""
    # Viewed as values of 16 bytes, both halves of a digest are compared at once.
    halves = np.concatenate([split[["high", "low"]].to_numpy() for split in splits.values()])
    _, numbers = np.unique(np.ascontiguousarray(halves).view("V16")[:, 0], return_inverse=True)
    ends = np.cumsum([len(split) for split in splits.values()])
    parts = zip(splits, np.split(numbers, ends[:-1]), strict=True)
    return {name: pd.Series(part, splits[name].index) for name, part in parts}


def find_conflicting_texts(splits: dict[str, pd.DataFrame], texts: dict[str, pd.Series]) -> np.ndarray:
    """Return the numbers of the texts that have several labels in the splits. texts: see `number_texts`."""
    labels = np.concatenate([split["label"] for split in splits.values()])
    numbers = np.concatenate([texts[name] for name in splits])
    first_labels = np.zeros(numbers.max() + 1, dtype=labels.dtype)
    first_labels[numbers[::-1]] = labels[::-1]  # the first row of a text is assigned last
    return np.unique(numbers[labels != first_labels[numbers]])


def deduplicate(
    splits: dict[str, pd.DataFrame], conflicts: Literal["first", "drop"], corrected: Sequence[int]
) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """Drop duplicates, and rows whose text or group is in another split as well.

    test stays as it was published, with its duplicates. Texts and groups of test are dropped from validation, and texts
    and groups of test and of validation are dropped from train.

    Args:
        splits: The source's splits, as `read_split` returns them.
        conflicts: For a text with several labels, keep its first row or drop all its rows in train and validation.
        corrected: The numbers of train rows whose label is corrected by hand, which "drop" does not drop.

    Returns:
        The splits with the columns label, words and perhaps group, and in test in_train (whether the text is in train
        as well); and counts for metrics/data.json: of dropped rows by reason, conflicting texts, groups and test rows.
    """
    texts = number_texts(splits)
    conflicting = find_conflicting_texts(splits, texts)
    columns = [name for name in ("label", "words", "group") if name in splits["train"]]
    kept, counts = {}, {"official_test": "test" in splits, "conflicting_texts": len(conflicting)}
    if "test" in splits:
        counts["conflicting_texts_in_test"] = int(np.isin(conflicting, texts["test"]).sum())
        kept["test"] = splits["test"][columns].assign(in_train=texts["test"].isin(texts["train"]))
    counts |= {"conflicting_rows_dropped": 0} if conflicts == "drop" else {}
    counts["duplicates_dropped"] = 0
    groups = {name: split["group"] for name, split in splits.items() if "group" in split}
    counts |= {"groups": pd.concat([*groups.values()]).nunique()} if groups else {}
    for name in [name for name in ("validation", "train") if name in splits]:
        exempt = corrected if name == "train" else []
        has_conflict = texts[name].isin(conflicting) & ~texts[name].index.isin(exempt)
        dropped = rows_to_drop(name, texts, list(kept), has_conflict if conflicts == "drop" else None, groups)
        counts |= {reason: counts.get(reason, 0) + int(rows.sum()) for reason, rows in dropped.items()}
        kept[name] = splits[name].loc[~np.any([*dropped.values()], axis=0), columns]
    if "test" in splits:
        counts["test_texts_in_train"] = int(kept["test"]["in_train"].sum())
        counts["test_available"] = len(kept["test"])  # `draw_splits` may draw a sample of these rows
    return kept, counts


def rows_to_drop(
    name: str,
    texts: dict[str, pd.Series],
    others: list[str],
    has_conflict: pd.Series | None,
    groups: dict[str, pd.Series],
) -> dict[str, pd.Series]:
    """Return the rows of a split to drop, (rows,) bool, by the reason's name in metrics/data.json.

    A row whose text is in two other splits counts for both. Otherwise a row counts for one reason only.

    Args:
        name: validation or train.
        texts: The number of each row's text; see `number_texts`.
        others: The splits whose texts and groups are dropped from this split.
        has_conflict: (rows,) bool, the rows to drop because their text has several labels. None keeps such rows.
        groups: The group of each row, by split; empty if the data set's entry has no `group`.
    """
    reasons = {f"{name}_texts_in_{other}_dropped": texts[name].isin(texts[other]) for other in others}
    for other in others if groups else []:
        in_other = groups[name].isin(groups[other])
        reasons[f"{name}_rows_with_groups_in_{other}_dropped"] = in_other & ~np.any([*reasons.values()], axis=0)
    if has_conflict is not None:
        reasons["conflicting_rows_dropped"] = has_conflict & ~np.any([*reasons.values()], axis=0)
    reasons["duplicates_dropped"] = texts[name].duplicated() & ~np.any([*reasons.values()], axis=0)
    return reasons
