"""The files between stages: their places, read and written whole, the same bytes for the same content every time."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stages.settings.errors import InputError

RAW = Path("data/raw")  # {train,validation,test}.parquet: text, label
TOKENS = Path("data/tokens")  # {train,validation,test}.arrow: input_ids, label; text, where a text has several rows
BASELINE = Path("data/baseline.parquet")  # the baseline's prediction for each test row
DOUBTFUL = Path("data/doubtful_labels.csv")  # train texts whose label the baseline would not have given
PREDICTIONS = Path("data/predictions.parquet")  # the classifier's
VALIDATION = Path("data/validation.parquet")  # and for each validation row
BASE = Path("models/base")  # the encoder as published
ADAPTER = Path("models/adapter")  # what was trained on it
METRICS = Path("metrics")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256s(*paths: Path) -> dict[str, str]:
    """Path -> digest of files, and of all files in folders; without what Python and editors leave there."""
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
    left = [file for file in files if file.name.startswith((".", "#")) or file.name.endswith(("~", ".pyc"))]
    return {file.as_posix(): sha256(file) for file in sorted({*files} - {*left})}


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


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Where to write a file that takes the place of `path` once it is whole; as with a folder, what stands there is not
    written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
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
