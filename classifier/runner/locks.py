"""Locks that let a stage, or the scoring of a file, run once at a time."""

import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from classifier.distributed.rank import rank_and_count
from classifier.errors import InputError


def single_stage(stage: str, launches: bool) -> AbstractContextManager[None]:
    """Return `single_run` with the lock and the message of a stage.

    The lock is needed because a killed `dvc repro` may have left the stage running.
    """
    refusal = f"an earlier run of this stage is running; wait or stop it (pgrep -f stages.{stage}), then `dvc repro`"
    return single_run(Path(".dvc/tmp") / f"{stage}.lock", launches, refusal)


@contextmanager
def single_run(lock: Path, launches: bool, refusal: str) -> Iterator[None]:
    """Hold the locks of a run. Raises InputError at once if another run holds them.

    Ranks can outlive the process that launched them. Therefore a run has two locks. The process that the user starts
    holds `lock`. The process that does the work holds the second lock: rank 0 or, without ranks, the process that the
    user starts. The other ranks hold no lock.

    Args:
        lock: path of the first lock.
        launches: whether this process launches ranks, which then do the work.
        refusal: the error message if another run holds a lock.
    """
    from filelock import Timeout

    rank, rank_lock = rank_and_count(), lock.with_suffix(".processes.lock")
    try:
        with ExitStack() as held:
            if not rank:
                held.enter_context(hold_lock(lock))
            if not rank and launches:
                with hold_lock(rank_lock):
                    pass  # Check that no earlier rank 0 is left, and free the lock for the new one.
            elif not rank or rank[0] == 0:
                held.enter_context(hold_lock(rank_lock))
            yield
    except Timeout as timeout:
        left_over = f"; if none runs, remove {timeout.lock_file}" if timeout.lock_file.endswith(".softlock") else ""
        raise InputError(f"{refusal}{left_over}") from None


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold a lock until the block or the process ends. Raises filelock.Timeout at once if another process holds it."""
    from filelock import FileLock, SoftFileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        # The file system has no locks. The fallback is a file that names the process which holds the lock. If that
        # process was killed, filelock takes the lock over on systems that can exchange two files in one step. On other
        # systems the user has to remove the file.
        lock = SoftFileLock(path.with_suffix(".softlock"), timeout=0)
        lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is locked: another process could lock the file, and then lose it
        lock.release()
