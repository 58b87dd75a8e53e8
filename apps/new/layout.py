"""Find which files of a folder belong to which split, by their names."""

import re
from dataclasses import dataclass, field
from os.path import commonprefix
from pathlib import Path

from classifier.errors import InputError
from classifier.files.places import SPLITS
from classifier.tables.opening import plain_name
from classifier.tables.reading import KINDS

SPLIT_OF_WORD = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")  # of the library datasets
LISTED = 3  # a split of more files is written as a pattern


@dataclass
class Layout:
    """The files of each split.

    Attributes:
        splits: Split -> its files, or folders that have a folder for each label.
        kind: folders, or None for tables.
        unused: Names of files and folders that belong to no split.
    """

    splits: dict[str, list[Path]]
    kind: str | None = None
    unused: list[str] = field(default_factory=list)


def split_of(name: str) -> str | None:
    """Return the split that the name of a file, a folder or a split has as a word, or None.

    >>> [split_of(name) for name in ("train-00000-of-00002.parquet", "dev_matched.tsv", "reviews.csv", "Valid")]
    ['train', 'validation', None, 'validation']
    """
    found = {SPLIT_OF_WORD[word] for word in re.split(r"[\W\d_]+", name.lower()) if word in SPLIT_OF_WORD}
    return found.pop() if len(found) == 1 else None


def find_layout(place: Path, kind: str | None = None) -> Layout:
    """Return the files of each split of a file or folder. Raises InputError if the folder has no tables.

    Args:
        place: A table, or a folder of tables, of folders of tables, or of folders for each label.
        kind: The kind of the tables, if it is known.
    """
    if not place.is_dir():
        return Layout({"train": [place]})
    if kind == "folders" or (kind is None and has_label_folders(place)):
        return Layout({"train": [place]}, "folders")
    children = [child for child in visible(place) if child.is_dir() or is_table(child)]
    by_split: dict[str | None, list[Path]] = {}
    for child in children:
        by_split.setdefault(split_of(child.name), []).append(child)
    rest = by_split.pop(None, [])
    if not by_split and [child.is_dir() for child in rest] == [True]:
        return find_layout(rest[0], kind)
    if "train" not in by_split:
        by_split["train"], rest = [child for child in rest if child.is_file()], []
    kinds = {has_label_folders(child) for found in by_split.values() for child in found if child.is_dir()}
    if kinds == {True}:
        return Layout(ordered(by_split), "folders", [child.name for child in rest])
    splits = {split: one_suffix(place, tables_of(found)) for split, found in ordered(by_split).items()}
    if not splits["train"]:
        raise InputError(f"{place}: no table in this folder; name a file, or a folder that has a folder for each label")
    return Layout(splits, None, [child.name for child in rest])


def ordered(splits: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """Return the splits in their usual order."""
    return {split: splits[split] for split in SPLITS if split in splits}


def visible(folder: Path) -> list[Path]:
    """Return the files and folders of a folder by name, without hidden ones and those of Spark, such as _SUCCESS."""
    children = (child for child in folder.iterdir() if not child.name.startswith((".", "_")))
    return sorted(child for child in children if child.name not in DESCRIPTIONS)


def is_table(path: Path) -> bool:
    """Return whether a file has the suffix of a table."""
    return plain_name(path).suffix in KINDS


def has_label_folders(place: Path) -> bool:
    """Return whether a folder has a folder of texts for each label: two or more, with files other than tables."""
    folders = [child for child in visible(place) if child.is_dir()]
    firsts = [next(iter(visible(folder)), None) for folder in folders]
    return (
        len(folders) > 1
        and not any(split_of(folder.name) for folder in folders)
        and all(first and first.is_file() and not is_table(first) for first in firsts)
    )


def tables_of(found: list[Path]) -> list[Path]:
    """Return the tables among files and in folders."""
    return [path for child in found for path in (visible(child) if child.is_dir() else [child]) if is_table(path)]


def one_suffix(place: Path, paths: list[Path]) -> list[Path]:
    """Return the files of one suffix. Descriptions in .json beside tables are left out.

    Raises InputError if there are tables of several suffixes.
    """
    suffixes = {plain_name(path).suffix for path in paths}
    suffixes = suffixes - {".json"} or suffixes
    if len(suffixes) > 1:
        raise InputError(f"{place}: has {' and '.join(sorted(suffixes))} files; name one file, or remove the others")
    return [path for path in paths if plain_name(path).suffix in suffixes]


def source_names(paths: list[Path], root: Path) -> str | list[str]:
    """Return files as the entry names them: one name, a list, or a pattern that fits these files and no others."""
    names = [path.relative_to(root).as_posix() for path in paths]
    if len(names) == 1:
        return names[0]
    ends = (names, [name[::-1] for name in names])
    start, reversed_end = map(commonprefix, ends)  # in characters, not in the parts of a path
    end = reversed_end[::-1]
    pattern = f"{start}*{end}"
    matching = sorted(root.glob(pattern))
    return pattern if len(names) > LISTED and "/" in start and matching == sorted(paths) else names
