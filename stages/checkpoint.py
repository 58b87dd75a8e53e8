"""Training state on disk, so that a killed run goes on where it was.

A checkpoint is one safetensors file in .checkpoints/, outside the stage's outputs (which DVC deletes before a
run), named by a digest of everything that the run depends on: a stale one is never picked up.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from stages.files import sha256

FOLDER = Path(".checkpoints")


def key(settings: dict[str, Any], inputs: list[Path]) -> str:
    """A digest of the settings and of the inputs' contents (folders: all files in them)."""
    files = sorted(file for path in inputs for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
    content = [
        json.dumps(settings, sort_keys=True, default=lambda entry: entry.model_dump()),
        *(f"{file.as_posix()} {sha256(file)}" for file in files),
    ]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:32]


def save(name: str, tensors: dict[str, Any], state: dict[str, Any]) -> None:
    """Replace the checkpoint `name` by these tensors and this JSON-able state: all of it or nothing."""
    from safetensors.torch import save_file

    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.safetensors"
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata={"state": json.dumps(state)})
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)


def load(name: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """(tensors, state) of the checkpoint `name`, or None. Checkpoints of other runs are removed."""
    from safetensors import safe_open

    path = FOLDER / f"{name}.safetensors"
    clear(keep=path)
    if not path.is_file():
        return None
    with safe_open(path, framework="pt") as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["state"])


def clear(keep: Path | None = None) -> None:
    """Remove all checkpoints but one."""
    for path in FOLDER.glob("*"):
        if path != keep:
            path.unlink()
