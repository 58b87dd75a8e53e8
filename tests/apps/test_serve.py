"""The server's answers: of each task, in pairs, sets, bf16, and explanations."""

import pytest
from random_classifier import LABELS, TEXTS
from served import expected, served

from classifier.files.formats import table_of, write_table
from classifier.files.places import VALIDATION
from classifier.predict.answers import rounded
from classifier.predict.classifier import Classifier
from classifier.predict.explanation import explain_label
from classifier.tasks.task import TASKS


@pytest.mark.parametrize("task", LABELS)
def test_answers_of_each_task(task, random_models, monkeypatch):
    monkeypatch.chdir(random_models(task))
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


def test_a_threshold(random_model):
    with served(Classifier(min_confidence=1.0)) as client:
        assert client.get("/health").json()["sets"] is None
        answers = client.post("/predict", json={"texts": TEXTS[:3]}).json()["answers"]
        assert [answer["label"] for answer in answers] == ["uncertain"] * 3
        assert client.get("/health").json()["min_confidence"] == 1.0


def test_prediction_sets(random_model):
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


def test_bf16(random_model):
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


def test_pairs(random_models, monkeypatch):
    monkeypatch.chdir(random_models("pairs"))
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
def test_explanations(task, random_models, monkeypatch):
    monkeypatch.chdir(random_models(task))
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
