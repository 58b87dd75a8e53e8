"""The server: answers by HTTP, texts of several requests in one call, limits, faulty requests, and its end."""

import contextlib
import json
import re
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import forking
import httpx2
import pytest
from commands import infer_command
from random_classifier import LABELS, TEXTS, save_random_classifier
from stores import free_port

from apps.serve import command
from apps.serve.app import Limits, Service
from classifier.errors import InputError
from classifier.files.digests import digest_of
from classifier.files.formats import table_of, write_table
from classifier.files.places import ADAPTER, VALIDATION
from classifier.predict.answers import named_parts, rounded
from classifier.predict.classifier import Classifier
from classifier.predict.explanation import explain_label
from classifier.tasks.task import TASKS

LIMITS = Limits(batch_size=32, max_texts=64, max_bytes=10_000, max_queue=64, time_limit=20.0)
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A function from a task, or "pairs", to a folder with models/ of it."""
    made = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            with contextlib.chdir(made[name]):
                if name == "pairs":
                    pairs = [*zip(TEXTS, TEXTS[::-1], strict=True)]
                    save_random_classifier("single-label", pairs, pair=True, token_types_after=3)
                else:
                    save_random_classifier(name)
        return made[name]

    return folder


@pytest.fixture
def model(folders, monkeypatch) -> None:
    """models/ of single labels, in the current folder."""
    monkeypatch.chdir(folders("single-label"))


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


@pytest.mark.parametrize("task", LABELS)
def test_answers_of_each_task(task, folders, monkeypatch):
    monkeypatch.chdir(folders(task))
    classifier = Classifier()
    with served(classifier) as client:
        answers = client.post("/predict", json={"texts": [*TEXTS[:20], " "]}).json()["answers"]
        assert answers == expected(classifier, [*TEXTS[:20], " "])
        assert [*answers[0]] == [*TASKS[task].ANSWER]
        assert [*answers[20].values()] == [None] * len(answers[0])
        assert client.post("/predict", json={"texts": TEXTS[3]}).json() == {"answers": expected(classifier, TEXTS[3:4])}
        form = client.get("/openapi.json").json()["components"]["schemas"]["Answer"]["properties"]
        kinds = {name: part["anyOf"][0] for name, part in form.items()}
        scalars = {"string": "string", "int64": "integer", "float32": "number", "float64": "number"}
        for name, kind in TASKS[task].ANSWER.items():
            is_list = kind.startswith("list<")
            assert kinds[name]["type"] == ("array" if is_list else scalars[kind])
            assert not is_list or kinds[name]["items"]["type"] == scalars[kind[5:-1]]


def test_a_threshold(model):
    with served(Classifier(min_confidence=1.0)) as client:
        assert client.get("/health").json()["sets"] is None
        answers = client.post("/predict", json={"texts": TEXTS[:3]}).json()["answers"]
        assert [answer["label"] for answer in answers] == ["uncertain"] * 3
        assert client.get("/health").json()["min_confidence"] == 1.0


def test_prediction_sets(model):
    """Each answer has one, and OpenAPI describes it. The validation rows are those that the model was calibrated to."""
    plain = Classifier()
    columns = plain.prediction_columns(plain.token_windows(TEXTS))
    unseen = plain.task.unseen_columns(columns, LABELS["single-label"][1], plain.names)
    write_table(VALIDATION, table_of(unseen))
    classifier = Classifier(sets=0.9)
    with served(classifier) as client:
        assert client.get("/health").json()["sets"] == 0.9
        answers = client.post("/predict", json={"texts": [*TEXTS, " "]}).json()["answers"]
        assert answers == expected(classifier, [*TEXTS, " "])
        assert ["bad", "good"] in [sorted(answer["set"]) for answer in answers[:-1]]
        form = client.get("/openapi.json").json()["components"]["schemas"]["Answer"]["properties"]["set"]
        assert form["anyOf"][0] == {"items": {"type": "string"}, "type": "array"}


def test_bf16(model):
    """The answers are those in bf16, the explanations those in fp32."""
    classifier, fp32 = Classifier(precision="bf16"), Classifier()
    with served(classifier, fp32) as client:
        assert client.get("/health").json()["precision"] == "bf16"
        answers = client.post("/predict", json={"texts": TEXTS[:20]}).json()["answers"]
        confidences = [answer["confidence"] for answer in answers]
        assert confidences == pytest.approx([confidence for _, confidence in classifier(TEXTS[:20])], abs=1e-3)
        found = client.post("/explain", json={"text": TEXTS[0]}).json()
    known = explain_label(fp32.model, fp32.tokenizer, TEXTS[0])
    assert found["confidence"] == pytest.approx(known.confidence, abs=1e-4)
    assert found["gap"] == pytest.approx(known.gap, abs=1e-3)


def test_pairs(folders, monkeypatch):
    monkeypatch.chdir(folders("pairs"))
    classifier, pairs = Classifier(), [[TEXTS[0], TEXTS[1]], [TEXTS[1], TEXTS[0]], ["a", " "]]
    with served(classifier) as client:
        answers = client.post("/predict", json={"texts": pairs}).json()["answers"]
        assert answers == expected(classifier, pairs)
        assert answers[2] == {"label": None, "confidence": None}
        found = client.post("/explain", json={"text": pairs[0]}).json()
        assert found["words"] == [*TEXTS[0].split(), "|", *TEXTS[1].split()]
        assert client.get("/health").json()["pairs"] is True
        for texts in (TEXTS[:2], TEXTS[0], [[*TEXTS[:3]]]):
            response = client.post("/predict", json={"texts": texts})
            assert response.status_code == 422
            assert response.json()["error"].startswith("texts")


@pytest.mark.parametrize("task", LABELS)
def test_explanations(task, folders, monkeypatch):
    monkeypatch.chdir(folders(task))
    classifier, number = Classifier(), "value" if task == "regression" else "confidence"
    with served(classifier) as client:
        for label in (None, classifier.names[0]):
            found = client.post("/explain", json={"text": TEXTS[0], "label": label}).json()
            known = explain_label(classifier.model, classifier.tokenizer, TEXTS[0], label)
            assert (found["label"], found["words"], found["marked"]) == (known.label, known.words, known.text)
            assert found[number] == rounded(known.confidence, number)
            assert found["attributions"] == rounded(known.attributions, "attributions")
            assert found["difference"] == rounded(known.difference, "difference")
        for body, problem in (
            ({"text": " "}, "text: has nothing to read; send a text with words"),
            ({"text": "[SEP]"}, "text: has nothing to read; send a text with words"),
            ({"text": "good", "label": "x"}, f"the model has no label 'x' to explain; its labels are {known.label}"),
            ({"texts": ["good"]}, "text: field required; see /docs for the form of a request"),
        ):
            response = client.post("/explain", json=body)
            assert (response.status_code, response.json()["error"][: len(problem)]) == (422, problem)


def posted(client, pool: ThreadPoolExecutor, texts: list[str], path: str = "/predict"):
    """Post texts in another thread; return the future of the response."""
    return pool.submit(client.post, path, json={"texts": texts})


@pytest.mark.parametrize(("batch_size", "sizes"), [(32, [1, 12]), (5, [1, 3, 5, 4]), (1, [1, 3, 5, 4])])
def test_waiting_texts_are_scored_together(model, batch_size, sizes):
    """While a call runs, three requests come, with 3 to 5 texts. The texts of a request stay together."""
    classifier = Gated()
    with served(classifier, batch_size=batch_size) as client, ThreadPoolExecutor() as pool:
        first = posted(client, pool, ["good film"])
        until(lambda: classifier.calls)
        others = []
        for number, count in enumerate((3, 5, 4)):
            others.append((start := 10 * number, posted(client, pool, TEXTS[start : start + count])))
            until(lambda: len(client.service.jobs.jobs) == len(others))
        assert client.get("/metrics").text.count("classifier_waiting_texts 12.0") == 1
        classifier.gate.set()
        assert first.result().json()["answers"] == expected(classifier, ["good film"])
        for start, response in others:
            answers = response.result().json()["answers"]
            assert answers == expected(classifier, TEXTS[start : start + len(answers)])
        assert [len(texts) for texts in classifier.calls] == sizes
        metrics = client.get("/metrics").text
        assert f"classifier_batch_texts_count {len(sizes)}.0" in metrics
        assert "classifier_batch_texts_sum 13.0" in metrics
        assert 'classifier_requests_total{path="/predict",status="200"} 4.0' in metrics


def test_texts_of_similar_length_share_a_pass(model, monkeypatch):
    """Of a call, at most 100 characters with padding are scored in a pass; a longer text has a pass of its own."""
    monkeypatch.setattr("apps.serve.app.CHARACTERS", 100)
    classifier, texts = Gated(), ["good", "bad " * 30, "fun " * 10, "", "fine " * 9, "dull"]
    classifier.gate.set()
    with served(classifier) as client:
        answers = client.post("/predict", json={"texts": texts}).json()["answers"]
        assert classifier.calls == [[texts[1]], [texts[4], texts[2]], [texts[0], texts[5], texts[3]]]
        assert answers == expected(classifier, texts)
        assert "classifier_batch_texts_count 1.0" in client.get("/metrics").text


def test_a_text_fails_no_request_but_its_own(model, capsys):
    classifier = Gated()
    with served(classifier) as client, ThreadPoolExecutor() as pool:
        first = posted(client, pool, ["good film"])
        until(lambda: classifier.calls)
        poisoned, good = posted(client, pool, ["fine", "poison"]), posted(client, pool, TEXTS[:3])
        until(lambda: len(client.service.jobs.jobs) == 2)
        classifier.gate.set()
        assert first.result().status_code == 200
        assert good.result().json()["answers"] == expected(classifier, TEXTS[:3])
        response = poisoned.result()
        assert (response.status_code, response.json()) == (500, {"error": "internal error"})
        assert client.get("/health").json()["status"] == "ready"
        assert 'path="/predict",status="500"} 1.0' in client.get("/metrics").text
    assert "RuntimeError: a secret" in capsys.readouterr().err


FAULTS = [
    (b"", {}, 400, "invalid JSON: EOF while parsing a value at line 1 column 0; send the body as JSON in UTF-8"),
    (b'{"texts": ["a"', {}, 400, "invalid JSON: EOF while parsing a list"),
    (b'{"texts": ["\xff"]}', {}, 400, "invalid JSON: invalid unicode code point"),
    ('{"texts": ["a"]}'.encode("utf-16"), {}, 400, "invalid JSON: expected value"),
    (b'{"texts": ["\\ud83d"]}', {}, 400, "invalid JSON: "),
    (b"[" * 9000, {}, 400, "invalid JSON: recursion limit exceeded"),
    (b'{"texts": ["a"]}', {"Content-Type": "text/plain"}, 415, "the body should be JSON; send the header"),
    (b'["a"]', {}, 422, "the body: input should be an object; see /docs for the form of a request"),
    (b"{}", {}, 422, "texts: field required"),
    (b'{"texts": []}', {}, 422, "texts: list should have at least 1 item"),
    (b'{"texts": null}', {}, 422, "texts: input should be a valid array"),
    (b'{"texts": ["a", 5]}', {}, 422, "texts.1: input should be a valid string"),
    (b'{"texts": ["a", null]}', {}, 422, "texts.1: input should be a valid string"),
    (b'{"texts": ["a"], "text": "b"}', {}, 422, "text: extra inputs are not permitted"),
    (json.dumps({"texts": ["a"] * 65}).encode(), {}, 422, "texts: list should have at most 64 items"),
    (json.dumps({"texts": ["a" * 10_000]}).encode(), {}, 413, "the body has more than 10,000 bytes; send fewer texts"),
    (json.dumps({"texts": ["a" * 10**6]}).encode(), {}, 413, "the body has more than 10,000 bytes; send fewer texts"),
]


@pytest.fixture(scope="module")
def client(folders):
    """A client of a server of single labels, for tests that leave no trace in it."""
    with contextlib.chdir(folders("single-label")), served(Classifier()) as client:
        yield client


@pytest.mark.parametrize(("body", "headers", "status", "problem"), FAULTS)
def test_faulty_requests(client, body, headers, status, problem):
    response = client.post("/predict", content=body, headers=JSON | headers)
    error = response.json()["error"]
    assert (response.status_code, error[: len(problem)]) == (status, problem)
    assert len(error.splitlines()) == 1
    assert client.post("/predict", json={"texts": "good"}).status_code == 200


def test_a_large_body_without_its_length(client):
    """The server counts what it reads, whatever the header says."""
    response = client.post("/predict", content=(b"a" * 1000 for _ in range(50)), headers=JSON)
    assert "content-length" not in response.request.headers
    assert response.status_code == 413


def test_texts_of_any_characters(client):
    texts = ["\U0001f600 good", "a\0b", "\u202egood", "good\u2028film", "<b>", "\uff47ood"]
    answers = client.post("/predict", content=json.dumps({"texts": texts}), headers=JSON).json()["answers"]
    assert answers == expected(client.service.classifier, texts)


def test_other_paths_and_methods(client):
    for method, path, status, problem in (
        ("GET", "/nothing", 404, "GET /nothing: not found; see /docs"),
        ("GET", "/predict", 405, "GET /predict: method not allowed; see /docs"),
        ("DELETE", "/explain", 405, "DELETE /explain: method not allowed; see /docs"),
    ):
        response = client.request(method, path)
        assert (response.status_code, response.json()) == (status, {"error": problem})


def test_the_page_of_the_interface_needs_no_network(client):
    page = client.get("/docs").text
    parts = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(parts) == 3
    for part in parts:
        assert part.startswith("/")
        assert client.get(part).status_code == 200


def test_health_names_the_model_that_was_loaded(client, folders):
    health = client.get("/health").json()
    assert health["status"] == "ready"
    assert (health["task"], health["labels"], health["pairs"]) == ("single-label", ["bad", "good"], False)
    assert (health["trained"]["dataset"], health["trained"]["method"]) == ("mine", "lora")
    with contextlib.chdir(folders("single-label")):
        assert health["digest"] == digest_of({}, [ADAPTER])


def test_overload(model):
    classifier = Gated()
    with served(classifier, max_queue=4, max_texts=4) as client, ThreadPoolExecutor() as pool:
        running = posted(client, pool, ["good"])
        until(lambda: classifier.calls)
        waiting = posted(client, pool, TEXTS[:3])
        until(lambda: client.service.jobs.weight == 3)
        response = client.post("/predict", json={"texts": TEXTS[:2]})
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert response.json() == {"error": "too many texts wait; try again in 1 s"}
        assert client.get("/health").json()["status"] == "ready"
        more = posted(client, pool, ["bad"])
        until(lambda: client.service.jobs.weight == 4)
        assert (client.get("/health").status_code, client.get("/health").json()["status"]) == (503, "full")
        assert client.post("/explain", json={"text": "good"}).status_code == 503
        classifier.gate.set()
        assert [response.result().status_code for response in (running, waiting, more)] == [200] * 3
        assert client.get("/health").json()["status"] == "ready"


def test_requests_that_send_their_body_slowly_count_too(model):
    with served(Classifier(), max_queue=2, max_texts=2) as client, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(half_sent(client.base_url.port))
        until(lambda: client.service.requests == 2)
        assert client.post("/predict", json={"texts": "good"}).status_code == 503
        stack.close()
        until(lambda: client.service.requests == 0)
        assert client.post("/predict", json={"texts": "good"}).status_code == 200
        assert 'path="/predict",status="499"} 2.0' in client.get("/metrics").text


def test_the_time_of_a_request_ends(model):
    """The texts that nobody waits for are not scored, and the call that runs is stopped."""
    classifier = Gated()
    with served(classifier, time_limit=1.0, max_queue=128) as client, ThreadPoolExecutor() as pool:
        responses = [posted(client, pool, ["good"])]
        until(lambda: classifier.calls)
        responses += [posted(client, pool, ["bad"]), pool.submit(client.post, "/explain", json={"text": "bad"})]
        with half_sent(client.base_url.port) as connection:
            answer = connection.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 504 ")
        for response in (response.result() for response in responses):
            assert response.status_code == 504
            assert response.json()["error"].startswith("no answer within 1 s; send fewer or shorter texts")
        assert client.service.jobs.weight == 0
        classifier.gate.set()
        assert client.post("/predict", json={"texts": "fine"}).status_code == 200
        assert classifier.calls == [["good"], ["fine"]]
        assert classifier.finished == 1


def test_a_client_that_is_gone_leaves_no_work(model):
    classifier = Gated()
    with served(classifier) as client, contextlib.ExitStack() as stack:
        for count in range(3):
            connection = stack.enter_context(half_sent(client.base_url.port))
            connection.sendall(b' "good"]}')
            until(partial(has_come, classifier, client, count + 1))
        assert client.service.jobs.weight == 2
        stack.close()
        until(lambda: client.service.requests == 0)
        assert client.service.jobs.weight == 0
        classifier.gate.set()
        assert client.post("/predict", json={"texts": "fine"}).status_code == 200
        assert classifier.calls == [["good"], ["fine"]]
        assert classifier.finished == 1


def has_come(classifier: Gated, client, count: int) -> bool:
    """Return whether so many requests run or wait."""
    return len(classifier.calls) + len(client.service.jobs.jobs) == count


def test_an_explanation_stops_when_nobody_waits(model, monkeypatch):
    """The explanation begins, its client goes, and its next forward pass ends it."""
    begun, gone = threading.Event(), threading.Event()

    def slow(network, *args):
        begun.set()
        assert gone.wait(20)
        network(input_ids=network.dummy_inputs["input_ids"])
        finished.append(True)

    finished = []
    monkeypatch.setattr("apps.serve.app.explain_label", slow)
    with served(Classifier()) as client:
        connection = half_sent(client.base_url.port, b"POST /explain", b'{"text": "good"}', 0)
        assert begun.wait(20)
        connection.close()
        until(lambda: client.service.requests == 0)
        gone.set()
        assert client.post("/predict", json={"texts": "fine"}).status_code == 200
    assert finished == []


def half_sent(port: int, start: bytes = b"POST /predict", body: bytes = b'{"texts": [', missing: int = 9):
    """Open a connection, and send a request of which some bytes are missing."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    head = b"%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    connection.sendall(head % (start, len(body) + missing) + body)
    return connection


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end(model, number):
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


def test_the_end_does_not_wait_for_a_slow_client(model):
    with serving("--time-limit", "0.5") as (process, port), half_sent(port) as connection:
        until(lambda: b"200 OK" in raw(port, b"GET /health"))
        process.terminate()
        assert process.wait(10) == 0
        assert connection.recv(10_000).startswith(b"HTTP/1.1 504 ")


def test_faulty_connections_leave_no_traceback(model):
    with serving("--min-confidence", "0.5") as (_, port):
        for content in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\n\xff\r\n\r\n", b"POST /predict HTTP/1.1\r\n"):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(content)
        half_sent(port).close()
        half_sent(port, body=b'{"texts": ["good"]}', missing=0).close()
        half_sent(port, b"POST /explain", b'{"text": "good"}', 0).close()
        assert b"200 OK" in raw(port, b"GET /health")


def raw(port: int, start: bytes) -> bytes:
    """Return the response to a request without a body; b"" if the connection is refused or cut."""
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(start + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return connection.recv(10_000)
    return b""


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


def test_refusals_at_the_start(model, tmp_path, monkeypatch):
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
