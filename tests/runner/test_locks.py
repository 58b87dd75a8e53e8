"""Locks work on every file system."""

import errno
import fcntl
import subprocess
import sys

import filelock
import pytest

from classifier.errors import InputError
from classifier.runner.locks import hold_lock, single_run


def test_a_lock_where_the_file_system_has_none(tmp_path, monkeypatch):
    """A file then names the process that holds the lock. A killed process no longer holds it."""

    def no_locks(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    code = f"""
import fcntl, sys, errno
def no_locks(*args): raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = no_locks
from pathlib import Path
from classifier.runner.locks import hold_lock
with hold_lock(Path({str(tmp_path / "stage.lock")!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    monkeypatch.setattr(fcntl, "flock", no_locks)
    message = f"^in use; if none runs, remove {tmp_path / 'stage.softlock'}$"
    with pytest.raises(InputError, match=message), single_run(tmp_path / "stage.lock", False, "in use"):
        pass
    other.kill()
    other.wait()
    with hold_lock(tmp_path / "stage.lock"), pytest.raises(filelock.Timeout), hold_lock(tmp_path / "stage.lock"):
        pass
    with hold_lock(tmp_path / "stage.lock"):  # free again
        pass
