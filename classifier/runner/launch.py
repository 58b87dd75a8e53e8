"""A command run in several processes, under the launcher that LAUNCH in the environment names."""

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
    """Run `python -m MODULE ARGUMENTS` under the launcher that LAUNCH names, and wait until all have ended.

    Their output is this process's; raises InputError with the line that one of them has ended with.
    """
    given = f"LAUNCH={os.environ['LAUNCH']} in the environment"
    try:
        launcher = shlex.split(os.environ["LAUNCH"])
    except ValueError as error:
        raise InputError(f"{given}: {error}") from None
    names = [Path(word).name for word in launcher]
    if "torchrun" not in names:
        raise InputError(f"{given}: has no torchrun, which tells the processes who they are")
    launcher.insert(names.index("torchrun") + 1, "--no-python")  # what it starts is a command
    environment = {name: value for name, value in os.environ.items() if name != "LAUNCH"}
    environment["LAUNCHED_BY"] = f"{os.getpid()} {platform.node()}"
    command = [*launcher, sys.executable, "-m", module, *arguments]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of what follows
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", env=environment)
    except OSError as error:
        raise InputError(f"{given}: {error.strerror}") from None
    try:
        told = process.communicate()[1]  # read to its end: until no process is left that could write to it
    except BaseException:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave one running
        process.terminate()
        process.communicate()
        raise
    if process.returncode:
        if os.environ.get("DEBUG"):
            sys.stderr.write(told)
        name = module.rpartition(".")[2]
        raise InputError(reason(told, name) or f"{launcher[0]} ended with status {process.returncode}")


def reason(told: str, name: str) -> str | None:
    """Of all that processes and launcher have said, the line that tells most."""
    own = re.findall(rf"^{name}: (.*)", told, re.MULTILINE)
    causes = [line for line in own if not line.startswith((UNJOINED, LOST))]
    killed = re.findall(r"Signal \d+ \((\w+)\) received by PID", told)
    killed.sort(key="SIGTERM".__eq__)  # which the launcher itself sends to the others
    words = re.findall(r"^.*[A-Za-z].*$", told, re.MULTILINE)
    return next(iter(causes + [f"a process was ended by {name}" for name in killed] + own + words[-1:]), None)
