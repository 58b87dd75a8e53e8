"""What a team may have its DVC remote on, real servers on this machine: a folder, S3, SSH and WebDAV."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

MISSING = "not installed; make test-scale installs it"


class Store(NamedTuple):
    """A remote's address, where its server keeps the files (a folder, or a bucket of boto3's), what else
    `dvc remote modify` has to be told, and whether an object that is there is a whole one.
    """

    url: str
    kept: Any
    settings: dict[str, str]
    atomic: bool = True

    def damage(self, digest: str) -> None:
        """Put other bytes in an object's place."""
        self.delete(digest)
        if isinstance(self.kept, Path):
            (self.kept / key(digest)).write_bytes(b"damaged")
        else:
            self.kept.put_object(Key=key(digest), Body=b"damaged")

    def delete(self, digest: str) -> None:
        if isinstance(self.kept, Path):
            (self.kept / key(digest)).unlink()
        else:
            self.kept.Object(key(digest)).delete()

    def receives(self) -> bool:
        """Whether a push has begun: 1 MB of an object is there or, on S3, which shows whole ones only, an object."""
        if not isinstance(self.kept, Path):
            return bool(list(self.kept.objects.limit(1)))
        with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
            return any(path.stat().st_size > 2**20 for path in self.kept.rglob("*") if path.is_file())
        return False


def key(digest: str) -> str:
    """Where DVC puts an object, in its cache and on every remote."""
    return f"files/md5/{digest[:2]}/{digest[2:]}"


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
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def folder(place: Path) -> Iterator[Store]:
    yield Store(str(place), place, {})


@contextlib.contextmanager
def s3(place: Path) -> Iterator[Store]:
    for module in ("dvc_s3", "boto3", "moto", "flask_cors"):
        pytest.importorskip(module, reason=f"{module}: {MISSING}")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with running([sys.executable, "-m", "moto.server", "-p", str(port)], port, place / "s3.log"):
        import boto3  # comes with moto

        login = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        bucket = boto3.resource("s3", endpoint_url=endpoint, **login).Bucket("team")
        bucket.create()
        keys = {"access_key_id": "test", "secret_access_key": "test"}
        yield Store("s3://team", bucket, {"endpointurl": endpoint} | keys)


@contextlib.contextmanager
def ssh(place: Path) -> Iterator[Store]:
    pytest.importorskip("dvc_ssh", reason=f"dvc_ssh: {MISSING}")
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not sshd:
        pytest.skip("no sshd: Debian's package openssh-server has it")
    if os.geteuid() == 0 and not Path("/run/sshd").is_dir():
        pytest.skip("sshd, started by root, wants a folder /run/sshd")
    port = free_port()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True)
    (place / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nAuthorizedKeysFile {place}/user.pub\n"
        "PidFile none\nStrictModes no\nUsePAM no\nSubsystem sftp internal-sftp\n"
    )
    with running([sshd, "-D", "-e", "-f", place / "sshd_config"], port, place / "sshd.log"):
        login = {"user": getpass.getuser(), "port": str(port), "keyfile": str(place / "user")}
        yield Store(f"ssh://127.0.0.1{place}/remote", place / "remote", login)


@contextlib.contextmanager
def webdav(place: Path) -> Iterator[Store]:
    for module in ("dvc_webdav", "wsgidav", "cheroot"):
        pytest.importorskip(module, reason=f"{module}: {MISSING}")
    port = free_port()
    (place / "dav/remote").mkdir(parents=True)  # DVC does not make it
    command = ["wsgidav", "--host=127.0.0.1", f"--port={port}", f"--root={place / 'dav'}", "--auth=anonymous"]
    with running([*command, "--server=cheroot", "--no-config"], port, place / "dav.log"):
        yield Store(f"webdav://127.0.0.1:{port}/remote", place / "dav/remote", {}, atomic=False)
