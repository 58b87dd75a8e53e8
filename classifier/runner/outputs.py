"""A stage's outputs put back after a refusal. All that leans on DVC's internals stands here."""

import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from classifier.errors import InputError


def restore_outputs(stage: str) -> None:
    """Put back the outputs that DVC removes before it starts a stage, with the bytes that dvc.lock names, out of its
    cache or of Git; remove and name those of which neither has these bytes.

    Without this, a refused parameter would leave the workspace without the last good result.
    """
    from dvc.repo import Repo
    from dvc_data.hashfile.state import StateNoop

    with Repo() as repo:
        # So that DVC hashes all that it puts back: else it takes an object of CACHE_MODE, read-only, for whole (none is
        # of this one), and a file for what it was last. It removes a damaged object, and the next run makes it again.
        cache = repo.cache.local
        cache.state, cache.CACHE_MODE = StateNoop(), cache.CACHE_MODE | stat.S_IFREG
        lost = [out.def_path for out in repo.stage.load_one(name=stage).outs if not put_back(out)]
    if lost:
        print(f"{stage}: not put back: {', '.join(lost)}; `dvc repro`", file=sys.stderr)


def put_back(out: Any) -> bool:
    """Put an output back as dvc.lock has it, or else remove it; return whether nothing is lost: it is back, or dvc.lock
    has none (the first run).
    """
    from dvc.exceptions import DvcException
    from dvc_objects.errors import ObjectFormatError

    ways = [from_cache] if out.use_cache else [copied_from_cache, from_git]
    out.use_cache = True  # the run-cache holds a copy of metrics and plots too
    for way in ways if out.hash_info else []:
        with suppress(DvcException, ObjectFormatError, OSError, subprocess.CalledProcessError):
            way(out)
            if not out.workspace_status():
                return True
    with suppress(OSError):
        out.remove()  # older or half written: no result
    return not out.hash_info


def from_cache(out: Any) -> None:
    out.cache.check(out.hash_info.value)
    out.checkout(force=True, quiet=True)


def copied_from_cache(out: Any) -> None:
    """Git would take a link into the cache for a change."""
    from_cache(out)
    out.unprotect()


def from_git(out: Any) -> None:
    subprocess.run(["git", "checkout", "--quiet", "--", out.fs_path], stderr=subprocess.DEVNULL, check=True)


def last_run(stage: str, *unchanged: Path) -> dict[Path, str]:
    """Path -> digest of what a stage's last run read and wrote, by dvc.lock.

    unchanged: those of these paths that must still hold the same. Raises InputError if one does not, or if dvc.lock
    has no run of the stage.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            loaded = repo.stage.load_one(name=stage)
            files = {Path(file.def_path): file for file in (*loaded.deps, *loaded.outs) if file.hash_info}
            for path in unchanged:
                if path not in files:
                    raise InputError(f"dvc.lock has no {path} of the stage {stage}; `dvc repro {stage}`")
                if files[path].workspace_status():
                    raise InputError(f"{path} is not that of the run of {stage} in dvc.lock; `dvc repro {stage}`")
    except DvcException as error:
        raise InputError(" ".join(str(error).split())) from None
    return {path: str(file.hash_info) for path, file in files.items()}
