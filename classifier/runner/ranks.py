"""A process that a launcher has started beside others: its output and its end."""

import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from classifier.distributed.rank import rank_and_count
from classifier.runner.messages import message_of


@contextmanager
def one_of_several(name: str) -> Iterator[None]:
    """Of several processes, the first alone shows what a stage prints, and its bars; what ends one goes in a line to
    the error stream, sys.__stderr__; and none outlives its launcher, or on one host the stage that called that.
    """
    rank = rank_and_count()
    if not rank:
        yield
        return
    if rank[0] > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stdout
    launcher = os.getppid()
    stage, _, host = os.environ.get("LAUNCHED_BY", "").partition(" ")

    def watch() -> None:
        with suppress(ProcessLookupError):
            while os.getppid() == launcher:
                if host == platform.node():
                    os.kill(int(stage), 0)  # fails once there is no such process
                time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    except BaseException as error:
        sys.stderr = sys.__stderr__
        if os.environ.get("DEBUG"):
            raise
        message = message_of(error) or f"a defect of the code: {error!r}; DEBUG=1 in the environment shows where"
        sys.exit(f"{name}: {' '.join(message.split())}")
