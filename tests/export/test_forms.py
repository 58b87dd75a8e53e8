"""The forms of each task: transformers and ONNX answer as `Classifier` does, and the card says how to use them."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from exports import DATA, card_of, compared, write_export
from random_classifier import LABELS, TEXTS, save_random_classifier
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors

from classifier.evaluation.metrics import rounded
from classifier.evaluation.scored import Scored
from classifier.evaluation.tasks.task import MEASURES
from classifier.export import forms
from classifier.export.forms import FORMS, OnnxModel
from classifier.files.places import EXPORT
from classifier.model.forward import logits
from classifier.predict.classifier import Classifier
from classifier.tasks.task import TASKS

TOLERANCES = {"transformers": 1e-3, "onnx": 1e-3, "bf16": 0.3, "int8": 0.3}  # of the scores' spread


@pytest.fixture(scope="module", params=LABELS)
def exported(request, tmp_path_factory) -> tuple[str, Path]:
    """Return a task, and a folder with models/ of it: a random classifier, calibrated and exported."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        save_random_classifier(request.param)
        write_export()
    return request.param, folder


@pytest.fixture
def task(exported, monkeypatch) -> str:
    """The name of a task, with models/ of it in the current folder."""
    monkeypatch.chdir(exported[1])
    return exported[0]


def scores_of(classifier: Classifier) -> np.ndarray:
    """Return the scores of TEXTS, (texts, labels)."""
    return classifier.scores(classifier.token_windows(TEXTS))


def evaluated(task: str, learned: bool) -> tuple[Classifier, dict]:
    """Return the classifier, and its metrics/evaluate.json on TEXTS."""
    classifier, (names, labels) = Classifier(), LABELS[task]
    scores = scores_of(classifier)
    baseline = np.full_like(labels, TASKS[task].guess(labels))
    decision = classifier.model.config.decision
    scored = Scored(TASKS[task], names, labels, scores, scores, decision, baseline, learned, None, 10)
    measures, found = MEASURES[task], {"slices": {}, "above_threshold": {"target": 0.95}}
    found["sets"] = {"target": 0.95, "validation_texts_needed": 59}
    return classifier, rounded(measures.metrics(scored) | measures.against_baseline(scored)) | {"n": 60} | found


def use_of(card: str) -> dict:
    """Run the code under Use of a card on the first text; return its names, and the last line's value as `last`."""
    (code,) = re.findall(r"## Use\n\n```python\n(.*?)```", card, re.DOTALL)
    *lines, last = code.replace('"I would watch it again tomorrow."', repr(TEXTS[0])).splitlines()
    names = {}
    exec("\n".join([*lines, last if " = " in last else f"last = {last}"]), names)
    return names


def check_near(scores: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Check that the first texts' scores differ from the expected ones by less than a share of these texts' spread.

    scores: (texts or fewer, labels). expected: (texts, labels).
    """
    gaps = np.square(scores - expected[: len(scores)]).sum(axis=1).mean()
    assert gaps <= tolerance**2 * np.square(expected - expected.mean(axis=0)).sum(axis=1).mean()


def test_pipeline_of_transformers_answers_as_the_classifier(task):
    from transformers import pipeline

    classifier = Classifier()
    columns = classifier.prediction_columns(classifier.token_windows(TEXTS))
    classify = pipeline("text-classification", model="models/export")
    assert classify.model.config.decision == classifier.model.config.decision
    answers = [{one["label"]: one["score"] for one in scores} for scores in classify(TEXTS, top_k=None)]
    for name in classifier.names:
        expected = columns.get(f"probability_{name}", columns["predicted"])
        np.testing.assert_allclose([answer[name] for answer in answers], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["onnx", "int8"])
def test_onnxruntime_answers_as_the_classifier(task, name):
    import onnxruntime
    from transformers import AutoTokenizer

    session = onnxruntime.InferenceSession(EXPORT / FORMS[name].file)
    batch = AutoTokenizer.from_pretrained("models/export")(TEXTS, padding=True, return_tensors="np")
    (scores,) = session.run(["logits"], {name: array.astype(np.int64) for name, array in batch.items()})
    check_near(scores, scores_of(Classifier()), TOLERANCES[name])


def test_int8_is_made_of_the_fp32_graph_of_the_same_export(tmp_path, monkeypatch):
    written, read = [], []
    monkeypatch.setattr(forms, "write_onnx", lambda model, file, names: (written.append(file), file.touch()))
    monkeypatch.setattr(forms, "write_int8", lambda fp32, file: read.append(fp32))
    tokenizer = SimpleNamespace(model_input_names=[])
    forms.write_int8_graph(None, tokenizer, tmp_path / "model_int8.onnx")
    assert read == written != [tmp_path / "model.onnx"]  # without the form onnx, a graph that the export does not keep
    assert not read[0].exists()
    forms.write_fp32_graph(None, tokenizer, tmp_path / "model.onnx")
    forms.write_int8_graph(None, tokenizer, tmp_path / "model_int8.onnx")
    assert read[1:] == written[1:] == [tmp_path / "model.onnx"]


def test_the_variant_bf16_of_transformers(task):
    """Its weights are those in fp32, rounded to eight bits: by a relative error of at most 2 ** -8."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    variant = {"variant": "bf16", "dtype": "bfloat16"}
    model = AutoModelForSequenceClassification.from_pretrained("models/export", **variant).eval()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    expected = scores_of(Classifier())
    with torch.inference_mode():
        batch = AutoTokenizer.from_pretrained("models/export")(TEXTS, padding=True, return_tensors="pt")
        check_near(model(**batch).logits.float().numpy(), expected, TOLERANCES["bf16"])
    classify = pipeline(
        "text-classification", model="models/export", dtype="bfloat16", model_kwargs={"variant": "bf16"}
    )
    assert classify.model.dtype == torch.bfloat16
    (answer,) = classify(TEXTS[:1], top_k=None, function_to_apply="none")
    np.testing.assert_allclose(
        [one["score"] for one in sorted(answer, key=lambda one: classify.model.config.label2id[one["label"]])],
        expected[0], atol=TOLERANCES["bf16"] * np.abs(expected - expected.mean(axis=0)).max() * 2,
    )  # fmt: skip
    fp32 = load_file(EXPORT / "model.safetensors")
    bf16 = load_tensors(EXPORT / "model.bf16.safetensors")
    assert fp32.keys() == bf16.keys()
    for key, weight in fp32.items():
        np.testing.assert_allclose(bf16[key].float().numpy(), weight, rtol=2**-8, atol=0)


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_loaded_as_the_gate_scores_it(task, name):
    """`logits` sorts texts by length, pads them and batches them, for networks of torch and graphs alike."""
    classifier = Classifier()
    model = FORMS[name].load(EXPORT, classifier.model.config)
    assert isinstance(model, OnnxModel) == FORMS[name].is_graph
    scores = logits(model, [ids for (ids,) in classifier.token_windows(TEXTS)])
    assert scores.dtype == np.float32
    expected = scores_of(classifier)
    check_near(scores, expected, TOLERANCES[name])
    assert (np.linalg.norm(scores - expected) > 1e-4 * np.linalg.norm(expected)) == FORMS[name].is_rounded
    assert model.config.num_labels == len(classifier.names)


@pytest.mark.parametrize("kept", [("transformers",), ("bf16",), ("onnx",), ("int8",), tuple(FORMS)], ids="-".join)
def test_the_code_of_the_card(task, kept, tmp_path):
    """It runs in a folder that has the kept forms alone."""
    classifier, evaluate = evaluated(task, True)
    card = card_of(classifier.model.config, evaluate, DATA, forms={name: compared(name in kept) for name in FORMS})
    shutil.copytree("models/export", tmp_path / "models/export")
    for name in FORMS.keys() - set(kept):
        (tmp_path / "models/export" / FORMS[name].file).unlink()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(tmp_path)
        names = use_of(card)
    if "classify" not in names:
        check_near(names["logits"], scores_of(classifier), TOLERANCES[kept[0]])
        return
    in_bf16 = "transformers" not in kept
    assert str(names["classify"].model.dtype) == ("torch.bfloat16" if in_bf16 else "torch.float32")
    assert ("For the weights in bf16" in card) == (len(kept) > 1)
    answer, tolerance = dict(zip(TASKS[task].ANSWER, classifier(TEXTS[0]), strict=True)), 0.01 if in_bf16 else 1e-4
    if task == "single-label":
        assert names["last"] == [
            {"label": answer["label"], "score": pytest.approx(answer["confidence"], abs=tolerance)}
        ]
    if task == "multi-label":
        assert len(set(names["thresholds"].values()) - {0.5}) > 1
        assert names["last"] == answer["labels"]
    if task == "regression":
        assert names["value"] == pytest.approx(answer["value"], rel=tolerance)
        assert names["last"] == pytest.approx((answer["low"], answer["high"]), rel=10 * tolerance)
    if task == "ordinal":
        assert names["rating"] == str(answer["rating"])
        assert names["expected_value"] == pytest.approx(answer["expected_value"], abs=10 * tolerance)


@pytest.mark.parametrize("learned", [True, False])
def test_the_results_on_the_card(task, learned):
    from huggingface_hub import ModelCard

    classifier, evaluate = evaluated(task, learned)
    measures = MEASURES[task]
    card = ModelCard(card_of(classifier.model.config, evaluate, DATA))
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results == {name: evaluate[name] for name in measures.CARD.values() if name in evaluate}
    assert measures.HEADLINE in results
    section = card.text.partition("\n## Results\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| ")]
    metrics = [f"| {words}" for words, name in measures.CARD.items() if name in evaluate]
    assert rows[: 1 + len(metrics)] == ["| metric", *metrics]
    baseline = rows[1 + len(metrics)]
    assert baseline.endswith(" on the same texts")
    assert ("TF-IDF" in baseline) == learned


def test_without_an_interval(task):
    classifier, evaluate = evaluated(task, True)
    config = classifier.model.config
    config.decision = dict.fromkeys(config.decision)  # as if the validation texts were too few for a margin
    assert "margin" not in card_of(config, evaluate, DATA)
