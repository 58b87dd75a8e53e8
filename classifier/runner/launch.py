"""Run a command in several processes, under the launcher that LAUNCH in the environment names."""

import os
import platform
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from classifier.distributed.processes import CONNECTION_LOST, NOT_CONNECTED
from classifier.errors import InputError


def launch(module: str, *arguments: str) -> None:
    """Run `python -m MODULE ARGUMENTS` under the launcher, and wait until all processes have ended.

    The stdout of the processes is the stdout of this process. Their stderr is captured. If a process fails, the line of
    stderr that tells the cause becomes the error message. If DEBUG is set in the environment, the whole stderr is
    printed first.

    Raises:
        InputError: LAUNCH names no launcher that can be used, or a process failed.
    """
    setting = f"LAUNCH={os.environ['LAUNCH']} in the environment"
    launcher = torchrun_command(setting)
    environment = {name: value for name, value in os.environ.items() if name != "LAUNCH"}
    # The processes end when this one is gone (see ranks.py).
    environment["LAUNCHED_BY"] = f"{os.getpid()} {platform.node()}"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # SystemExit is caught below and ends the launcher
    command = [*launcher, sys.executable, "-m", module, *arguments]
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", env=environment)
    except OSError as error:
        raise InputError(f"{setting}: {error.strerror}") from None
    try:
        stderr = process.communicate()[1]  # returns when no process is left that could write to stderr
    except BaseException:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave a process running
        process.terminate()
        process.communicate()
        raise
    if process.returncode:
        if os.environ.get("DEBUG"):
            sys.stderr.write(stderr)
        cause = cause_of_failure(stderr, module.rpartition(".")[2])
        raise InputError(cause or f"{launcher[0]} ended with status {process.returncode}")


def torchrun_command(setting: str) -> list[str]:
    """Return the words of LAUNCH, with torchrun told to start a command and not a Python file.

    Args:
        setting: LAUNCH and its value, for the error message.

    Raises:
        InputError: LAUNCH cannot be split into words, or torchrun is none of them.
    """
    try:
        words = shlex.split(os.environ["LAUNCH"])
    except ValueError as error:
        raise InputError(f"{setting}: {error}") from None
    names = [Path(word).name for word in words]
    if "torchrun" not in names:
        raise InputError(f"{setting}: has no torchrun, which tells each process its rank; put torchrun into it")
    words.insert(names.index("torchrun") + 1, "--no-python")
    return words


def cause_of_failure(stderr: str, command: str) -> str | None:
    """Return the message in stderr that best explains why the processes failed; None if stderr has no words.

    A failing rank writes one line, `COMMAND: MESSAGE` (see ranks.py), and torchrun reports each rank that a signal
    ended. Some of these ranks are only victims of another failure: they lost the connection to a failed rank, or
    torchrun ended them by SIGTERM. The messages are therefore tried in this order:

    1. the line of a rank, unless it lost its connection
    2. a signal other than SIGTERM
    3. SIGTERM
    4. the line of a rank that lost its connection
    5. the last line that has words, for example torchrun's refusal of an option

    The error files of torch.distributed.elastic's `record` cannot replace this. No error file is written for a rank
    that was killed or for an option that torchrun refuses, and the error files of another host are out of reach.
    """
    messages = re.findall(rf"^{command}: (.*)", stderr, re.MULTILINE)
    failures = [message for message in messages if not message.startswith((NOT_CONNECTED, CONNECTION_LOST))]
    signals = re.findall(r"Signal \d+ \((\w+)\) received by PID", stderr)
    killed = [f"a process was ended by {name}" for name in sorted(signals, key=lambda name: name == "SIGTERM")]
    last_words = re.findall(r"^.*[A-Za-z].*$", stderr, re.MULTILINE)[-1:]
    return next(iter(failures + killed + messages + last_words), None)
