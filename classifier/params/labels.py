"""The keys `labels` and `task` of a data set's entry: the names of its labels, and the keys that each task has."""

from typing import Any, NamedTuple

from classifier.params.values import check_compared_by_dvc


def label_value(value: Any) -> str:
    """Return a value of a label column as text, the form in which such values are compared.

    True and False become lower case, and spaces around the text are removed.
    """
    if not isinstance(value, str | int):
        raise ValueError("should be text or a whole number; write other values in quotes")
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def parse_labels(labels: Any) -> Any:
    """Return the names of the labels in a list, or a mapping of the column's values to names."""
    if not isinstance(labels, list | dict):
        raise ValueError("should be a list of names, or a mapping of the column's values to names")
    if isinstance(labels, list) and any(isinstance(name, bool) for name in labels):
        raise ValueError("write true and false in quotes")
    if isinstance(labels, list):
        return [label_value(name) for name in labels]
    if not all(isinstance(name, str | None) for name in labels.values()):
        raise ValueError("should map each value of the column to a name, or to null to leave its rows out")
    named = {check_compared_by_dvc(label_value(value)): name and name.strip() for value, name in labels.items()}
    if len(named) < len(labels):
        raise ValueError("the values must differ from each other")
    return named


class LabelKeys(NamedTuple):
    """The keys of an entry that describe the labels of a task."""

    needed: str | None = None  # a key that the entry must have
    allowed: tuple[str, ...] = ()  # further keys that the entry may have


# Task -> the keys about labels that its entries have. classifier/tasks/ has a module for each task.
LABEL_KEYS = {
    "single-label": LabelKeys(needed="labels"),
    "multi-label": LabelKeys(allowed=("labels", "label_separator")),
    "regression": LabelKeys(),
    "ordinal": LabelKeys(needed="range"),
}
