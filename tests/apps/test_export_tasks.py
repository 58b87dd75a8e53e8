"""`make export` of each task: transformers and ONNX answer as `Classifier` does, and the card says how to use them."""

import re
from pathlib import Path

import numpy as np
import pytest
from encoders import peft_defaults, write_encoder
from tiny import reviews

from apps import export
from classifier.evaluation.metrics import rounded
from classifier.evaluation.scored import Scored
from classifier.evaluation.tasks.task import MEASURES
from classifier.predict.classifier import Classifier
from classifier.tasks.task import TASKS

TEXTS = [text for text, _ in reviews(60, seed=3)]
DRAW = np.random.default_rng(0)
LABELS = {
    "single-label": (["bad", "good"], DRAW.integers(2, size=60)),
    "multi-label": (["film", "plot", "fun"], DRAW.integers(2, size=(60, 3)).astype(np.uint8)),
    "regression": (["price"], DRAW.normal(50, 20, 60)),
    "ordinal": (["1", "2", "3"], DRAW.integers(3, size=60)),
}


@pytest.fixture(scope="module", params=LABELS)
def exported(request, tmp_path_factory) -> tuple[str, Path]:
    """Return a task, and a folder with models/ of it: a random classifier, calibrated and exported."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        save_random_classifier(request.param)
        export.export()
    return request.param, folder


@pytest.fixture
def task(exported, monkeypatch) -> str:
    """The name of a task, with models/ of it in the current folder."""
    monkeypatch.chdir(exported[1])
    return exported[0]


def save_random_classifier(name: str) -> None:
    """Write models/base and models/adapter for a task."""
    import torch
    from transformers import AutoTokenizer

    from classifier.model.adapters import apply_method
    from classifier.model.build import build_classifier
    from classifier.model.forward import logits, silence_libraries
    from classifier.model.saving import save_classifier
    from classifier.params.catalogue import Method
    from classifier.text.encoding import encode
    from classifier.training.calibration import calibrate

    silence_libraries()
    write_encoder("bert")
    names, labels = LABELS[name]
    model, head = build_classifier(names, dropout=0.0, problem_type=TASKS[name].PROBLEM_TYPE)
    model = apply_method(model, head, Method(peft={"peft_type": "LORA", "r": 4}), peft_defaults("bert"), 10).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:  # a new adapter is zero
                parameter.normal_(std=0.3)
    tokenize = {"max_length": 60, "truncation": "head", "windows": 1, "strip_markup": False}
    windows = encode(TEXTS, AutoTokenizer.from_pretrained("models/base"), **tokenize)
    raw = logits(model, [np.array(ids) for (ids,) in windows])
    temperature, bias = calibrate(model, raw, labels, TASKS[name])
    settings = {
        **{"task": name, "columns": ["text"], "separator": "\n", "tokenize": tokenize},
        **{"calibration_temperature": np.asarray(temperature).tolist(), "calibration_bias": bias.tolist()},
        "decision": TASKS[name].decide(raw / temperature + bias, labels),
        "trained": {"dataset": "mine", "model": "tiny", "method": "lora", "texts": 60, "parameters": 9}
        | {"trainable_parameters": 3},
    }
    save_classifier(model, settings)


def use_of(card: str) -> dict:
    """Run the code under Use of a card on the first text; return its names, and the last line's value as `last`."""
    (code,) = re.findall(r"## Use\n\n```python\n(.*?)```", card, re.DOTALL)
    *lines, last = code.replace('"I would watch it again tomorrow."', repr(TEXTS[0])).splitlines()
    names = {}
    exec("\n".join([*lines, last if " = " in last else f"last = {last}"]), names)
    return names


def test_transformers_and_onnx_answer_as_the_classifier(task):
    import onnxruntime
    from transformers import AutoTokenizer, pipeline

    classifier = Classifier()
    columns = classifier.prediction_columns(classifier.token_windows(TEXTS))
    classify = pipeline("text-classification", model="models/export")
    assert classify.model.config.decision == classifier.model.config.decision
    answers = [{one["label"]: one["score"] for one in scores} for scores in classify(TEXTS, top_k=None)]
    for name in classifier.names:
        expected = columns.get(f"probability_{name}", columns["predicted"])
        np.testing.assert_allclose([answer[name] for answer in answers], expected, rtol=1e-3, atol=1e-4)

    session = onnxruntime.InferenceSession("models/export/model.onnx")
    batch = AutoTokenizer.from_pretrained("models/export")(TEXTS, padding=True, return_tensors="np")
    (logits,) = session.run(["logits"], {name: array.astype(np.int64) for name, array in batch.items()})
    scores = classifier.scores(classifier.token_windows(TEXTS))
    np.testing.assert_allclose(logits, scores, rtol=1e-3, atol=1e-3)


def test_the_code_of_the_card(task):
    answer = dict(zip(TASKS[task].ANSWER, Classifier()(TEXTS[0]), strict=True))
    names = use_of(Path("models/export/README.md").read_text())
    if task == "single-label":
        assert names["last"] == [{"label": answer["label"], "score": pytest.approx(answer["confidence"], abs=1e-4)}]
    if task == "multi-label":
        assert len(set(names["thresholds"].values()) - {0.5}) > 1
        assert names["last"] == answer["labels"]
    if task == "regression":
        assert names["value"] == pytest.approx(answer["value"], rel=1e-4)
        assert names["last"] == pytest.approx((answer["low"], answer["high"]), rel=1e-3)
    if task == "ordinal":
        assert names["rating"] == str(answer["rating"])
        assert names["expected_value"] == pytest.approx(answer["expected_value"], abs=1e-3)


@pytest.mark.parametrize("learned", [True, False])
def test_the_results_on_the_card(task, learned):
    from huggingface_hub import ModelCard

    classifier, (names, labels) = Classifier(), LABELS[task]
    scores = classifier.scores(classifier.token_windows(TEXTS))
    baseline = np.full_like(labels, TASKS[task].guess(labels))
    decision = classifier.model.config.decision
    scored = Scored(TASKS[task], names, labels, scores, scores, decision, baseline, learned, None, 10)
    measures = MEASURES[task]
    evaluate = rounded(measures.metrics(scored) | measures.against_baseline(scored)) | {"n": 60}
    data = {"official_test": True, "test": 60, "test_available": 60}
    card = ModelCard(export.model_card(classifier.model.config, evaluate, data))
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results == {name: evaluate[name] for name in measures.CARD.values() if name in evaluate}
    assert measures.HEADLINE in results
    rows = [line.split(" | ")[0] for line in card.text.splitlines() if line.startswith("| ")]
    assert rows[0] == "| metric"
    assert rows[1:-1] == [f"| {words}" for words, name in measures.CARD.items() if name in evaluate]
    assert rows[-1].endswith(" on the same texts")
    assert ("TF-IDF" in rows[-1]) == learned


def test_without_an_interval(task):
    config = Classifier().model.config
    config.decision = dict.fromkeys(config.decision)  # as if the validation texts were too few for a margin
    assert "margin" not in export.model_card(config, None, None)
