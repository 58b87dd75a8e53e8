"""The process `python -m apps.serve`: what it refuses at its start, its connections, and its end."""

import json
import signal
import socket
import sys
from functools import partial

import forking
import pytest
from commands import infer_command
from served import half_sent, raw, serving, until
from stores import free_port

from apps.serve import command
from classifier.errors import InputError


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end(random_model, number):
    """A request that has begun is answered, another one is refused, and the status is 0."""
    with serving() as (process, port), half_sent(port) as connection:
        until(lambda: b"200 OK" in raw(port, b"GET /health"))
        forking.os.kill(process.pid, number)
        until(lambda: raw(port, b"GET /health") == b"")
        connection.sendall(b' "good"]}')
        head, body = b"".join(iter(partial(connection.recv, 10_000), b"")).split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert json.loads(body)["answers"][0]["label"] in ("bad", "good")
        assert process.wait(20) == 0


def test_the_end_does_not_wait_for_a_slow_client(random_model):
    with serving("--time-limit", "0.5") as (process, port), half_sent(port) as connection:
        until(lambda: b"200 OK" in raw(port, b"GET /health"))
        process.terminate()
        assert process.wait(10) == 0
        assert connection.recv(10_000).startswith(b"HTTP/1.1 504 ")


def test_faulty_connections_leave_no_traceback(random_model):
    with serving("--min-confidence", "0.5") as (_, port):
        for content in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\n\xff\r\n\r\n", b"POST /predict HTTP/1.1\r\n"):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(content)
        half_sent(port).close()
        half_sent(port, body=b'{"texts": ["good"]}', missing=0).close()
        half_sent(port, b"POST /explain", b'{"text": "good"}', 0).close()
        assert b"200 OK" in raw(port, b"GET /health")


def test_a_response_is_sent_at_once():
    """Nagle's algorithm is off: with it, a client waits 40 ms for the body after the head."""
    with command.listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def refused(*options: str) -> str:
    """Return the line with which `python -m apps.serve` ends."""
    status, out, err = forking.run_module("apps.serve", options)
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    return err


def test_refusals_at_the_start(random_model, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = f"serve: 127.0.0.1, port {port}: Address already in use; choose another --host or --port\n"
        assert refused("--port", str(port)) == line
    assert refused("--min-confidence", "2").startswith("serve: --min-confidence 2: should be a number from 0 to 1")
    line = "serve: --max-texts 128: is above --max-queue 100; lower it or raise the other\n"
    assert refused("--max-queue", "100") == line
    monkeypatch.chdir(tmp_path)
    port = str(free_port())
    assert refused("--port", port).split(": ", 1)[1] == infer_command("good", ok=False).split(": ", 1)[1]


def test_the_group_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    for name in ("app", "errors", "forms"):
        monkeypatch.delitem(sys.modules, f"apps.serve.{name}", raising=False)
    monkeypatch.delattr("apps.serve.app", raising=False)
    with pytest.raises(InputError) as error:
        command.imported_app()
    line = "fastapi is not installed; `uv pip install --group serve -c requirements.txt` installs it"
    assert str(error.value) == line
