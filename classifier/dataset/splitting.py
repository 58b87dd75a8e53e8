"""Which rows go into which split. Rows are tables without texts; their index is their number in the source's split."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from classifier.errors import InputError
from classifier.params.catalogue import Dataset


def text_numbers(splits: dict[str, pd.DataFrame]) -> dict[str, pd.Series]:
    """A number for each row's text, equal for equal texts of all splits."""
    halves = np.concatenate([split[["high", "low"]].to_numpy() for split in splits.values()])
    _, numbers = np.unique(np.ascontiguousarray(halves).view("V16")[:, 0], return_inverse=True)
    ends = np.cumsum([len(split) for split in splits.values()])
    return {name: pd.Series(part) for name, part in zip(splits, np.split(numbers, ends[:-1]), strict=True)}


def conflicting_texts(splits: dict[str, pd.DataFrame], texts: dict[str, pd.Series]) -> np.ndarray:
    """The numbers of the texts that stand in the splits with several labels. texts: what text_numbers returns."""
    labels = np.concatenate([split["label"] for split in splits.values()])
    numbers = np.concatenate([texts[name] for name in splits])
    first = np.zeros(numbers.max() + 1, dtype=labels.dtype)
    first[numbers[::-1]] = labels[::-1]
    return np.unique(numbers[labels != first[numbers]])


def without_overlaps(
    splits: dict[str, pd.DataFrame], conflicts: Literal["first", "drop"] = "first", settled: Sequence[int] = ()
) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """(the source's splits without duplicates and shared texts, counts of what was dropped).

    test stays as it was published. A text of validation must not stand in test, one of train in neither.
    splits: what read_split returns; what comes back has the columns label and words, and of test in_train.
    conflicts: of the rows of a text with several labels keep the first, or drop all; but not those of train that are
    settled, numbers of rows whose label is corrected by hand.
    """
    texts = text_numbers(splits)
    conflicting = conflicting_texts(splits, texts)
    kept, counts = {}, {"official_test": "test" in splits, "conflicting_texts": len(conflicting)}
    if "test" in splits:
        counts["conflicting_texts_in_test"] = int(np.isin(conflicting, texts["test"]).sum())
    counts |= {"conflicting_rows_dropped": 0} if conflicts == "drop" else {}
    counts["duplicates_dropped"] = 0
    if "test" in splits:
        kept["test"] = splits["test"][["label", "words"]].assign(in_train=texts["test"].isin(texts["train"]))
    for name in ("validation", "train"):
        if name not in splits:
            continue
        shared = pd.Series(False, index=splits[name].index)
        for other in kept:
            in_other = texts[name].isin(texts[other])
            counts[f"{name}_texts_in_{other}_dropped"] = int(in_other.sum())
            shared |= in_other
        if conflicts == "drop":
            several = texts[name].isin(conflicting) & ~shared
            if name == "train":
                several &= ~several.index.isin(settled)
            counts["conflicting_rows_dropped"] += int(several.sum())
            shared |= several
        duplicated = texts[name].duplicated() & ~shared
        counts["duplicates_dropped"] += int(duplicated.sum())
        kept[name] = splits[name].loc[~shared & ~duplicated, ["label", "words"]]
    if "test" in splits:
        counts["test_texts_in_train"] = int(kept["test"]["in_train"].sum())
        counts["test_available"] = len(kept["test"])  # of which test may be a sample
    return kept, counts


def check_every_label(labels: pd.Series, dataset: Dataset, path: Path, needed: int, beside: str = "") -> None:
    """Raises InputError if a label has fewer rows than there are splits to be made of them. beside: more to say."""
    counts = labels.value_counts()
    for number, name in enumerate(dataset.labels):
        if (count := counts.get(number, 0)) < needed:
            raise InputError(
                f"{path}: column {dataset.label!r}: {count} different texts, apart from those in other splits, have "
                f"the label {name!r}, and {needed} are needed{beside}; add rows"
            )


def choose(given: dict[str, pd.DataFrame], dataset: Dataset, seed: int) -> dict[str, pd.DataFrame]:
    """The rows of train, validation and test, in the order in which they are written.

    given: the source's splits, of which train is there; a split that is not is held out of train, of validation as many
    rows as validation_rows() says if its size is not set. Raises InputError for sizes that do not fit.
    """
    rest, splits = given["train"], {}
    names = ("test", "validation", "train")
    sizes = {name: rows_of(getattr(dataset, name), len(given.get(name, rest))) for name in names}
    for name, size in sizes.items():
        whole = given.get(name, given["train"])
        if size is None and name == "validation" and name not in given:
            rows = len(rest) if sizes["train"] is None else sizes["train"] * 5 // 4  # of which validation is a fifth
            size = validation_rows(rows, len(dataset.labels))
            if sizes["train"] is not None:  # it is set, and goes first
                size = max(1, min(size, len(rest) - sizes["train"]))
        if name == "train" and rest.empty:
            raise InputError("params.yaml: no rows are left for train; lower test or validation")
        if name == "train" or name not in given:
            splits[name], rest = stratified_sample(rest, size, seed, name)
        else:
            as_published = name == "test" and size is None
            splits[name] = whole if as_published else stratified_sample(whole, size, seed, name)[0]
    for name, split in splits.items():
        if missing := set(range(len(dataset.labels))) - set(split["label"].unique()):
            label = dataset.labels[min(missing)]
            raise InputError(
                f"params.yaml: {name}: none of its {len(split):,} rows has the label {label!r}; give {name} more rows"
            )
    return {name: splits[name] for name in ("train", "validation", "test")}


def rows_of(size: int | float | None, whole: int) -> int | None:
    """A split's size in rows, which may be given as a share of the whole."""
    if size is None or size >= 1:
        return size
    return math.floor(size * whole + 1e-6)  # down, so that shares of 1 in all fit


def validation_rows(rows: int, labels: int) -> int:
    """How many of so many rows with so many different labels are for validation: a fifth, at least 20 and at most
    1,000, but not more than half; and at least one row for each label.
    """
    return max(min(max(20, rows // 5), 1000, rows // 2), labels)


def stratified_sample(frame: pd.DataFrame, size: int | None, seed: int, what: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A stratified random sample of `size` rows (all if None), shuffled, and the rest."""
    from sklearn.model_selection import train_test_split

    size = len(frame) if size is None else size
    if size > len(frame):
        raise InputError(f"params.yaml: {what} of {size} rows asked for, but only {len(frame)} are left; lower it")
    if len(frame) - size < frame["label"].nunique():  # a rest that cannot hold each label: any rows
        part = frame.sample(size, random_state=seed)
        return part, frame.drop(part.index)
    try:
        part, rest = train_test_split(frame, train_size=size, random_state=seed, stratify=frame["label"])
    except ValueError as error:
        raise InputError(f"params.yaml: {what} of {size} rows: {error}; change the size") from None
    return part, rest
