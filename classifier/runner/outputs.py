"""Put back a stage's outputs as dvc.lock has them, after a failed run.

DVC's public API has no function for this, so this module uses DVC's internals. No other module of classifier/ does.
pyproject.toml pins the minor version of DVC because of this module. The internals are:

- `Repo.stage.load_one`: a stage with its outs. `hash_info` of an out is its hash in dvc.lock.
- `workspace_status()` of an out: empty if the file on disk has that hash.
- `checkout`, `unprotect` and `remove` of an out: restore it from the cache, turn links into copies, delete it.
- `use_cache` of an out: False for `cache: false` in dvc.yaml, and then `checkout` and `unprotect` do nothing.
- `check` of a cache: hash an object, and delete it if it is damaged.
- `state` and `CACHE_MODE` of a cache: known hashes, and the mode of objects that the cache trusts. `check` does not
  hash an object that one of these covers.

`dvc checkout` is not enough: it skips outputs with `cache: false`, and it restores a damaged object that is read-only.
"""

import stat
import subprocess
import sys
from contextlib import suppress
from typing import Any


def restore_outputs(stage: str) -> None:
    """Put back the outputs of a stage's last good run, which DVC removes before it starts the stage.

    Without this, a mistake in params.yaml would leave the user without the last good result. Each output gets the bytes
    that dvc.lock names, from DVC's cache or from Git. If neither has them, the output is removed and named on stderr.
    """
    from dvc.repo import Repo
    from dvc_data.hashfile.state import StateNoop

    with Repo() as repo:
        # Make DVC hash every object that it puts back. DVC trusts an object with the mode CACHE_MODE (read-only), so
        # CACHE_MODE becomes a mode that no object has. DVC also trusts the hashes in `state`, so `state` becomes empty.
        cache = repo.cache.local
        cache.state, cache.CACHE_MODE = StateNoop(), cache.CACHE_MODE | stat.S_IFREG
        lost = [out.def_path for out in repo.stage.load_one(name=stage).outs if not restore_output(out)]
    if lost:
        print(f"{stage}: not put back: {', '.join(lost)}; `dvc repro`", file=sys.stderr)


def restore_output(out: Any) -> bool:
    """Put back one output as dvc.lock has it, or remove it.

    Returns:
        Whether nothing is lost: the output is back, or dvc.lock has no hash of it, since the stage has never succeeded.
    """
    from dvc.exceptions import DvcException
    from dvc_objects.errors import ObjectFormatError

    sources = [check_out_from_cache] if out.use_cache else [check_out_copy, check_out_from_git]
    out.use_cache = True  # lets DVC check out metrics and plots, too: its run-cache may have them
    for take_from in sources if out.hash_info else []:
        with suppress(DvcException, ObjectFormatError, OSError, subprocess.CalledProcessError):
            take_from(out)
            if not out.workspace_status():
                return True
    with suppress(OSError):
        out.remove()  # an older or half-written file is not the result
    return not out.hash_info


def check_out_from_cache(out: Any) -> None:
    """Verify an output's object in DVC's cache, then check it out as a link or a copy, as DVC is configured."""
    out.cache.check(out.hash_info.value)
    out.checkout(force=True, quiet=True)


def check_out_copy(out: Any) -> None:
    """Check out an output that Git tracks, as a copy: Git would take a link into the cache for a change."""
    check_out_from_cache(out)
    out.unprotect()


def check_out_from_git(out: Any) -> None:
    """Check out an output as it is in Git's index."""
    subprocess.run(["git", "checkout", "--quiet", "--", out.fs_path], stderr=subprocess.DEVNULL, check=True)
