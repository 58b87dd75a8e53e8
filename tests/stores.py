"""What a team may have its DVC remote on, real servers on this machine: a folder, S3, SSH and WebDAV."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

MISSING = "not installed; make test-scale installs it"


class Store(NamedTuple):
    """Where a remote lies and what `dvc remote modify` has to be told of it."""

    url: str
    settings: dict[str, str] = {}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def running(command: list, port: int, log: Path) -> Iterator[None]:
    """A server, from when it accepts connections to the end of the block."""
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def folder(place: Path) -> Iterator[Store]:
    yield Store(str(place / "remote"))


@contextlib.contextmanager
def s3(place: Path) -> Iterator[Store]:
    for module in ("dvc_s3", "moto", "flask", "flask_cors"):
        pytest.importorskip(module, reason=f"{module}: {MISSING}")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with running([sys.executable, "-m", "moto.server", "-p", str(port)], port, place / "s3.log"):
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/team", method="PUT")).close()  # the bucket
        keys = {"access_key_id": "test", "secret_access_key": "test"}
        yield Store("s3://team/remote", {"endpointurl": endpoint} | keys)


@contextlib.contextmanager
def ssh(place: Path) -> Iterator[Store]:
    pytest.importorskip("dvc_ssh", reason=f"dvc_ssh: {MISSING}")
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not sshd:
        pytest.skip("no sshd: Debian's package openssh-server has it")
    if os.geteuid() == 0 and not Path("/run/sshd").is_dir():
        pytest.skip("sshd, started by root, wants a folder /run/sshd")
    port = free_port()
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / key], check=True)
    (place / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nAuthorizedKeysFile {place}/user.pub\n"
        "PidFile none\nStrictModes no\nUsePAM no\nSubsystem sftp internal-sftp\n"
    )
    with running([sshd, "-D", "-e", "-f", place / "sshd_config"], port, place / "sshd.log"):
        login = {"user": getpass.getuser(), "port": str(port), "keyfile": str(place / "user")}
        yield Store(f"ssh://127.0.0.1{place}/remote", login)


@contextlib.contextmanager
def webdav(place: Path) -> Iterator[Store]:
    for module in ("dvc_webdav", "wsgidav", "cheroot"):
        pytest.importorskip(module, reason=f"{module}: {MISSING}")
    port = free_port()
    (place / "dav").mkdir()
    command = ["wsgidav", "--host=127.0.0.1", f"--port={port}", f"--root={place / 'dav'}", "--auth=anonymous"]
    with running([*command, "--server=cheroot", "--no-config"], port, place / "dav.log"):
        yield Store(f"webdav://127.0.0.1:{port}/remote")
