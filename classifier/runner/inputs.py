"""What a stage depends on, as it is now: its arguments out of params.yaml, and its code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from classifier.errors import InputError
from classifier.files.digests import sha256s
from classifier.runner.params import arguments, load_params
from classifier.runner.versions import VERSIONS, check_versions


def pipeline() -> dict[str, Any]:
    """The stages of dvc.yaml. Raises InputError if it is not here."""
    from ruamel.yaml import YAML

    if not (path := Path("dvc.yaml")).is_file():
        raise InputError(f"{path}: not found; run this from the folder that holds it")
    return YAML(typ="safe", pure=True).load(path)["stages"]


def inputs(stage: Callable) -> tuple[dict[str, Any], dict[str, str]]:
    """(keyword arguments, digests of the code) of a stage, as they are now. Raises InputError for wrong params, for
    installed versions that are not those of versions.yaml, and for what the stage would read and is not there.
    """
    declared = pipeline()[stage.__name__]
    for entry in declared["params"]:
        if isinstance(entry, dict):
            check_versions(entry[VERSIONS.name])
    for dep in declared["deps"]:
        if not Path(dep).exists():
            raise InputError(f"{dep}: not there; `dvc repro {stage.__name__}` makes it, or `dvc pull` brings it")
    return arguments(stage, load_params()), sha256s(*code(declared["deps"]))


def code(deps: list[str]) -> list[Path]:
    """Return the code among the deps of a stage: its own file and the rooms of the library."""
    return [Path(dep) for dep in deps if dep.startswith(("stages/", "classifier/"))]
