"""`dvc ARGS`, the stages that it starts, and `python -m stages.infer ARGS`, in forks of a process that has imported
what they import.

A Python of its own for each would import DVC, torch and transformers, for longer than most of them take on the tiny
project. Forks of the tests' own process would not do: it has trained, after which torch does not train in a fork.
"""

import contextlib
import copy
import functools
import importlib
import json
import logging
import os
import runpy
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence

IMPORTED = (
    *("dvc.cli.parser", "dvc.repo", "dvc.scm", "dvc.stage.run", "dulwich.client", "colorama"),
    *("datasets", "jinja2", "matplotlib.pyplot", "pandas", "peft", "pyarrow.parquet", "scipy.optimize"),
    *("sklearn.feature_extraction.text", "sklearn.linear_model", "sklearn.model_selection", "sklearn.metrics"),
    *("torch", "transformers", "typer"),
)
# They read huggingface_hub's settings, of which some are fixed once that is imported.
OWN_PROCESS = ("stages.data", "stages.base_model")


class Server:
    """The process that is forked from; one command at a time."""

    def __init__(self):
        self.socket, theirs = socket.socketpair()
        if os.fork() == 0:
            self.socket.close()  # so that theirs ends with this process
            try:
                serve(theirs)
            finally:
                os._exit(1)
        theirs.close()

    def dvc(self, args: tuple[str, ...]) -> tuple[int, str]:
        """(exit status, what was printed to both streams) of `dvc ARGS` in this process's folder and environment."""
        with tempfile.TemporaryFile("w+") as printed:
            return self.status("dvc", args, printed, printed), contents(printed)

    def stage(self, module: str, args: tuple[str | bytes, ...]) -> tuple[int, str, str]:
        """(exit status, stdout, stderr) of `python -m MODULE ARGS`."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            return self.status(module, args, out, err), contents(out), contents(err)

    def status(self, command: str, args: tuple[str | bytes, ...], *streams) -> int:
        request = {"command": command, "args": [os.fsdecode(arg) for arg in args], "path": sys.path}
        request |= {"folder": os.getcwd(), "environment": dict(os.environ)}
        with tempfile.TemporaryFile("w+") as told:
            told.write(json.dumps(request))
            told.flush()
            socket.send_fds(self.socket, [b"!"], [file.fileno() for file in (told, *streams)])
            return int.from_bytes(self.socket.recv(4), "little", signed=True)


def contents(file) -> str:
    file.seek(0)
    return file.read()


def parse_each_text_once(setattr: Callable = setattr) -> None:
    """A DVC command parses params.yaml up to 16 times, which is four fifths of the time of `dvc status`."""
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml

    parsed = functools.cache(_yaml.parse_yaml)
    for module in (_yaml, strictyaml):
        setattr(module, "parse_yaml", lambda *args, **kwargs: copy.deepcopy(parsed(*args, **kwargs)))


def serve(requests: socket.socket) -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    parse_each_text_once()
    while True:
        byte, descriptors, *_ = socket.recv_fds(requests, 1, 3)
        if not byte:
            return  # the tests are over
        child = forked(lambda descriptors=descriptors: main(*descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
        requests.sendall(wait(child).to_bytes(4, "little", signed=True))


def forked(main) -> int:
    """The process id of a child that ends as `main` does."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        main()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(bool(error.code))
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(ValueError):  # closed
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(told: int, *streams: int) -> None:
    for number, stream in enumerate(streams, 1):
        os.dup2(stream, number)
    with open(told, closefd=False) as file:
        file.seek(0)
        request = json.load(file)
    sys.path[:] = request["path"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    if request["command"] != "dvc":
        sys.stderr = open(2, "w", buffering=1, closefd=False, errors="backslashreplace")  # noqa: SIM115
        stage_main(request["command"], request["folder"], request["environment"], request["args"])
        return
    sys.stderr = sys.stdout
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ |= request["environment"]
    dvc_main(request["args"])


def dvc_main(args: list[str]) -> None:
    import colorama
    from dvc import cli
    from dvc.stage import run

    for handler in logging.getLogger("dvc").handlers:
        handler.stream = sys.stdout
    colorama.init()  # DVC puts back the stdout that colorama met last
    in_a_shell = run._run

    def run_stage(executable, cmd, cwd, env, **kwargs):
        module = cmd.split()[-1]
        if module in OWN_PROCESS or "LAUNCH" in env or "PYTHONHASHSEED" in env:
            return in_a_shell(executable, cmd, cwd=cwd, env=env, **kwargs)
        if status := wait(forked(lambda: stage_main(module, cwd, env))):
            raise run.StageCmdFailedError(cmd, status)

    run._run = run_stage
    sys.exit(cli.main(args))


def stage_main(module: str, folder: str, environment: dict[str, str], args: Sequence[str] = ()) -> None:
    """`python -m MODULE ARGS`; the stages' modules are those of the folder, as they are now."""
    os.chdir(folder)
    os.environ.clear()
    os.environ |= environment
    for name in [name for name in sys.modules if name.split(".")[0] == "stages"]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    sys.argv = [module, *args]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
