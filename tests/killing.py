"""`dvc repro` that is killed, for test_kill.py and soak.py."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from forking import Server
from ruamel.yaml import YAML


def locked(project: Path) -> dict:
    """What dvc.lock says. (The order of its stages is that in which they have first run.)"""
    return YAML(typ="safe").load(project / "dvc.lock")


def repro_until(
    reached: Callable[[], bool],
    how: signal.Signals,
    group: bool = True,
    victim: Callable[[], int] | None = None,
    server: Server | None = None,
    command: Sequence[str] = ("repro",),
) -> tuple[bool, str]:
    """Start `dvc repro`, or another command of DVC, send a signal once `reached()`; (whether it was sent before the
    end, what was printed).

    The signal goes to all that was started, or not as a group to DVC alone, or to the process of the number `victim()`.
    server: what DVC and the stages are forks of; without one each is a Python of its own.
    """
    log = Path("repro.log")
    with log.open("w") as file:
        process = server.start("dvc", command, file, file) if server else start(command, file)
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
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *command],
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},  # what is waited for shows in the log at once
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in a background job
    )
