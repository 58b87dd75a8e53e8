"""Output, errors and end of a rank: a process that a launcher has started beside others.

Only rank 0 prints. A failing rank writes one line to stderr. Ranks exit when their launcher dies.
"""

import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

from classifier.distributed.rank import rank_and_count
from classifier.runner.messages import message_of


def rank_process(name: str) -> AbstractContextManager[None]:
    """Set up this process if it is a rank, and return the context in which it should work.

    A process that no launcher has started is not a rank: nothing is set up, and the context does nothing.

    Args:
        name: the name of the stage or the command, with which the line of an error begins.
    """
    rank = rank_and_count()
    if not rank:
        return nullcontext()
    redirect_output(rank[0])
    exit_with_launcher()
    return errors_in_one_line(name)


def redirect_output(rank: int) -> None:
    """Send the output of rank 0, progress bars included, to stdout; discard the output of the other ranks.

    The original stderr stays free for the line of an error, which the launching process reads.
    """
    if rank > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stdout


def exit_with_launcher() -> None:
    """Start a thread that ends this process soon after its launcher has ended.

    The launcher can outlive the stage that started it. So the thread also watches the process of the stage, if this
    process is on the same host: launch.py puts the process id and the host of the stage into LAUNCHED_BY.
    """
    launcher = os.getppid()
    stage, _, host = os.environ.get("LAUNCHED_BY", "").partition(" ")

    def watch() -> None:
        with suppress(ProcessLookupError):
            while os.getppid() == launcher:
                if host == platform.node():
                    with suppress(PermissionError):  # the stage has another user than this process
                        os.kill(int(stage), 0)  # signal 0: raises ProcessLookupError if the process is gone
                time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def errors_in_one_line(name: str) -> Iterator[None]:
    """End the process with one line on the original stderr if the block fails; with DEBUG, with a traceback."""
    try:
        yield
    except BaseException as error:
        sys.stderr = sys.__stderr__
        if os.environ.get("DEBUG"):
            raise
        message = message_of(error) or f"unexpected error: {error!r}; DEBUG=1 in the environment shows where"
        sys.exit(f"{name}: {' '.join(message.split())}")
