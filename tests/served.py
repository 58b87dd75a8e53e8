"""A server of a classifier, in a thread or a process, and requests to it."""

import contextlib
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import forking
import httpx2
import pytest

from apps.serve import command
from apps.serve.app import Limits, Service
from classifier.predict.answers import named_parts
from classifier.predict.classifier import Classifier

LIMITS = Limits(batch_size=32, max_texts=64, max_bytes=10_000, max_queue=64, time_limit=20.0)


JSON = {"Content-Type": "application/json"}


class Gated(Classifier):
    """A classifier whose calls wait at a gate, and which notes the texts of each call.

    A call fails if one of its texts is "poison".
    """

    def __init__(self):
        super().__init__()
        self.gate, self.calls, self.finished = threading.Event(), [], 0

    def __call__(self, texts):
        self.calls.append(texts)
        assert self.gate.wait(20)
        if "poison" in texts:
            raise RuntimeError("a secret")
        answers = super().__call__(texts)
        self.finished += 1
        return answers


@contextlib.contextmanager
def served(classifier: Classifier, explaining: Classifier | None = None, **limits):
    """Serve a classifier in a thread of this process; yield a client."""
    service = Service(classifier, explaining or classifier, LIMITS._replace(**limits))
    server = command.web_server(service.app(), service.limits.time_limit)
    with command.listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
                client.service = service
                client.get("/health").raise_for_status()
                yield client
        finally:
            if isinstance(classifier, Gated):
                classifier.gate.set()
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive()
    assert server.server_state.tasks == set()


def until(reached) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def near(value):
    """A part of an answer for a comparison to three decimals: the last digits depend on the texts of a call."""
    numbers = value if isinstance(value, list) else [value]
    return pytest.approx(value, abs=2e-3) if any(isinstance(number, float) for number in numbers) else value


def expected(classifier: Classifier, texts: list) -> list[dict]:
    """Return the answers that the server should give."""
    named = [named_parts(classifier.parts, answer) for answer in Classifier.__call__(classifier, texts)]
    return [{name: near(value) for name, value in answer.items()} for answer in named]


def posted(client, pool: ThreadPoolExecutor, texts: list[str], path: str = "/predict"):
    """Post texts in another thread; return the future of the response."""
    return pool.submit(client.post, path, json={"texts": texts})


def half_sent(port: int, start: bytes = b"POST /predict", body: bytes = b'{"texts": [', missing: int = 9):
    """Open a connection, and send a request of which some bytes are missing."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    head = b"%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    connection.sendall(head % (start, len(body) + missing) + body)
    return connection


def raw(port: int, start: bytes) -> bytes:
    """Return the response to a request without a body; b"" if the connection is refused or cut."""
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(start + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return connection.recv(10_000)
    return b""


@contextlib.contextmanager
def serving(*options: str):
    """Run `python -m apps.serve` on a free port; yield (process, port). Its log must show no traceback."""
    with open("out", "w+") as out, open("err", "w+") as err:
        process = forking.start("apps.serve", ["--port", "0", *options], out, err)
        try:
            until(lambda: process.poll() is not None or "\n" in Path("out").read_text())
            assert process.poll() is None, Path("err").read_text()
            address = re.fullmatch(r"serve: http://127\.0\.0\.1:(\d+); its interface: /docs\n", Path("out").read_text())
            yield process, int(address[1])
        finally:
            process.kill()
    assert "Traceback" not in Path("err").read_text()
