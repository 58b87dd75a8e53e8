"""Locks, so that a stage or a scoring runs once at a time."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from classifier.distributed.rank import rank_and_count
from classifier.errors import InputError


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
def only_one(lock: Path, launches: bool) -> Iterator[None]:
    """Hold a lock, and a second one, which is for processes that may outlive the one that launches them: the first of
    them holds it. Raises filelock.Timeout if another holds one that is needed.
    """
    processes = lock.with_suffix(".processes.lock")
    if rank := rank_and_count():
        with locked(processes) if rank[0] == 0 else nullcontext():
            yield
        return
    with locked(lock):
        with locked(processes):
            if not launches:
                yield
        if launches:
            yield


@contextmanager
def only_run(stage: str, launches: bool) -> Iterator[None]:
    """Raise InputError beside another run of a stage: a killed `dvc repro` leaves what it started running."""
    from filelock import Timeout

    try:
        with only_one(Path(".dvc/tmp") / f"{stage}.lock", launches):
            yield
    except Timeout as busy:
        raise InputError(
            f"an earlier run of this stage still goes on; wait for it or stop it (pgrep -f stages.{stage}), "
            f"then `dvc repro`{if_none_runs(busy)}"
        ) from None
