"""Many requests at once: texts that are scored together, limits, and clients that are gone."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from random_classifier import TEXTS
from served import Gated, expected, half_sent, posted, served, until

from classifier.predict.classifier import Classifier


@pytest.mark.parametrize(("batch_size", "sizes"), [(32, [1, 12]), (5, [1, 3, 5, 4]), (1, [1, 3, 5, 4])])
def test_waiting_texts_are_scored_together(random_model, batch_size, sizes):
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


def test_texts_of_similar_length_share_a_pass(random_model, monkeypatch):
    """Of a call, at most 100 characters with padding are scored in a pass; a longer text has a pass of its own."""
    monkeypatch.setattr("apps.serve.app.CHARACTERS", 100)
    classifier, texts = Gated(), ["good", "bad " * 30, "fun " * 10, "", "fine " * 9, "dull"]
    classifier.gate.set()
    with served(classifier) as client:
        answers = client.post("/predict", json={"texts": texts}).json()["answers"]
        assert classifier.calls == [[texts[1]], [texts[4], texts[2]], [texts[0], texts[5], texts[3]]]
        assert answers == expected(classifier, texts)
        assert "classifier_batch_texts_count 1.0" in client.get("/metrics").text


def test_a_text_fails_no_request_but_its_own(random_model, capsys):
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


def test_overload(random_model):
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


def test_requests_that_send_their_body_slowly_count_too(random_model):
    with served(Classifier(), max_queue=2, max_texts=2) as client, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(half_sent(client.base_url.port))
        until(lambda: client.service.requests == 2)
        assert client.post("/predict", json={"texts": "good"}).status_code == 503
        stack.close()
        until(lambda: client.service.requests == 0)
        assert client.post("/predict", json={"texts": "good"}).status_code == 200
        assert 'path="/predict",status="499"} 2.0' in client.get("/metrics").text


def test_the_time_of_a_request_ends(random_model):
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


def test_a_client_that_is_gone_leaves_no_work(random_model):
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


def test_an_explanation_stops_when_nobody_waits(random_model, monkeypatch):
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
