"""Turn the values of the column of labels into `labels` of the entry."""

import re
from collections.abc import Iterable
from pathlib import Path

from classifier.errors import InputError
from classifier.runner.command import fields_of
from classifier.tables.columnar import names_of_numbers, schema_of

MISSING_LABELS = ("-", "?", "nan", "null", "n/a", "unsup")  # lower case; unlabelled_values() also finds -1


def unlabelled_values(values: Iterable[str], names: list[str] | None) -> list[str]:
    """Return the values that stand for a missing label: those of MISSING_LABELS, and -1 beside 0, 1, 2 and so on.

    Args:
        values: All values of the column.
        names: The names of the numbers 0, 1, ... if the file has them.
    """
    values = set(values)
    found = sorted(value for value in values if value.lower() in MISSING_LABELS)
    count = len(names) if names else len(values) - 1
    if (names or count > 2) and "-1" in values and values <= {"-1", *map(str, range(count))}:
        found.append("-1")  # -1, 0, 1 without names may be negative, neutral, positive
    return found


def in_order(values: Iterable[str]) -> list[str]:
    """Return values in the order of their numbers, or of the alphabet if one is no whole number.

    >>> in_order(["10", "2"]), in_order(["pos", "neg"])
    (['2', '10'], ['neg', 'pos'])
    """
    values = list(values)
    return sorted(values, key=int) if are_numbers(values) else sorted(values)


def are_numbers(values: Iterable[str]) -> bool:
    """Return whether all values are whole numbers, such as 4 or -1. A code such as 04 is a name."""
    return all(re.fullmatch(r"0|-?[1-9]\d{0,8}", value) for value in values)


def label_setting(values: list[str], left_out: list[str], names: list[str] | None, option: str | None) -> list | dict:
    """Return `labels` of the entry: a list if the values are names, a mapping if they are numbers or get other names.

    Args:
        values: The values of the column with a label, as `spelled` returns them.
        left_out: The values whose rows are to be left out.
        names: The names of the numbers 0, 1, ... if the file has them.
        option: --labels: names in the order of the values' numbers, or VALUE=NAME pairs, between commas.

    Raises:
        InputError: The option does not fit the values.
    """
    values = in_order(values)
    if option:
        mapping = named_by(option, values)
    elif are_numbers(values):
        numbers = dict(enumerate(names or ()))
        mapping = {value: numbers.get(int(value), value) for value in values}
    else:
        mapping = {value: value for value in values}
    mapping |= dict.fromkeys((value for value in left_out if value not in mapping), None)
    if all(value == name for value, name in mapping.items()) and not are_numbers(values):
        return list(mapping)
    return {int(value) if are_numbers([value]) else value: name for value, name in mapping.items()}


def same_but_for_case(values: Iterable[str]) -> dict[str, str]:
    """Return value -> name if values differ in capital letters alone; {} if none do. The commonest spelling names all.

    Args:
        values: The values, the commonest first.

    >>> same_but_for_case(["Good", "Bad", "good"])
    {'Good': 'Good', 'Bad': 'Bad', 'good': 'Good'}
    """
    names = {}
    mapping = {value: names.setdefault(value.casefold(), value) for value in values}
    return mapping if len(names) < len(mapping) else {}


def named_by(option: str, values: list[str]) -> dict[str, str | None]:
    """Return the name of each value, as --labels gives it. Raises InputError if the option does not fit the values."""
    words = [word.strip() for word in fields_of("--labels", option)]
    pairs = [word.rpartition("=") for word in words]
    shown = ", ".join(values[:10])
    if all(mark for _, mark, _ in pairs):
        if missing := set(values) - {value.strip() for value, _, _ in pairs}:
            value = in_order(missing)[0]
            raise InputError(f"--labels: no name for the value {value!r:.40}; add {value}=NAME, or {value}=")
        return {value.strip(): name.strip() or None for value, _, name in pairs}
    if set(words) == set(values):
        return {word: word for word in words}
    if are_numbers(values) and len(words) == len(values):
        return dict(zip(values, words, strict=True))
    raise InputError(f"--labels: does not fit the values {shown}; give VALUE=NAME pairs between commas")


def names_in_metadata(path: Path, kind: str | None, label: str) -> list[str] | None:
    """Return the names of the labels in the metadata of a Parquet or Arrow file, as `datasets` writes them, or None."""
    return names_of_numbers(schema_of(path, kind), label) if kind in ("parquet", "arrow") else None
