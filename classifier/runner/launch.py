"""Start a command in several processes, under the launcher that LAUNCH in the environment names."""

import os
import platform
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from classifier.distributed.processes import LOST, UNJOINED
from classifier.errors import InputError


def launch(module: str, *arguments: str) -> None:
    """Run `python -m MODULE ARGUMENTS` under the launcher and wait until all processes have ended.

    They print to this process's stdout. Raises InputError, with the line of stderr that says why, if one of them fails.
    """
    command = [*launcher_command(), sys.executable, "-m", module, *arguments]
    status, stderr = run_to_end(command)
    if status:
        if os.environ.get("DEBUG"):
            sys.stderr.write(stderr)
        raise InputError(cause(stderr, module.rpartition(".")[2]) or f"{command[0]} ended with status {status}")


def launcher_command() -> list[str]:
    """Return the words of LAUNCH, with the option --no-python: torchrun starts a command, not a Python file."""
    try:
        words = shlex.split(os.environ["LAUNCH"])
    except ValueError as error:
        raise launch_error(f"{error}; close it") from None
    names = [Path(word).name for word in words]
    if "torchrun" not in names:
        raise launch_error('has no torchrun, which numbers the ranks; for example LAUNCH="torchrun --nproc-per-node 2"')
    words.insert(names.index("torchrun") + 1, "--no-python")
    return words


def run_to_end(command: list[str]) -> tuple[int, str]:
    """Run the launcher; return its exit status and all that was written to stderr.

    stderr is read to its end, which comes when no process is left that could write to it. SIGTERM and Ctrl-C end the
    launcher, too, before they end this process.
    """
    environment = {name: value for name, value in os.environ.items() if name != "LAUNCH"}
    environment["LAUNCHED_BY"] = f"{os.getpid()} {platform.node()}"  # read in ranks.py
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # raise SystemExit, so that the launcher is ended below
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", env=environment)
    except OSError as error:
        raise launch_error(f"{error.strerror}; give the launcher's full path") from None
    try:
        stderr = process.communicate()[1]
    except BaseException:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave a process running
        process.terminate()
        process.communicate()
        raise
    return process.returncode, stderr


def launch_error(problem: str) -> InputError:
    """Return an error about the value of LAUNCH."""
    return InputError(f"LAUNCH={os.environ['LAUNCH']} in the environment: {problem}")


def cause(stderr: str, name: str) -> str | None:
    """Return the line of stderr that says best why the processes of the command `name` failed.

    The first of these: an error of a rank, other than that it lost the other ranks; a signal that ended a rank; an
    error of a rank that lost the other ranks; the last line.
    """
    errors = re.findall(rf"^{name}: (.*)", stderr, re.MULTILINE)
    first_errors = [error for error in errors if not error.startswith((UNJOINED, LOST))]
    signals = re.findall(r"Signal \d+ \((\w+)\) received by PID", stderr)
    signals.sort(key="SIGTERM".__eq__)  # SIGTERM comes last: the launcher sends it to the other ranks
    lines = re.findall(r"^.*[A-Za-z].*$", stderr, re.MULTILINE)
    kills = [f"a process was ended by {signal_name}" for signal_name in signals]
    return next(iter([*first_errors, *kills, *errors, *lines[-1:]]), None)
