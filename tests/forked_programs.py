"""Start dvc, python and torchrun in forks of one process if make, bash or torchrun call them.

`commands_in` writes three programs into a folder. A test puts the folder into PATH, where make finds them. Each program
asks a server for a fork, which runs the command. forking.py explains why.
"""

import contextlib
import fcntl
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from forking import PRELOADED, Command, connect_streams, dvc_main, enter, module_main, spare_inherited

# A program that has a fork do what its arguments say. It gives the fork its open files, folder and environment, passes
# signals on, and ends as the fork ends. -I and -S: Python then starts in 20 ms.
CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
files = []
for number in sorted(map(int, os.listdir("/dev/fd"))):
    try:
        os.fstat(number)
        files.append(number)
    except OSError:  # of the listing itself
        pass
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    name = os.path.basename(sys.argv[0])
    request = json.dumps([name, sys.argv[1:], files, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(request).to_bytes(4, "big")], files)
    server.sendall(request)
    pid = int.from_bytes(server.recv(4), "big")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os.kill(pid, number))
    status = server.recv(1)
os._exit(status[0]) if status else os.kill(os.getpid(), signal.SIGKILL)
"""
MOST_FILES = 64


@contextlib.contextmanager
def commands_in(folder: Path, **environment: str) -> Iterator[None]:
    """Put the commands dvc, python and torchrun into a folder. They run in forks while the `with` block runs.

    environment: variables that Python reads when it starts, such as PYTHONHASHSEED. If there are any, a new Python
        starts with them, and the commands run in forks of it.
    """
    with tempfile.TemporaryDirectory() as short:  # the path of a socket has at most 104 characters
        address = f"{short}/socket"
        arguments = address, str(folder / "python")
        for name in ("dvc", "python", "torchrun"):
            (folder / name).write_text(CLIENT.format(python=sys.executable, address=address))
            (folder / name).chmod(0o755)
        if environment:
            code = f"import sys; sys.path[:] = {sys.path}; import forked_programs; forked_programs.serve{arguments}"
            server = subprocess.Popen([sys.executable, "-c", code], env=os.environ | environment)
        else:
            server = Command(target=serve, args=arguments)
            server.start()
        try:
            while not Path(address).exists():
                assert server.poll() is None
                time.sleep(0.01)
            yield
        finally:
            server.kill()
            server.wait()


def serve(address: str, python: str) -> None:
    """Fork for each connection to a socket, and run the command that the program at its other end asks for.

    Args:
        address: Path of the socket.
        python: What sys.executable is in the forks.
    """
    for name in PRELOADED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no child is waited for
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        while True:
            connection = listener.accept()[0]
            if os.fork():
                connection.close()
                continue
            listener.close()
            os._exit(answer(connection, python))


def answer(connection: socket.socket, python: str) -> int:
    """Run the command that a program asks for; return its exit status, and send it to the program."""
    spare_inherited()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    size, files, *_ = socket.recv_fds(connection, 4, MOST_FILES)
    request = json.loads(connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
    command, args, numbers, folder, environment = request
    # Above the program's numbers: otherwise dup2 could overwrite a received file that is not yet in its place.
    connection, *files = [moved_above(file, max(numbers)) for file in (connection.detach(), *files)]
    connection = socket.socket(fileno=connection)
    connection.sendall(os.getpid().to_bytes(4, "big"))
    sys.executable = python
    status = 0
    try:
        for file, number in zip(files, numbers, strict=True):
            if number > 2:
                os.dup2(file, number)
                os.close(file)
        enter(folder, environment)
        connect_streams([file for file, number in zip(files, numbers, strict=True) if number <= 2])
        sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
        if command == "dvc":
            dvc_main(args)
        else:
            python_main(["-m", "torch.distributed.run", *args] if command == "torchrun" else args)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    connection.sendall(bytes([status]))
    return status


def moved_above(file: int, number: int) -> int:
    """Give an open file a file descriptor above a number; return it."""
    moved = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, number + 1)
    os.close(file)
    return moved


def python_main(args: list[str]) -> None:
    """Run `python ARGS`: a module, code or a file, with its arguments."""
    while args[0] == "-u":  # the streams are written line by line in any case
        args = args[1:]
    if args[0] == "-m":
        module_main(args[1], args[2:])
    elif args[0] == "-c":
        sys.argv = ["-c", *args[2:]]
        exec(args[1], {"__name__": "__main__"})
    else:
        sys.path.insert(0, str(Path(args[0]).parent))
        sys.argv = args
        runpy.run_path(args[0], run_name="__main__")
