"""Requests to the server that are faulty or unusual, and its pages."""

import contextlib
import json
import re

import pytest
from served import JSON, expected, served

from classifier.files.digests import digest_of
from classifier.files.places import ADAPTER
from classifier.predict.classifier import Classifier

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
def client(random_models):
    """A client of a server of single labels, for tests that leave no trace in it."""
    with contextlib.chdir(random_models("single-label")), served(Classifier()) as client:
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


def test_health_names_the_model_that_was_loaded(client, random_models):
    health = client.get("/health").json()
    assert health["status"] == "ready"
    assert (health["task"], health["labels"], health["pairs"]) == ("single-label", ["bad", "good"], False)
    assert (health["trained"]["dataset"], health["trained"]["method"]) == ("mine", "lora")
    with contextlib.chdir(random_models("single-label")):
        assert health["digest"] == digest_of({}, [ADAPTER])
