"""`dvc ARGS` and the stages that it starts, in forks of a process that has imported what they import.

A Python of its own for each would import DVC, torch and transformers, for longer than most of them take on the tiny
project. Forks of the tests' own process would not do: it has trained, after which torch does not train in a fork.
"""

import contextlib
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
        request = {"args": args, "folder": os.getcwd(), "environment": dict(os.environ), "path": sys.path}
        with tempfile.TemporaryFile("w+") as file, tempfile.TemporaryFile("w+") as told:
            told.write(json.dumps(request))
            told.flush()
            socket.send_fds(self.socket, [b"!"], [told.fileno(), file.fileno()])
            status = int.from_bytes(self.socket.recv(4), "little", signed=True)
            file.seek(0)
            return status, file.read()


def serve(requests: socket.socket) -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    while True:
        byte, descriptors, *_ = socket.recv_fds(requests, 1, 2)
        if not byte:
            return  # the tests are over
        child = forked(lambda told=descriptors[0], out=descriptors[1]: dvc_main(told, out))
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


def dvc_main(told: int, descriptor: int) -> None:
    import colorama
    from dvc import cli
    from dvc.stage import run

    for stream in (1, 2):
        os.dup2(descriptor, stream)
    with open(told, closefd=False) as file:
        file.seek(0)
        request = json.load(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ |= request["environment"]
    sys.path[:] = request["path"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout = sys.stderr = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
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
    sys.exit(cli.main(request["args"]))


def stage_main(module: str, folder: str, environment: dict[str, str]) -> None:
    """`python -m MODULE`; the stages' modules are those of the folder, as they are now."""
    os.chdir(folder)
    os.environ.clear()
    os.environ |= environment
    for name in [name for name in sys.modules if name.split(".")[0] == "stages"]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
