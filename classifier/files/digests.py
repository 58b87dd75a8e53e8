"""Digests of files and folders."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256s(*paths: Path) -> dict[str, str]:
    """Path -> digest of files, and of all files in folders; without what Python and editors leave there."""
    digests = {}
    for file in sorted({file for path in paths for file in (files_below(path) if path.is_dir() else [path])}):
        if file.is_file() and not file.name.startswith((".", "#")) and not file.name.endswith(("~", ".pyc")):
            with suppress(FileNotFoundError):  # an editor's, that was there for a moment
                digests[file.as_posix()] = sha256(file)
    return digests


def files_below(folder: Path) -> Iterator[Path]:
    """The files in a folder and in those below it, but for __pycache__, where Python writes at any time, and hidden
    folders. A folder that vanishes meanwhile is skipped.
    """
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        yield from (Path(parent, name) for name in names)


def digest_of(settings: dict[str, Any], inputs: list[Path]) -> str:
    """A digest of the settings and of the inputs' contents (folders: all files in them)."""
    content = [
        json.dumps(settings, sort_keys=True, default=lambda entry: entry.model_dump()),
        *(f"{file} {digest}" for file, digest in sha256s(*inputs).items()),
    ]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:32]
