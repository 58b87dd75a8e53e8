"""Check labels that a file stores as numbers, with the name of each number in the metadata of the file."""

from pathlib import Path

from classifier.errors import InputError
from classifier.params.datasets import Dataset
from classifier.tables.columnar import names_of_numbers, schema_of


def has_named_numbers(path: Path, kind: str, dataset: Dataset) -> bool:
    """Return whether a file has numbers as labels, with the names of the numbers in its metadata.

    The library `datasets` writes such metadata. The result is False if `labels` of the entry is no list.

    Args:
        path: The file.
        kind: How the file is read (`Format.kind`). Only parquet and arrow files have metadata.
        dataset: The data set's entry.

    Raises:
        InputError: The data set's entry gives one of these names to another number. Names that the file does not have
            are accepted: they rename the labels. Case is ignored, unless two names of the file differ by case alone.
    """
    from pyarrow import types

    if kind not in ("parquet", "arrow") or not isinstance(dataset.labels, list):
        return False
    schema = schema_of(path, kind)
    if (names := names_of_numbers(schema, dataset.label)) is None:
        return False
    kind = schema.field(dataset.label).type
    if not types.is_integer(getattr(kind, "value_type", kind)):
        return False
    in_file, in_params = names, dataset.labels
    if len({name.casefold() for name in names}) == len(names):
        in_file, in_params = ([name.casefold() for name in listed] for listed in (in_file, in_params))
    if any(name in in_params and in_params.index(name) != number for number, name in enumerate(in_file)):
        numbers = ", ".join(f"{number} {name}" for number, name in enumerate(names))
        problem = f"the file's own metadata name the labels {numbers}"
        raise InputError(f"{path}: column {dataset.label!r}: {problem}; write `labels` in params.yaml in this order")
    return True
