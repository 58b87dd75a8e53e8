"""`dvc ARGS`, the stages that it starts, and `python -m MODULE ARGS`, in forks of a process that has imported what they
import.

A Python of its own for each would import DVC, torch and transformers, for longer than most of them take on the tiny
project. Forks of the tests' own process would not do: it has trained, after which torch does not train in a fork.

For each command the server forks an attendant, and this the command, whose end it tells over their socket.
"""

import contextlib
import copy
import functools
import importlib
import json
import logging
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from typing import IO

IMPORTED = (
    *("dvc.cli.parser", "dvc.repo", "dvc.scm", "dvc.stage.run", "dulwich.client", "colorama"),
    *("datasets", "jinja2", "matplotlib.pyplot", "pandas", "peft", "pyarrow.parquet", "scipy.optimize"),
    *("sklearn.feature_extraction.text", "sklearn.linear_model", "sklearn.model_selection", "sklearn.metrics"),
    *("torch", "transformers", "typer"),
)
# What a command imports itself: the code of its folder; and the Hub's settings, which are fixed by its import. (What
# transformers and datasets know of the Hub stays the server's: the stages fetch without them.)
OWN = ("stages", "classifier", "apps", "huggingface_hub")


class Server:
    """The process that is forked from, as one reaches it: any number of processes, at an address that each can be told.
    It has the environment of the one that starts it, and ends with that.
    """

    def __init__(self, address: str | None = None):
        self.address = address or start_server()

    def dvc(self, args: Sequence[str]) -> tuple[int, str]:
        """(exit status, what was printed to both streams) of `dvc ARGS` in this process's folder and environment."""
        with tempfile.TemporaryFile("w+") as printed:
            return self.start("dvc", args, printed, printed).wait(), contents(printed)

    def stage(self, module: str, args: Sequence[str | bytes], given: bytes = b"") -> tuple[int, str, str]:
        """(exit status, stdout, stderr) of `python -m MODULE ARGS`. given: on its stdin."""
        with (
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
            tempfile.TemporaryFile() as stdin,
        ):
            stdin.write(given)
            stdin.seek(0)
            return self.start(module, args, out, err, stdin).wait(), contents(out), contents(err)

    def start(self, command: str, args: Sequence[str | bytes], out: IO, err: IO, stdin: IO | None = None) -> "Command":
        """Without waiting for its end; the leader of a process group. command: dvc, or a module, as `python -m` has it;
        without one, stdin is empty.
        """
        request = {"command": command, "args": [os.fsdecode(arg) for arg in args], "path": sys.path}
        request |= {"folder": os.getcwd(), "environment": dict(os.environ)}
        attendant = socket.socket(socket.AF_UNIX)
        attendant.connect(self.address)
        with tempfile.TemporaryFile("w+") as told, open(os.devnull) as nothing:
            told.write(json.dumps(request))
            told.flush()
            socket.send_fds(attendant, [b"!"], [file.fileno() for file in (told, stdin or nothing, out, err)])
        return Command(attendant)


def start_server() -> str:
    """Start the process, which then imports; the address at which it already listens."""
    address = f"{tempfile.mkdtemp()}/server"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        listening.set_inheritable(True)
        args = [sys.executable, __file__, str(listening.fileno()), address, str(os.getpid())]
        os.posix_spawn(sys.executable, args, os.environ)
    return address


class Command:
    """One that runs; what subprocess.Popen has of it."""

    def __init__(self, attendant: socket.socket):
        self.attendant, self.returncode = attendant, None
        self.pid = self.told()

    def told(self) -> int:
        if not (number := self.attendant.recv(4)):
            raise EOFError("the server of the tests, or the command's attendant, has ended")
        return int.from_bytes(number, "little", signed=True)

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self.attendant], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.attendant.settimeout(timeout)
            self.returncode = self.told()
            self.attendant.close()
        return self.returncode


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


def serve(listening: socket.socket, address: str, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its parent
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for an attendant
    try:
        for name in IMPORTED:
            importlib.import_module(name)
        parse_each_text_once()
        listening.settimeout(1)
        while os.getppid() == parent:
            with contextlib.suppress(TimeoutError), listening.accept()[0] as client:
                forked(lambda client=client: attend(client))
    finally:
        shutil.rmtree(os.path.dirname(address))


def attend(client: socket.socket) -> None:
    """Tell the command's process id, and at its end its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    client.settimeout(None)
    _, descriptors, *_ = socket.recv_fds(client, 1, 4)
    child = forked(lambda: main(*descriptors))
    client.sendall(child.to_bytes(4, "little", signed=True))
    client.sendall(wait(child).to_bytes(4, "little", signed=True))


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
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    with open(told, closefd=False) as file:
        file.seek(0)
        request = json.load(file)
    sys.path[:] = request["path"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
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
        if "LAUNCH" in env or "PYTHONHASHSEED" in env:
            return in_a_shell(executable, cmd, cwd=cwd, env=env, **kwargs)
        if status := wait(forked(lambda: stage_main(module, cwd, env))):
            raise run.StageCmdFailedError(cmd, status)

    run._run = run_stage
    sys.exit(cli.main(args))


def stage_main(module: str, folder: str, environment: dict[str, str], args: Sequence[str] = ()) -> None:
    """`python -m MODULE ARGS`."""
    os.chdir(folder)
    os.environ.clear()
    os.environ |= environment
    for name in [name for name in sys.modules if name.split(".")[0] in OWN]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    sys.argv = [module, *args]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], int(sys.argv[3]))
