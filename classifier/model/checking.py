"""Check that models/base and models/adapter are there, before a library fails on them."""

from pathlib import Path

from classifier.errors import InputError
from classifier.files.places import ADAPTER, BASE


def check_folders() -> None:
    """Check that models/base and models/adapter are there.

    Raises:
        InputError: A folder or its config.json is missing.
    """
    for folder, stage in ((BASE, "base_model"), (ADAPTER, "train")):
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder}: no model there; make it with `dvc repro {stage}` or `dvc checkout {folder}`")


def check_files(folder: Path, weights: str = "model*.safetensors") -> None:
    """Check that a model's folder has weights as safetensors.

    Without safetensors peft would load a pickle, which can run code.

    weights: glob of the weights' file names.

    Raises:
        InputError: The weights are missing.
    """
    if not any(folder.glob(weights)):
        raise InputError(f"{folder}: no {weights} there; bring it back with `dvc checkout --force {folder}`")
