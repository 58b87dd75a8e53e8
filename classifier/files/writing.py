"""Files and folders that are replaced only once their new content is complete."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory


def part_of(path: Path) -> Path:
    """Return the path at which the new content of a file or folder is written until it is complete."""
    return path.with_name(f"{path.name}.part")


def remove_part(path: Path) -> None:
    """Remove the unfinished new content of a file or folder, if there is any."""
    part = part_of(path)
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` if the block ends without an error.

    Nothing is written into the old folder. Without DVC a stage finds its last outputs there, and these may be links
    into DVC's cache.
    """
    part = part_of(folder)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        set_default_modes(part)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    # The old folder is moved aside and then removed: removing it in place can fail, as for a file in use on NFS.
    with TemporaryDirectory(".old", f"{folder.name}.", folder.parent, ignore_cleanup_errors=True) as aside:
        last = Path(aside) / folder.name
        try:
            if folder.exists():
                folder.rename(last)
            part.rename(folder)
        except BaseException:
            if last.exists() and not folder.exists():
                last.rename(folder)
            raise
    remove_leftovers(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove the folders FOLDER.XXXXXXXX.old that killed processes left, if they hold nothing but FOLDER."""
    for leftover in folder.parent.glob(f"{folder.name}.{'[a-z0-9_]' * 8}.old"):
        with suppress(OSError):
            if {path.name for path in leftover.iterdir()} <= {folder.name}:
                shutil.rmtree(leftover)


def set_default_modes(folder: Path) -> None:
    """Give all files and folders in a new folder the modes that this process gives new files and folders by default.

    Some libraries make files that only their owner can read.
    """
    sample = folder / ".sample"
    sample.touch()
    folder_mode, file_mode = mode(folder), mode(sample)
    sample.unlink()
    for path in folder.rglob("*"):
        set_mode(path, file_mode if path.is_file() else folder_mode)


def set_mode(path: Path, wanted: int) -> None:
    """Change a mode, unless it is right already: a file system with a single mode refuses any change."""
    if mode(path) != wanted:
        path.chmod(wanted)


def mode(path: Path) -> int:
    """Return the permission bits of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield the path of an empty file that replaces `path` if the block ends without an error.

    Nothing is written into the old file, which may be a link into DVC's cache.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        part.unlink(missing_ok=True)
        part.touch()
        new_mode = mode(part)
        yield part
        set_mode(part, new_mode)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, path)
