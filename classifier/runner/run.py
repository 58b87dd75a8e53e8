"""`run(stage)`, every stage's way in: params checked, one run at a time, errors in one line, outputs put back."""

import os
import signal
import sys
from collections.abc import Callable

from classifier.distributed.processes import Processes
from classifier.distributed.rank import rank_and_count
from classifier.errors import InputError
from classifier.runner.command import no_arguments
from classifier.runner.environment import restart_with_malloc_settings, share_cores
from classifier.runner.inputs import inputs, pipeline
from classifier.runner.launch import launch
from classifier.runner.locks import only_run
from classifier.runner.messages import message_of
from classifier.runner.outputs import restore_outputs
from classifier.runner.ranks import one_of_several
from classifier.training import checkpoint

NETWORK_STAGES = ("data", "base_model")  # all others run with the Hub switched off


def main(stage: Callable, distributed: bool = False) -> None:
    """`python -m stages.NAME`. distributed: as run has it."""
    no_arguments(f"python -m stages.{stage.__name__}", f"dvc repro {stage.__name__}   # with the stages that it needs")
    if distributed:
        restart_with_malloc_settings()
    run(stage, distributed)


def run(stage: Callable, distributed: bool = False) -> None:
    """Check params.yaml and run a stage. What the user can fix ends in one line and exit status 1, all else, or with
    DEBUG=1 in the environment, in a traceback; under DVC both with the outputs of the last good run in place.

    distributed: the stage runs the network, and with LAUNCH in the environment in several processes.
    """
    name = stage.__name__
    if name not in NETWORK_STAGES:
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # no warning when a later step forks
    share_cores()
    sys.stdout.reconfigure(line_buffering=True)  # to a file, too, as it happens
    launches = bool(distributed and os.environ.get("LAUNCH"))
    try:
        with one_of_several(name), only_run(name, launches):
            # Before anything can be refused, which the other processes would not notice.
            several = Processes.connect() if distributed else None
            before = inputs(stage)
            if several:
                several.check_equal(
                    repr((name, before)),
                    "runs another stage, or with other params or code, than rank 0; bring its folder to the same "
                    "commit, and start on each host the stages that `dvc status` names",
                )
            checkpoint.remove_finished(pipeline()[name]["deps"])
            if launches:
                launch(f"stages.{name}")
            else:
                stage(**before[0])
            # DVC records params and code as they are after the run, which might not be what the result was made with.
            if inputs(stage) != before:
                raise InputError(
                    "params.yaml or the code changed during the run, so its result does not count; `dvc repro`"
                )
    except BaseException as error:
        if rank_and_count():
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not break off what follows
        message = None if os.environ.get("DEBUG") else message_of(error)
        if message:
            print(f"{name}: {' '.join(message.split())}", file=sys.stderr, flush=True)
        if "DVC_STAGE" in os.environ:  # by hand, nothing was removed
            restore_outputs(name)
        if not message:
            raise
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)
