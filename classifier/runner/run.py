"""The start of every stage: `run(stage)` takes the stage's lock, checks its inputs, runs it and handles its errors.

A mistake in params.yaml is refused before torch and transformers, which take seconds, have loaded. For this, modules of
classifier/ and stages/ import these two and other slow libraries (CONTRIBUTING.md lists them) inside functions. A
module that imports them at its top, such as classifier/training/graphs.py, is itself imported inside functions. numpy
and pandas are exempt.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from classifier.distributed.processes import Processes
from classifier.distributed.rank import rank_and_count
from classifier.errors import InputError
from classifier.files.writing import remove_part
from classifier.runner.command import no_arguments
from classifier.runner.environment import let_idle_threads_sleep, restart_with_malloc_settings
from classifier.runner.inputs import check_inputs, pipeline
from classifier.runner.launch import launch
from classifier.runner.locks import single_stage
from classifier.runner.messages import message_of
from classifier.runner.outputs import restore_outputs
from classifier.runner.ranks import rank_process
from classifier.training import checkpoint

NETWORK_STAGES = ("data", "base_model")  # the others run with HF_HUB_OFFLINE


def main(stage: Callable, distributed: bool = False, uses_model: bool = False) -> None:
    """Run a stage as `python -m stages.NAME`.

    Args:
        stage, distributed: As in `run`.
        uses_model: whether the stage trains the model or scores many texts with it. If so, the process is restarted
            with other settings of malloc.
    """
    no_arguments(f"python -m stages.{stage.__name__}", f"dvc repro {stage.__name__}   # with the stages that it needs")
    if uses_model:
        restart_with_malloc_settings()
    run(stage, distributed)


def run(stage: Callable, distributed: bool = False) -> None:
    """Check a stage's inputs and run the stage with its arguments from params.yaml.

    An error that the user can fix ends the process with one line on stderr and exit status 1. Ctrl-C ends the process
    with one line and exit status 130. Any other error ends the process with a traceback. If DEBUG is set in the
    environment, every error does. In all cases the outputs of the last good run are put back if DVC has removed them.

    Args:
        stage: a function of stages/.
        distributed: whether the stage can run in several processes, under the launcher that LAUNCH in the environment
            names.
    """
    name = stage.__name__
    launches = distributed and bool(os.environ.get("LAUNCH"))
    set_environment(name)
    try:
        with rank_process(name), single_stage(name, launches):
            arguments, code = check_equal_inputs(stage, distributed)
            checkpoint.remove_finished(pipeline()[name]["deps"])
            if launches:
                launch_stage(name)
            else:
                stage(**arguments)
            # DVC records the params and the code that it finds after the run. But the result comes from the params and
            # the code before the run.
            if check_inputs(stage) != (arguments, code):
                raise InputError("params.yaml or the code changed during the run, so the result is void; `dvc repro`")
    except BaseException as error:
        if rank_and_count():
            raise  # for a rank, the launching process calls `fail`
        fail(name, error)


def launch_stage(name: str) -> None:
    """Run a stage under the launcher. If a rank fails, remove the unfinished outputs (see classifier/files/writing.py).

    The rank that was writing an output cannot remove it, because the launcher ends all other ranks by a signal.
    """
    try:
        launch(f"stages.{name}")
    except BaseException:
        for out in pipeline()[name]["outs"]:
            remove_part(Path(out))
        raise


def set_environment(stage: str) -> None:
    """Set what a stage needs in its process before it loads torch or transformers."""
    if stage not in NETWORK_STAGES:
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # no warning if a process is forked later
    let_idle_threads_sleep()
    sys.stdout.reconfigure(line_buffering=True)  # so that a log file shows each line at once


def check_equal_inputs(stage: Callable, distributed: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the result of `check_inputs`.

    Raises InputError if a rank runs another stage or has other inputs than rank 0.
    """
    # The ranks connect before the check: if one of them ends because its inputs are wrong, the others notice it.
    processes = Processes.connect() if distributed else Processes()
    inputs = check_inputs(stage)
    processes.check_equal(
        repr((stage.__name__, inputs)),
        "runs another stage than rank 0, or has other params or code; bring its folder to the same commit, and "
        "start on each host the stages that `dvc status` names",
    )
    return inputs


def fail(stage: str, error: BaseException) -> NoReturn:
    """Print an error that the user can fix, and exit; raise any other error.

    Under DVC, the outputs are put back before the process ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not interrupt what follows
    message = None if os.environ.get("DEBUG") else message_of(error)
    if message:
        print(f"{stage}: {message}", file=sys.stderr, flush=True)
    if "DVC_STAGE" in os.environ:  # without DVC no output was removed
        restore_outputs(stage)
    if not message:
        raise error
    sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)
