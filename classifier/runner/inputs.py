"""The inputs of a stage as they are now: its arguments from params.yaml, and its code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from classifier.errors import InputError
from classifier.files.digests import sha256_by_path
from classifier.runner.params import arguments, load_params
from classifier.runner.versions import VERSIONS, check_versions
from classifier.runner.yaml import parse_yaml


def pipeline() -> dict[str, Any]:
    """Return the stages of dvc.yaml by name. Raises InputError if the current folder has no dvc.yaml."""
    if not (path := Path("dvc.yaml")).is_file():
        raise InputError(f"{path}: not found; run this from the folder that holds it")
    return parse_yaml(path.read_text(encoding="utf-8"))["stages"]


def check_inputs(stage: Callable) -> tuple[dict[str, Any], dict[str, str]]:
    """Check a stage's inputs; return its keyword arguments and the digests of its code.

    Raises InputError if params.yaml is wrong, if a library is installed in another version than versions.yaml has, or
    if a dependency of the stage is missing.
    """
    declared = pipeline()[stage.__name__]
    for entry in declared["params"]:
        if isinstance(entry, dict):
            check_versions(entry[VERSIONS.name])
    for dep in declared["deps"]:
        if not Path(dep).exists():
            raise InputError(f"{dep}: not found; `dvc repro {stage.__name__}` makes it, `dvc pull` downloads it")
    return arguments(stage, load_params()), sha256_by_path(*code_paths(declared["deps"]))


def code_paths(deps: list[str]) -> list[Path]:
    """Return the code among the deps of a stage: its file in stages/, and the files and folders in classifier/."""
    return [Path(dep) for dep in deps if dep.startswith(("stages/", "classifier/"))]
