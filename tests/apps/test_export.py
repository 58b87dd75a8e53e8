"""`make export`: its folder loads in transformers, peft and onnxruntime, with the answers of the pipeline."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from commands import dvc, predict, read
from forking import run_module
from scipy.special import softmax
from tiny import ROOT, edit_params, reviews

from apps import export
from classifier.errors import InputError
from classifier.files.places import ADAPTER

PAGE = (ROOT / "docs/how-to/ship.md").read_text()
TEXTS = [text for text, _ in reviews(40, seed=3) if len(text.split()) <= 20] + ["good", "a bad , bad film"]


@pytest.fixture(scope="module")
def exported(finished_once, tmp_path_factory):
    """Return (project with models/export/, the pipeline's own answers for TEXTS)."""
    project = tmp_path_factory.mktemp("exported") / "project"
    shutil.copytree(finished_once, project, symlinks=True)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(project)
        export.export()
        answers = predict(TEXTS)
    return project, answers


def check_same(answers, labels, confidences):
    """Check labels and confidences against the pipeline's answers."""
    assert list(labels) == [label for label, _ in answers]
    assert list(confidences) == pytest.approx([confidence for _, confidence in answers], abs=1e-4)


def test_files(exported):
    names = sorted(path.name for path in (exported[0] / "models").rglob("export*/*"))
    assert names == ["README.md", "config.json", "model.onnx", "model.safetensors", "tokenizer.json",
                     "tokenizer_config.json"]  # fmt: skip
    checked_out = (exported[0] / "params.yaml").stat().st_mode
    assert {path.stat().st_mode for path in (exported[0] / export.EXPORT).iterdir()} == {checked_out}
    status = subprocess.run(["git", "status", "--porcelain"], cwd=exported[0], capture_output=True, text=True)
    assert status.stdout == ""


def snippet(language: str, word: str) -> str:
    """Return the one block of code in this language on docs/how-to/ship.md that has the word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (code,) = [code for code in blocks if word in code]
    return code


def run_snippet(word: str) -> dict:
    """Run the page's block of Python that has the word, on TEXTS if it has a list of texts; return its names."""
    names = {"TEXTS": TEXTS}
    exec(re.sub(r'\["I would[^]]+"\]', "TEXTS", snippet("python", word), count=1), names)
    return names


def test_pipeline_of_transformers(exported, monkeypatch):
    project, answers = exported
    monkeypatch.chdir(project)
    classify = run_snippet("transformers import pipeline")["classify"]
    results = classify(TEXTS)
    check_same(answers, [result["label"] for result in results], [result["score"] for result in results])
    (long,) = classify(["good " * 500], truncation=True)  # more words than the model has positions
    assert long["label"] in ("negative", "positive")


def test_adapter_with_peft(exported):
    """models/adapter loads with peft alone. It names its base model by a path from the project's root."""
    import torch

    project, answers = exported
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(project)
        names = run_snippet("peft")
    batch = names["tokenizer"](TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        probabilities = softmax(names["model"](**batch).logits.numpy(), axis=1)
    names = read(project / ADAPTER / "config.json")["id2label"]
    check_same(answers, [names[str(label)] for label in probabilities.argmax(axis=1)], probabilities.max(axis=1))


@pytest.mark.parametrize("rows", [1, 7, len(TEXTS)])
def test_onnxruntime(exported, rows):
    """The graph takes batches of other sizes and lengths than the example that it was traced with."""
    import onnxruntime
    from transformers import AutoTokenizer

    project, answers = exported
    folder = project / "models/export"
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    batch = AutoTokenizer.from_pretrained(folder)(TEXTS[:rows], padding=True, return_tensors="np")
    assert {put.name for put in session.get_inputs()} == set(batch)
    (logits,) = session.run(["logits"], {name: array.astype(np.int64) for name, array in batch.items()})
    probabilities = softmax(logits, axis=1)
    names = ["negative", "positive"]
    check_same(answers[:rows], [names[label] for label in probabilities.argmax(axis=1)], probabilities.max(axis=1))


def test_onnxruntime_of_the_docs(exported, monkeypatch):
    project, answers = exported
    monkeypatch.chdir(project)
    probabilities = softmax(run_snippet("onnxruntime")["logits"], axis=1)
    labels = np.array(["negative", "positive"])[probabilities.argmax(axis=1)]
    check_same(answers, labels, probabilities.max(axis=1))


@pytest.mark.scale
def test_javascript_of_the_docs(exported, tmp_path):
    """The code runs in node with the real package, and gives the pipeline's probabilities."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    project, answers = exported
    install = re.search(r"npm install [\w@/.-]+", PAGE)[0].split()
    quietly = ["--no-audit", "--no-fund", "--ignore-scripts"]  # one script downloads files for GPUs
    if subprocess.run([*install, *quietly], cwd=tmp_path, capture_output=True).returncode:
        pytest.skip("the package registry was not reached")
    code = snippet("javascript", "export")
    code, replaced = re.subn(r'\["[^"]+"\]', lambda example: json.dumps(TEXTS), code, count=1)
    assert replaced
    code = code.replace("console.log(await", "console.log(JSON.stringify(await").replace("}));", "})));")
    (tmp_path / "classify.mjs").write_text(code)
    (tmp_path / "models").symlink_to(project / "models")
    printed = subprocess.run(["node", "classify.mjs"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    results = json.loads(printed)
    assert len(results) == len(TEXTS)
    for scores, (label, confidence) in zip(results, answers, strict=True):
        assert scores[0]["label"] == label
        assert scores[0]["score"] == pytest.approx(confidence, abs=1e-3)


@pytest.mark.parametrize("truncation", ["head", "tail"])
def test_long_texts_are_cut_as_in_training(exported, truncation, monkeypatch, tmp_path):
    """If the tokenizer can cut a text as training did, its output is the same for texts of any length."""
    from transformers import AutoTokenizer

    from classifier.text.encoding import encode

    project = tmp_path / "project"
    shutil.copytree(exported[0], project, symlinks=True)
    monkeypatch.chdir(project)
    config = read(ADAPTER / "config.json")
    config["tokenize"]["truncation"] = truncation
    (ADAPTER / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(export, "write_onnx", lambda *args: None)
    export.export()
    tokenizer = AutoTokenizer.from_pretrained("models/export")
    texts = [f"{'good ' * 30} bad", f"bad {'good ' * 30}", "good"]
    windows = encode(texts, AutoTokenizer.from_pretrained(ADAPTER), **config["tokenize"] | {"windows": 1})
    assert tokenizer(texts, truncation=True)["input_ids"] == [ids for (ids,) in windows]


def test_mistakes(finished):
    config = read(ADAPTER / "config.json")
    (ADAPTER / "config.json").write_text(json.dumps({k: value for k, value in config.items() if k != "trained"}))
    with pytest.raises(InputError, match="models/adapter: made by an older version of the code"):
        export.export()
    shutil.rmtree("models/adapter")
    status, _, err = run_module("apps.export")
    assert status == 1
    assert err.startswith("export: models/adapter: no model there")
    assert len(err.splitlines()) == 1
    assert not Path("models/export").exists()


def test_prompts_cannot_be_exported(finished):
    edit_params(finished, **{"method": "prompt", "train.epochs": 1})
    dvc("repro", "train")
    with pytest.raises(InputError, match="method prompt: cannot be merged into the weights"):
        export.export()
    assert not export.EXPORT.exists()
