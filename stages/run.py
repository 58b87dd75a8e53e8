"""`run(stage)`, every stage's way in: params checked, one run at a time, errors in one line, outputs put back."""

import errno
import os
import platform
import re
import signal
import sys
import threading
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from stages.files import if_none_runs, locked, sha256s
from stages.restore import restore_outputs
from stages.settings.environment import rank_and_count, restart_with_malloc_settings, share_cores
from stages.settings.errors import InputError, out_of_memory
from stages.settings.params import arguments, load_params
from stages.settings.versions import VERSIONS, check_versions

NETWORK_STAGES = ("data", "base_model")  # all others run with the Hub switched off


def message_of(error: BaseException) -> str | None:
    """What the user can do about an error, in one line; None for what is a defect of the code."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; `dvc repro` goes on, and a training from where it was"
    if out_of_memory(error):
        return (
            "out of memory; in params.yaml lower train.micro_batch_size (train), baseline.max_rows (baseline) or "
            "tokenize.max_length (tokenize, train, evaluate)"
        )
    told = re.search(r"\(os error (\d+)\)", str(error))  # safetensors raises an error of its own
    number = int(told[1]) if told else getattr(error, "errno", None)
    fix = {
        errno.ENOSPC: "make room",
        errno.EDQUOT: "make room",
        errno.EROFS: "make it writable",
        errno.EACCES: "make it readable and writable",
    }.get(number)
    return fix and f"{getattr(error, 'filename', None) or 'disk'}: {os.strerror(number)}; {fix}, then `dvc repro`"


def pipeline() -> dict[str, Any]:
    """The stages of dvc.yaml. Raises InputError if it is not here."""
    from ruamel.yaml import YAML

    if not (path := Path("dvc.yaml")).is_file():
        raise InputError(f"{path}: not found; run this from the folder that holds it")
    return YAML(typ="safe", pure=True).load(path)["stages"]


def inputs(stage: Callable) -> tuple[dict[str, Any], dict[str, str]]:
    """(keyword arguments, digests of the code) of a stage, as they are now. Raises InputError for wrong params, for
    installed versions that are not those of versions.yaml, and for what the stage would read and is not there.
    """
    declared = pipeline()[stage.__name__]
    for entry in declared["params"]:
        if isinstance(entry, dict):
            check_versions(entry[VERSIONS.name])
    for dep in declared["deps"]:
        if not Path(dep).exists():
            raise InputError(f"{dep}: not there; `dvc repro {stage.__name__}` makes it, or `dvc pull` brings it")
    code = [Path(dep) for dep in declared["deps"] if dep.startswith("stages/")]
    return arguments(stage, load_params()), sha256s(*code)


@contextmanager
def only_one(lock: Path, launches: bool) -> Iterator[None]:
    """Hold a lock, and a second one, which is for processes that may outlive the one that launches them: the first of
    them holds it. Raises filelock.Timeout if another holds one that is needed.
    """
    processes = lock.with_suffix(".processes.lock")
    if rank := rank_and_count():
        with locked(processes) if rank[0] == 0 else nullcontext():
            yield
        return
    with locked(lock):
        with locked(processes):
            if not launches:
                yield
        if launches:
            yield


@contextmanager
def only_run(stage: str, launches: bool) -> Iterator[None]:
    """Raise InputError beside another run of a stage: a killed `dvc repro` leaves what it started running."""
    from filelock import Timeout

    try:
        with only_one(Path(".dvc/tmp") / f"{stage}.lock", launches):
            yield
    except Timeout as busy:
        raise InputError(
            f"an earlier run of this stage still goes on; wait for it or stop it (pgrep -f stages.{stage}), "
            f"then `dvc repro`{if_none_runs(busy)}"
        ) from None


def no_arguments(command: str, example: str) -> None:
    """--help of a command that takes no arguments: its module's docstring and an example. Others are refused."""
    import __main__

    parser = ArgumentParser(
        prog=command,
        description=__main__.__doc__,
        epilog=f"example:\n  {example}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.parse_args()


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


def main(stage: Callable, launch: Callable | None = None, join: Callable | None = None) -> None:
    """`python -m stages.NAME`."""
    no_arguments(f"python -m stages.{stage.__name__}", f"dvc repro {stage.__name__}   # with the stages that it needs")
    if launch:  # a stage that runs the network
        restart_with_malloc_settings()
    run(stage, launch, join)


def run(stage: Callable, launch: Callable | None = None, join: Callable | None = None) -> None:
    """Check params.yaml and run a stage. What the user can fix ends in one line and exit status 1, all else, or with
    DEBUG=1 in the environment, in a traceback; under DVC both with the outputs of the last good run in place.

    With LAUNCH in the environment `launch` starts it in several processes, which `join` connects.
    """
    name = stage.__name__
    if name not in NETWORK_STAGES:
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # no warning when a later step forks
    share_cores()
    sys.stdout.reconfigure(line_buffering=True)  # to a file, too, as it happens
    launches = bool(launch and os.environ.get("LAUNCH"))
    try:
        with one_of_several(name), only_run(name, launches):
            several = join() if join else None  # before anything can be refused, which the others would not notice
            before = inputs(stage)
            if several:
                several.agree(
                    repr((name, before)),
                    "runs another stage, or with other params or code, than the first; bring its folder to the same "
                    "commit, and start on each host the stages that `dvc status` names",
                )
            if launches:
                launch(name)
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
