"""The files between stages: their places, read and written whole, the same bytes for the same content every time."""

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stages.settings.errors import InputError

RAW = Path("data/raw")  # {train,validation,test}.parquet: text, label
TOKENS = Path("data/tokens")  # {train,validation,test}.arrow: input_ids, label; text, where a text has several rows
BASELINE = Path("data/baseline.parquet")  # the baseline's prediction for each test row
DOUBTFUL = Path("data/doubtful_labels.csv")  # train texts whose label the baseline would not have given
PREDICTIONS = Path("data/predictions.parquet")  # the classifier's
BASE = Path("models/base")  # the encoder as published
ADAPTER = Path("models/adapter")  # what was trained on it
VALIDATION = ADAPTER / "validation.parquet"  # its prediction for each validation row
METRICS = Path("metrics")


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


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this name, which ends with its process, however that ends; leave no file of it.

    Raises filelock.Timeout at once if another process holds it.
    """
    from filelock import FileLock, SoftFileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        # A file system without such locks: a file that names its process. Where two files can be exchanged in one
        # step, one whose process is gone is not waited for; elsewhere it must be removed by hand.
        lock = SoftFileLock(path.with_suffix(".softlock"), timeout=0)
        lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while held: who opened it before finds it gone and makes a new one
        lock.release()


def if_none_runs(busy) -> str:
    """What to add to the message on a filelock.Timeout: that the lock may be one left over."""
    return f"; if none runs, remove {busy.lock_file}" if busy.lock_file.endswith(".softlock") else ""


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


def write_json(path: Path, content: Any) -> None:
    with written(path) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Raises InputError if it is not JSON, such as after a merge with conflicts."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}; bring it back with `git checkout` or `dvc repro`") from None


def write_csv(path: Path, frame, **options: Any) -> None:
    """A DataFrame as CSV; options: of its to_csv."""
    with written(path) as part:
        frame.to_csv(part, index=False, lineterminator="\n", **options)


def write_table(path: Path, frame, **metadata: Any) -> None:
    """A DataFrame as Parquet, with `metadata` (label names, for example) in the schema and nothing of pandas."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    with written(path) as part:
        pq.write_table(table.replace_schema_metadata(metadata_bytes(metadata)), part)


def read_table(path: Path) -> tuple[Any, dict[str, Any]]:
    """(DataFrame, metadata) of a file that write_table wrote."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return table.to_pandas(), metadata_of(table.schema)


def metadata_of(schema) -> dict[str, Any]:
    """The metadata of a pyarrow Schema, as write_table's `metadata` wrote it."""
    return {k.decode(): json.loads(v) for k, v in (schema.metadata or {}).items()}


def metadata_bytes(metadata: dict[str, Any]) -> dict[str, str]:
    """The inverse of metadata_of."""
    return {k: json.dumps(v) for k, v in metadata.items()}
