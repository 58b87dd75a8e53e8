"""The entries under `models:` and `methods:` in params.yaml. Those under `datasets:` are in datasets.py."""

import itertools
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from classifier.params.settings import Settings
from classifier.params.values import Entry, FileName, Repository, Revision, Sha256, Wheel, best_match


def check_file_names(digests: dict[str, Sha256]) -> dict[str, Sha256]:
    """Return the digests of files unchanged. Raises ValueError if files of different folders have the same name."""
    for path, other in itertools.combinations(digests, 2):
        if PurePosixPath(path).name == PurePosixPath(other).name:
            problem = f"{path} and {other} have the same name, so models/base cannot hold both"
            raise ValueError(f"{problem}; remove one of them")
    return digests


Digests = Annotated[dict[str, Sha256], AfterValidator(check_file_names)]


class WheelFolder(Settings):
    """A model folder inside an installed wheel."""

    wheel: Wheel
    folder: FileName
    sha256: Digests  # the files to take and their digests


class WheelPieces(Settings):
    """A model folder in a zip file that is split over several wheels: a package index limits the size of a wheel."""

    # Each wheel, and the path of its piece below site-packages, in the order of the pieces.
    pieces: Annotated[dict[Wheel, FileName], Field(min_length=1)]
    folder: FileName  # inside the zip
    sha256: Digests  # the files to take and their digests


class HubModel(Settings):
    """A model repository on the Hub."""

    hub: Repository
    revision: Revision
    # The files to take and their digests. If empty: the files that HUB_FILES in stages/base_model.py matches, checked
    # against the digests on the Hub.
    sha256: Digests = Field({})


ModelSource = Annotated[WheelFolder | WheelPieces | HubModel, best_match(WheelFolder, WheelPieces, HubModel)]


class Model(Entry):
    """A pretrained encoder or decoder and the settings that suit it."""

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
