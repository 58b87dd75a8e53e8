"""Choose which rows go into which split.

A split is a table without texts, whose index is the number of each row in the source's split.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from classifier.errors import InputError
from classifier.files.places import SPLITS
from classifier.params.datasets import Dataset
from classifier.tasks.task import TASKS, Task


def check_every_label(labels: pd.Series, dataset: Dataset, path: Path, needed: int, note: str = "") -> None:
    """Raise InputError if a label has fewer rows than needed.

    Args:
        labels: The labels of the rows.
        dataset: The data set's entry.
        path: The file of the rows, for the message.
        needed: The number of rows that each label needs: one for each split that is made of the rows.
        note: An addition to the message.
    """
    counts = TASKS[dataset.task].needed_labels(labels)
    for number, name in enumerate(dataset.label_names if counts is not None else []):
        if (count := counts.get(number, 0)) < needed:
            column = " and ".join(map(repr, dataset.label_columns))
            problem = f"the label {name!r} has {count} different texts that are in no other split, but needs {needed}"
            raise InputError(f"{path}: column {column}: {problem}{note}; add rows with this label")


def draw_splits(source_splits: dict[str, pd.DataFrame], dataset: Dataset, seed: int) -> dict[str, pd.DataFrame]:
    """Return the rows of train, validation and test, in the order in which they are written.

    A split that the source lacks is held out of train: first test, then validation. Example: the source has only train,
    with 1,000 rows, and the entry sets test to 200 and neither train nor validation. Then test gets 200 rows,
    validation a fifth of the other 800, 160, and train the remaining 640.

    Args:
        source_splits: The source's splits, as `deduplicate` returns them; train is one of them.
        dataset: The data set's entry, with the size of each split.
        seed: The seed of the random samples.

    Raises:
        InputError: The sizes do not fit the source, or a split has no row with one of the labels.
    """
    rest, splits, task = source_splits["train"], {}, TASKS[dataset.task]
    settings = {name: f"params.yaml: datasets.{dataset.name}.{name}" for name in SPLITS}
    sizes = {name: size_in_rows(getattr(dataset, name), len(source_splits.get(name, rest))) for name in SPLITS}
    for name in ("test", "validation"):
        if name == "test" and name in source_splits and sizes[name] is None:  # as published, in the published order
            splits[name] = source_splits[name]
        elif name in source_splits:
            splits[name], _ = stratified_sample(source_splits[name], sizes[name], seed, settings[name], task)
        else:
            # Only the size of validation can be None here: an entry whose source has no test split must set `test`.
            if (size := sizes[name]) is None:
                needed = task.needed_labels(rest["label"])
                labels = 1 if needed is None else len(dataset.label_names)
                size = default_validation_size(len(rest), sizes["train"], labels)
            splits[name], rest = hold_out(rest, size, seed, settings[name], task)
    if rest.empty:
        raise InputError(f"{settings['train']}: no rows are left for train; lower test or validation")
    splits["train"], _ = stratified_sample(rest, sizes["train"], seed, settings["train"], task)
    for name, split in splits.items():
        expected = task.needed_labels(source_splits.get(name, source_splits["train"])["label"])
        if expected and (missing := expected.keys() - task.needed_labels(split["label"]).keys()):
            problem = f"none of its {len(split):,} rows has the label {dataset.label_names[min(missing)]!r}"
            raise InputError(f"{settings[name]}: {problem}; give {name} more rows, or add rows with this label")
    return {name: splits[name] for name in SPLITS}


def size_in_rows(size: int | float | None, available: int) -> int | None:
    """Return the number of rows for a split.

    size: A number of rows; a share of the available rows, if it is below 1; or None for all rows, which is returned
        unchanged.
    """
    if size is None or size >= 1:
        return size
    return math.floor(size * available + 1e-6)  # rounded down, so that shares with the sum 1 fit


def default_validation_size(available: int, train_size: int | None, labels: int) -> int:
    """Return the number of validation rows that are held out if the data set's entry sets none.

    Args:
        available: The number of rows for train and validation.
        train_size: The number of train rows, or None. If it is set, validation is a fifth of train and validation
            together, and takes none of the train rows.
        labels: The number of labels that every split needs.
    """
    if train_size is None:
        return validation_size(available, labels)
    return max(1, min(validation_size(train_size * 5 // 4, labels), available - train_size))


def validation_size(rows: int, labels: int) -> int:
    """Return how many of the rows for train and validation are for validation.

    The number is a fifth of the rows, raised to 20 and lowered to 1,000 and to half of the rows if necessary. It is
    never below the number of labels.
    """
    return max(min(max(20, rows // 5), 1000, rows // 2), labels)


def hold_out(rows: pd.DataFrame, size: int, seed: int, setting: str, task: Task) -> list[pd.DataFrame]:
    """Return a random sample and the remaining rows.

    Without groups, `stratified_sample` draws the sample. If the rows have groups, `draw_groups` draws whole groups: no
    group is in both parts, and the sample has about `size` rows.
    """
    if "group" not in rows:
        return stratified_sample(rows, size, seed, setting, task)
    if size >= len(rows):
        raise InputError(f"{setting}: {size} rows requested, {len(rows)} available; lower it")
    small = min(size, len(rows) - size)
    drawn = draw_groups(rows, task.strata(rows["label"], small), small, seed)
    if not drawn.any():
        groups = rows["group"].nunique()
        problem = f"{groups} groups cannot be divided into parts of {small} rows"
        fix = f"raise it to about {len(rows) // groups + 1} rows or remove" if groups > 1 else "lower test or remove"
        raise InputError(f"{setting}: {problem}; {fix} `group`")
    return [rows[drawn], rows[~drawn]] if small == size else [rows[~drawn], rows[drawn]]


def draw_groups(rows: pd.DataFrame, strata: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Return which rows are in a random sample of whole groups, (rows,) bool.

    The groups are visited in random order. The numbers of drawn rows in each stratum form a vector. A group is drawn if
    it brings this vector nearer to the vector of a stratified sample. So a group with most of the rows is not drawn for
    a small sample.

    Args:
        rows: The rows, with the column group.
        strata: The number of each row's stratum, such as its label, (rows,).
        size: About how many rows to draw, at most half of them.
        seed: The seed of the order.
    """
    groups, _ = pd.factorize(rows["group"])
    # The random place of each row's group, (rows,).
    order = np.random.default_rng(seed).permutation(groups.max() + 1)[groups]
    by_group = np.argsort(order, kind="stable")
    labels = strata[by_group]
    ends = np.cumsum(np.bincount(order))
    missing = np.bincount(labels) * size / len(rows)
    drawn = np.zeros(len(rows), dtype=bool)
    for start, end in zip(ends - np.bincount(order), ends, strict=True):
        counts = np.bincount(labels[start:end], minlength=len(missing))
        if counts @ (counts - 2 * missing) < 0:  # then |missing - counts| < |missing|
            missing -= counts
            drawn[by_group[start:end]] = True
    return drawn


def stratified_sample(rows: pd.DataFrame, size: int | None, seed: int, setting: str, task: Task) -> list[pd.DataFrame]:
    """Return a shuffled random sample, stratified by label or as the task says, and the remaining rows.

    Args:
        rows: The rows to draw from.
        size: The number of rows to draw; None draws all.
        seed: The seed of the draw.
        setting: The place of the size in params.yaml, for messages.
        task: The task, which says what a sample is stratified by.

    Raises:
        InputError: The sample has more rows than there are, no row, or too few rows to have each label.
    """
    from sklearn.model_selection import train_test_split

    size = len(rows) if size is None else size
    if size > len(rows):
        raise InputError(f"{setting}: {size} rows requested, {len(rows)} available; lower it")
    if size == 0:
        raise InputError(f"{setting}: the share is less than one of {len(rows)} rows; raise it")
    strata = task.strata(rows["label"], min(size, len(rows) - size))
    if len(rows) - size < len(np.unique(strata)):  # the rest cannot have each label, so the sample is not stratified
        sample = rows.sample(size, random_state=seed)
        return [sample, rows.drop(sample.index)]
    strata = merge_single(strata)
    if size < (count := len(np.unique(strata))):
        raise InputError(f"{setting}: a sample of {size} cannot have each of {count} labels; raise it")
    return train_test_split(rows, train_size=size, random_state=seed, stratify=strata)


def merge_single(strata: np.ndarray) -> np.ndarray:
    """Return the strata, (rows,), without those of a single row. Such a row joins the largest stratum."""
    values, codes, counts = np.unique(strata, return_inverse=True, return_counts=True)
    return np.where(counts[codes] == 1, values[counts.argmax()], strata)
