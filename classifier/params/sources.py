"""The key `source` of the entries under `datasets:` in params.yaml: where the files of a data set are."""

from pathlib import PurePath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from classifier.params.settings import Settings
from classifier.params.values import FileName, Repository, Revision, Sha256, Wheel, best_match
from classifier.params.values import check_compared_by_dvc as compared_by_dvc

# Column -> the value that a row must have there.
Where = dict[Annotated[str, AfterValidator(compared_by_dvc)], str | int | bool]


class Rows(Settings):
    """The rows of one split in a table that has the rows of other splits as well."""

    where: Where


class Files(Settings):
    """The files of one split and, if they have the rows of other splits as well, which rows to keep."""

    files: list[str]
    where: Where = Field({})


def as_list(value: Any) -> Any:
    """Return a single name as a list, and anything else unchanged."""
    return [value] if isinstance(value, str) else value


def as_files(value: Any) -> Any:
    """Return the value of a split in `source` as a dictionary with the keys of `Files`.

    The value is the name of a file, a list of names, or already such a dictionary. A `Files` or None stays as it is.
    """
    if isinstance(value, Files | None):
        return value
    keys = value if isinstance(value, dict) else {"files": value}
    names = as_list(keys.get("files"))
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError("should be a file name, a list of them, or `files` and `where`")
    return keys | {"files": names}


def path_in_local(path: str) -> str:
    """Return a path relative to data/local/: without this folder, if the path begins with it.

    Raises ValueError for a path that leaves the folder.
    """
    path = path.removeprefix("./").removeprefix("data/local/")
    if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
        raise ValueError("should be a path inside data/local/, where DVC notices changes")
    return path


def files_in_local(value: Any) -> Any:
    """Return the result of `as_files`, with each path made relative to data/local/ by `path_in_local`."""
    keys = as_files(value)
    return {**keys, "files": [path_in_local(name) for name in keys["files"]]} if isinstance(keys, dict) else keys


LocalPart = Annotated[Files, BeforeValidator(files_in_local)]
HubPart = Annotated[Files, BeforeValidator(as_files)]


class WheelFile(Settings):
    """A table inside an installed wheel."""

    wheel: Wheel
    file: FileName  # path below site-packages
    sha256: Sha256
    where: Where = Field({})  # columns and the values that the rows of all splits must have in them
    train: Rows | None = None  # the rows of the split; `null`: all rows that are not in validation or test
    validation: Rows | None = None
    test: Rows | None = None


class HubDataset(Settings):
    """Files of a data set on the Hub, by split."""

    hub: Repository
    revision: Revision
    train: HubPart  # names of files in the repository, in which * stands for any characters but a slash
    validation: HubPart | None = None
    test: HubPart | None = None
    where: Where = Field({})  # columns and the values that the rows of all splits must have in them
    # Digests of all files. If empty, the files are checked against the digests on the Hub.
    sha256: dict[str, Sha256] = Field({})


class LocalFiles(Settings):
    """Files in data/local/, by split."""

    train: LocalPart  # files, folders of files, or patterns of their names such as part-*
    validation: LocalPart | None = None
    test: LocalPart | None = None
    where: Where = Field({})  # columns and the values that the rows of all splits must have in them


Source = Annotated[LocalFiles | WheelFile | HubDataset, best_match(LocalFiles, WheelFile, HubDataset)]
