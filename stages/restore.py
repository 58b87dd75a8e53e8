"""A stage's outputs put back after a refusal. All that leans on DVC's internals stands here."""

import subprocess
import sys


def restore_outputs(stage: str) -> None:
    """Put back the outputs that DVC removes before it starts a stage, as dvc.lock records them.

    Without this, a refused parameter would leave the workspace without the last good result. What is in Git may be
    missing in DVC's cache (in a fresh clone, for example): then it comes from Git.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    lost = []
    with Repo() as repo:
        for out in repo.stage.load_one(name=stage).outs:
            in_git = not out.use_cache
            out.use_cache = True  # the run-cache holds a copy of metrics and plots too
            try:
                if out.hash_info:
                    out.checkout(force=True)
                else:  # the first run: what it has half written is no result
                    out.remove()
            except (DvcException, OSError):
                git = ["git", "checkout", "--quiet", "--", out.fs_path]
                if not in_git or subprocess.run(git, stderr=subprocess.DEVNULL).returncode:
                    lost.append(out.def_path)
    if lost:
        print(f"{stage}: not in the cache, so not put back: {', '.join(lost)}", file=sys.stderr)
