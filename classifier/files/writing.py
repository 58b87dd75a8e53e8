"""Files and folders that take the place of others once they are whole."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """An empty folder, which takes the place of `folder` once all is in it.

    What stands there is not written to: by hand a stage finds its last outputs, which may be links into DVC's cache.
    """
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        set_modes(part)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    # Moved aside, and not removed first: a file in use may stay, on NFS for one.
    aside = {"suffix": ".old", "prefix": f"{folder.name}.", "dir": folder.parent}
    with TemporaryDirectory(**aside, ignore_cleanup_errors=True) as old:
        last = Path(old) / folder.name
        try:
            if folder.exists():
                folder.rename(last)
            part.rename(folder)
        except BaseException:
            if last.exists() and not folder.exists():
                last.rename(folder)
            raise
    for left in folder.parent.glob(f"{folder.name}.{'[a-z0-9_]' * 8}.old"):  # by a run that was killed before it ended
        with suppress(OSError):
            if {path.name for path in left.iterdir()} <= {folder.name}:
                shutil.rmtree(left)


def set_modes(folder: Path) -> None:
    """Give what is in a new folder the modes that a checkout would give: some libraries write for the owner alone."""
    sample = folder / ".sample"
    sample.touch()
    of_folders, of_files = mode(folder), mode(sample)
    sample.unlink()
    for path in folder.rglob("*"):
        set_mode(path, of_files if path.is_file() else of_folders)


def set_mode(path: Path, wanted: int) -> None:
    if mode(path) != wanted:  # a file system that knows one mode alone refuses a change
        path.chmod(wanted)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Where to write a file that takes the place of `path` once it is whole; as with a folder, what stands there is not
    written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        part.touch()
        as_created = mode(part)
        yield part
        set_mode(part, as_created)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, path)
