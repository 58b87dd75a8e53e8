"""Kill `dvc repro`; for test_kill.py and soak.py, among others."""

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
    """Return the content of dvc.lock. Its stages are in the order in which they first ran."""
    return YAML(typ="safe").load(project / "dvc.lock")


def repro_until(
    reached: Callable[[], bool],
    how: signal.Signals,
    group: bool = True,
    victim: Callable[[], int] | None = None,
    server: Server | None = None,
    command: Sequence[str] = ("repro",),
) -> tuple[bool, str]:
    """Start a command of DVC and send a signal once `reached()` is true.

    Args:
        reached: Whether it is time for the signal. It is called every millisecond.
        how: The signal.
        group: Whether the signal goes to DVC and to all processes that it started, or to DVC alone.
        victim: Returns the id of the only process that gets the signal, in place of these.
        server: Forks DVC and the stages. Without a server each of them starts a Python interpreter.
        command: The words after `dvc`.

    Returns:
        Whether the signal was sent before the command ended, and the output of the command.
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
    """Start a command of DVC in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *command],
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},  # `reached` may read the log
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores SIGINT
    )
