"""Push to the DVC remote everything that a colleague would otherwise compute again.

    make push

Two things are pushed: the files that dvc.lock names, as by `dvc push`, and the files of each finished run, experiments
included. `dvc push --run-cache` would push the list of the finished runs and, of their files, only those that dvc.lock
names now. It would leave out the metrics, which are in Git (`cache: false`), and the models of other experiments, so a
colleague's `dvc repro` would train again.
"""

import sys

from classifier.runner.command import no_arguments


def push_runs() -> bool:
    """Push the finished runs with all their files; return whether every file arrived."""
    from dvc.repo import Repo

    with Repo() as repo:
        runs = repo.stage_cache
        files = runs.get_used_objs(runs.push(None))
        return not any(repo.cloud.push(objects).failed for objects in files.values())


def main() -> int:
    """Push; return the exit status."""
    from dvc.cli import main as dvc
    from dvc.exceptions import DvcException

    no_arguments("python -m apps.push", "make push")
    try:
        return dvc(["push"]) or int(not push_runs())
    except DvcException as error:  # such as a remote that cannot hold the finished runs
        sys.exit(f"push: {error}")


if __name__ == "__main__":
    sys.exit(main())
