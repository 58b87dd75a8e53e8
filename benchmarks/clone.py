"""A clone of the project, for benchmarks that change its params."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path


@contextmanager
def in_clone(*overrides: str) -> Iterator[None]:
    """Enter a clone of the last commit, as the current folder of a `with` block. It shares the project's DVC cache.

    overrides: Changes of the clone's params.yaml, as `dvc exp run -S` takes them.
    """
    from dvc.utils.hydra import apply_overrides

    cache = Path(".dvc/cache").resolve()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", ".", folder], check=True)
        with chdir(folder):
            subprocess.run(["dvc", "cache", "dir", "--local", str(cache)], check=True, stdout=subprocess.DEVNULL)
            if overrides:
                apply_overrides(Path("params.yaml"), [*overrides])
            yield
