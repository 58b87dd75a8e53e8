"""SHA-256 digests of files, folders and settings, and the MD5 hashes by which DVC names outputs."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_by_path(*paths: Path) -> dict[str, str]:
    """Return path -> digest of files, and of all files in folders, sorted by path.

    Files that Python and editors leave behind are skipped: those whose names begin with . or # or end in ~ or .pyc.
    Files that vanish during the call are skipped, too.
    """
    digests = {}
    for file in sorted({file for path in paths for file in (files_below(path) if path.is_dir() else [path])}):
        if file.is_file() and not file.name.startswith((".", "#")) and not file.name.endswith(("~", ".pyc")):
            with suppress(FileNotFoundError):  # an editor's temporary file
                digests[file.as_posix()] = sha256(file)
    return digests


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and in its subfolders.

    Hidden folders and __pycache__, where Python may write at any time, are skipped, as are folders that vanish during
    the call.
    """
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        yield from (Path(parent, name) for name in names)


def digest_of(settings: dict[str, Any], inputs: list[Path]) -> str:
    """Return a digest, 32 hexadecimal digits, of settings and of the contents of input files and folders.

    Args:
        settings: values that JSON can hold, or pydantic models.
        inputs: files and folders. In a folder, the files that `sha256_by_path` does not skip count.
    """
    content = [
        json.dumps(settings, sort_keys=True, default=lambda entry: entry.model_dump()),
        *(f"{file} {digest}" for file, digest in sha256_by_path(*inputs).items()),
    ]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:32]


def dvc_hash(path: Path) -> str:
    """Return the hash that dvc.lock has for an output.

    The hash of a file is its MD5. The hash of a folder is the MD5 of a JSON list of its files, followed by ".dir".
    """
    if path.is_file():
        return md5(path)
    names = sorted(file.relative_to(path).as_posix() for file in files_below(path))
    listed = [{"md5": md5(path / name), "relpath": name} for name in names]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def md5(path: Path) -> str:
    """Return the MD5 of a file, by which DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
