"""Check that models/base and models/adapter are there and whole, before a library fails on them."""

import json
from pathlib import Path

from classifier.errors import InputError
from classifier.files.places import ADAPTER, BASE


def check_models_exist() -> None:
    """Check that models/base and models/adapter are there and that their config.json can be read.

    Raises:
        InputError: A folder or its config.json is missing, or the file is damaged.
    """
    for folder, stage in ((BASE, "base_model"), (ADAPTER, "train")):
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder}: no model there; make it with `dvc repro {stage}` or `dvc checkout {folder}`")
        check_file_intact(folder / "config.json")


def check_folder_intact(folder: Path, weights: str = "model*.safetensors") -> None:
    """Check that a model's folder has weights as safetensors, and that its JSON and safetensors files are whole.

    Without safetensors peft would load a pickle, which can run code.

    weights: glob of the weights' file names.

    Raises:
        InputError: The weights are missing, or a file is damaged, for example cut by a copy that broke off.
    """
    if not any(folder.glob(weights)):
        raise InputError(f"{folder}: no {weights} there; bring it back with `dvc checkout --force {folder}`")
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        check_file_intact(path)


def check_file_intact(path: Path) -> None:
    """Check that a JSON file can be parsed, or that a safetensors file is as long as its header says.

    Raises:
        InputError: The file is damaged or missing.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        else:
            with safe_open(path, framework="numpy"):
                pass
    except (FileNotFoundError, ValueError, SafetensorError) as error:  # a link may point to a file that is gone
        raise InputError(f"{path}: damaged: {error}; bring it back with `dvc checkout --force {path.parent}`") from None
