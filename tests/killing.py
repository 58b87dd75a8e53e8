"""Start `dvc repro` and kill it at a chosen moment."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import forking
from ruamel.yaml import YAML


def locked(project: Path) -> dict:
    """Return the content of dvc.lock. (DVC writes the stages in the order in which they first ran.)"""
    return YAML(typ="safe").load(project / "dvc.lock")


def repro_until(
    reached: Callable[[], bool],
    how: signal.Signals,
    group: bool = True,
    victim: Callable[[], int] | None = None,
    forked: bool = False,
    command: Sequence[str] = ("repro",),
) -> tuple[bool, str]:
    """Start a DVC command and send a signal as soon as `reached()` is true.

    Args:
        reached: called again and again until it is true or the command ends.
        how: the signal.
        group: send the signal to DVC and everything that it started; if False, to DVC alone.
        victim: returns the id of another process, which then gets the signal instead.
        forked: run DVC and its stages in forks (see forking.py); if False, in a new Python each.
        command: the arguments of DVC.

    Returns:
        (whether the signal was sent before the command ended, what the command printed).
    """
    log = Path("repro.log")
    with log.open("w") as file:
        process = forking.start("dvc", command, file, file) if forked else start(command, file)
        while process.poll() is None and not reached():
            time.sleep(0.001)
        alive = process.poll() is None
        if alive and victim:
            os.kill(victim(), how)
        elif alive:
            (os.killpg if group else os.kill)(process.pid, how)
        process.wait(timeout=60)
    return alive, log.read_text()


def start(command: Sequence[str], log: IO) -> subprocess.Popen:
    """Start a DVC command in a new Python, as the leader of a process group."""
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *command],
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},  # so that the log shows each line at once
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores Ctrl-C
    )
