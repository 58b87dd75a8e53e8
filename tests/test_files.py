"""Files replaced as a whole, links into DVC's cache left alone, locks on every file system."""

import errno
import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

import filelock
import pytest
from conftest import dvc
from tiny import edit_params

from stages.base_model import base_model
from stages.baseline import baseline
from stages.data import data
from stages.evaluate import evaluate
from stages.files import locked, replaced
from stages.run import run
from stages.tokenize import tokenize
from stages.train import train


def test_a_folder_is_replaced_once_all_is_in_it(tmp_path):
    folder = tmp_path / "folder"
    for content in ("one", "two"):
        with replaced(folder) as new:
            assert list(new.iterdir()) == []
            (new / content).write_text(content)
    assert [path.name for path in folder.iterdir()] == ["two"]
    with pytest.raises(ZeroDivisionError), replaced(folder) as new:
        (new / "half").write_text(1 / 0)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "two"]


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_no_stage_run_by_hand_writes_through_a_link_into_the_cache(finished, kind):
    dvc("config", "cache.type", kind)
    dvc("checkout", "--relink")
    linked = Path("models/adapter/config.json")
    assert linked.is_symlink() if kind == "symlink" else linked.stat().st_nlink == 2

    def cache() -> dict[Path, str]:
        files = [path for path in Path(".dvc/cache/files/md5").rglob("*") if path.is_file()]
        return {path: hashlib.md5(path.read_bytes()).hexdigest() for path in files}

    before = cache()
    changes = {"data.seed": 14, "tokenize.max_length": 20, "baseline.c": 1.0, "train.seed": 14, "train.epochs": 1}
    edit_params(finished, **changes)
    for stage in (data, base_model, tokenize, baseline, train, evaluate):
        run(stage)
    assert cache() == before
    assert not linked.is_symlink()
    assert linked.stat().st_nlink == 1


def test_a_lock_where_the_file_system_has_none(tmp_path, monkeypatch):
    """Then a file names the process that holds it, and one which was killed holds it no longer."""

    def no_locks(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    code = f"""
import fcntl, sys, errno
def no_locks(*args): raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = no_locks
from pathlib import Path
from stages.files import locked
with locked(Path({str(tmp_path / "stage.lock")!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(filelock.Timeout), locked(tmp_path / "stage.lock"):
        pass
    other.kill()
    other.wait()
    with locked(tmp_path / "stage.lock"), pytest.raises(filelock.Timeout), locked(tmp_path / "stage.lock"):
        pass
    with locked(tmp_path / "stage.lock"):  # free again
        pass
