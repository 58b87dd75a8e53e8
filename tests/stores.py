"""Storage for DVC remotes, on real servers that run on this machine: a folder, S3, SSH and WebDAV."""

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

NOT_INSTALLED = "not installed; make test-scale installs it"


class Store(NamedTuple):
    """A store for a DVC remote.

    Args:
        url: address of the remote.
        kept: where the server keeps the objects: a folder, or a bucket of boto3.
        settings: options for `dvc remote modify`.
        atomic: whether an object is visible only once it is complete.
    """

    url: str
    kept: Any
    settings: dict[str, str]
    atomic: bool = True

    def damage(self, digest: str) -> None:
        """Overwrite an object with other bytes."""
        self.delete(digest)
        if isinstance(self.kept, Path):
            (self.kept / key(digest)).write_bytes(b"damaged")
        else:
            self.kept.put_object(Key=key(digest), Body=b"damaged")

    def delete(self, digest: str) -> None:
        """Delete an object."""
        if isinstance(self.kept, Path):
            (self.kept / key(digest)).unlink()
        else:
            self.kept.Object(key(digest)).delete()

    def receives(self) -> bool:
        """Return whether a push has begun: 1 MB of an object has arrived or, on S3, a complete object."""
        if not isinstance(self.kept, Path):
            return bool(list(self.kept.objects.limit(1)))
        with contextlib.suppress(FileNotFoundError):  # the file was renamed after the listing
            return any(path.stat().st_size > 2**20 for path in self.kept.rglob("*") if path.is_file())
        return False


def key(digest: str) -> str:
    """Return the path of an object in DVC's cache and on every remote."""
    return f"files/md5/{digest[:2]}/{digest[2:]}"


def free_port() -> int:
    """Return the number of a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def running(command: list, port: int, log: Path) -> Iterator[None]:
    """Run a server: the block begins when the server accepts connections, and the server ends with the block."""
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
    """A folder, without a server. (The functions below start a server whose files are in `place`.)"""
    yield Store(str(place), place, {})


@contextlib.contextmanager
def s3(place: Path) -> Iterator[Store]:
    for module in ("dvc_s3", "boto3", "moto", "flask_cors"):
        pytest.importorskip(module, reason=f"{module}: {NOT_INSTALLED}")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with running([sys.executable, "-m", "moto.server", "-p", str(port)], port, place / "s3.log"):
        import boto3  # moto depends on boto3

        login = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        bucket = boto3.resource("s3", endpoint_url=endpoint, **login).Bucket("team")
        bucket.create()
        keys = {"access_key_id": "test", "secret_access_key": "test"}
        yield Store("s3://team", bucket, {"endpointurl": endpoint} | keys)


@contextlib.contextmanager
def ssh(place: Path) -> Iterator[Store]:
    pytest.importorskip("dvc_ssh", reason=f"dvc_ssh: {NOT_INSTALLED}")
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not sshd:
        pytest.skip("sshd is not installed; it is in Debian's package openssh-server")
    if os.geteuid() == 0 and not Path("/run/sshd").is_dir():
        pytest.skip("sshd needs the folder /run/sshd if root starts it")
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
        pytest.importorskip(module, reason=f"{module}: {NOT_INSTALLED}")
    port = free_port()
    (place / "dav/remote").mkdir(parents=True)  # DVC does not create it
    command = ["wsgidav", "--host=127.0.0.1", f"--port={port}", f"--root={place / 'dav'}", "--auth=anonymous"]
    with running([*command, "--server=cheroot", "--no-config"], port, place / "dav.log"):
        yield Store(f"webdav://127.0.0.1:{port}/remote", place / "dav/remote", {}, atomic=False)
