"""Put a file or folder into data/local/: first into a temporary project, where the entry is tried, then for good."""

import filecmp
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from classifier.errors import InputError
from classifier.files.places import LOCAL
from classifier.files.writing import replace_file, replace_folder
from classifier.tables.opening import COMPRESSED, workbook

COMPRESSIONS = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\x28\xb5\x2f\xfd": ".zst", b"PK\x03\x04": ".zip"}


def local_name(path: Path) -> str:
    """Return the path of a file or folder below data/local/: where it is, or where its copy will be.

    The name of a copy ends in the suffix of its compression, and has no wildcards (*, ?, [ or ]). Raises InputError if
    the file or folder does not exist, or if data/local/ is in it.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    full, local = Path(os.path.abspath(path)), LOCAL.absolute()
    if local.is_relative_to(full):
        raise InputError(f"{path}: is not a data set of its own, because {LOCAL}/ is in it; name a file or folder")
    if full.is_relative_to(local):
        return full.relative_to(local).as_posix()
    name = re.sub(r"[*?\[\]]", "-", full.name)
    if path.is_dir():
        return name
    suffix = compression(path)
    if Path(name).suffix.lower() in COMPRESSED and suffix != Path(name).suffix.lower():
        name = Path(name).stem
    return name if Path(name).suffix.lower() == suffix else name + suffix


def compression(path: Path) -> str:
    """Return the suffix that belongs to a file's compression, by its first bytes; "" if it is not compressed."""
    with path.open("rb") as file:
        start = file.read(4)
    suffix = next((suffix for signature, suffix in COMPRESSIONS.items() if start.startswith(signature)), "")
    if suffix == ".zip" and zipfile.is_zipfile(path) and workbook(path):
        return ""
    return suffix


@contextmanager
def trial_project(path: Path) -> Iterator[Path]:
    """Enter a temporary project whose data/local/ has a link to a file or folder; yield the path of the link.

    An InputError of the block is raised again with the path that the user gave in place of the link's path.
    """
    place = LOCAL / local_name(path)
    with TemporaryDirectory(prefix="new-") as folder:
        target = Path(folder) / place
        target.parent.mkdir(parents=True)
        target.symlink_to(path.resolve())
        try:
            with chdir(folder):
                yield place
        except InputError as error:
            raise InputError(in_words_of_the_command(str(error), place, path)) from None


def in_words_of_the_command(message: str, place: Path, path: Path) -> str:
    """Replace the path below data/local/ by the user's path, and settings by options, in an error about the entry.

    >>> in_words_of_the_command("data/local/a.csv: set `format.sheet` to x", LOCAL / "a.csv", Path("~/a.csv"))
    '~/a.csv: set --sheet to x'
    """
    message = re.sub(rf"(?<![\w/]){re.escape(str(place))}\b", lambda _: str(path), message)
    message = re.sub(r"`format\.(delimiter|encoding|quoting|kind|sheet)(?:: (\w+))?`", r"--\1 \2", message)
    message = re.sub(r"set `format\.header` to (the names of the columns|names)", "give --no-header", message)
    message = re.sub(r"^params\.yaml: datasets\.[^.]+\.(text|labels?|group|validation|test)\b", r"--\1", message)
    return (
        message.replace("  ", " ")
        .replace("`drop: [empty]`", "--drop empty")
        .replace("`drop: [unlabelled]`", "--drop unlabelled")
    )


def is_same(one: Path, other: Path) -> bool:
    """Return whether two files or folders have the same content."""
    if one.is_dir() != other.is_dir():
        return False
    if one.is_file():
        return filecmp.cmp(one, other, shallow=False)
    names = [{path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} for folder in (one, other)]
    return names[0] == names[1] and all(filecmp.cmp(one / name, other / name, shallow=False) for name in names[0])


def refuse_other(path: Path, place: Path) -> None:
    """Raise InputError if another file or folder has the place in data/local/ already."""
    if os.path.lexists(place) and not (place.exists() and (place.samefile(path) or is_same(path, place))):
        raise InputError(f"{place}: is there already with other content; rename {path}, or remove {place}")


@contextmanager
def stored(path: Path, place: Path, link: bool) -> Iterator[None]:
    """Copy or link a file or folder to its place in data/local/, and have DVC track the copy.

    After an error here or in the block, the copy or link and its .dvc file are removed again.
    """
    record = place.with_name(f"{place.name}.dvc")
    is_new, is_recorded = not os.path.lexists(place), is_tracked(place)
    try:
        if is_new and link:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.resolve())
        elif is_new and path.is_dir():
            with replace_folder(place) as part:
                shutil.copytree(path, part, dirs_exist_ok=True, copy_function=shutil.copyfile)
        elif is_new:
            with replace_file(place) as part:
                shutil.copyfile(path, part)
        if not is_recorded and not place.is_symlink():
            dvc_add(place)
        yield
    except BaseException:
        if not is_recorded:
            record.unlink(missing_ok=True)
        if is_new and place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        elif is_new:
            place.unlink(missing_ok=True)
        raise


def is_tracked(place: Path) -> bool:
    """Return whether DVC tracks a path, or a folder that holds it."""
    return any(path.with_name(f"{path.name}.dvc").exists() for path in (place, *place.parents) if path != Path())


def dvc_add(place: Path) -> None:
    """Run `dvc add`. Raises InputError, with DVC's error, if it fails."""
    done = subprocess.run([sys.executable, "-m", "dvc", "add", str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        problem = next(iter(re.findall(r"ERROR: (.*)", done.stderr)), "unknown error")
        raise InputError(f"{place}: `dvc add` ended with an error: {problem}")
