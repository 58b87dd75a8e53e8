"""`make export`: its folder loads in transformers, peft and onnxruntime, with the answers of the pipeline."""

import json
import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pytest
from conftest import dvc, predict, read
from encoders import FAMILIES, peft_defaults, write_encoder
from forking import run_module
from ruamel.yaml import YAML
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


def test_card(exported):
    from huggingface_hub import ModelCard

    project, _ = exported
    card = ModelCard.load(project / "models/export/README.md")
    evaluation = read(project / "metrics/evaluate.json")
    assert {result.metric_type: result.metric_value for result in card.data.eval_results} == {
        name: evaluation[name] for name in ("accuracy", "f1", "roc_auc", "log_loss")
    }
    assert card.content.startswith("---\n")
    assert "# minilm with lora on imdb-wheel\n" in card.text
    assert "160 texts of `imdb-wheel`, adapter merged into the weights." in card.text
    assert "80 test texts, held out of the training split: not the official test split" in card.text
    assert "keeps the beginning only" in card.text
    assert "by up to 8 windows" in card.text
    (code,) = re.findall(r"```python\n(  import re\n.*?)```", card.text, re.DOTALL)
    names = {"text": "<a href='x' class=\"y\">good</a> film<br />"}
    exec(textwrap.dedent(code), names)
    assert names["text"] == " good  film "


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


@pytest.fixture
def card_of(monkeypatch, capsys):
    """Return a function that exports and returns (ModelCard, the printed lines but the last)."""
    from huggingface_hub import ModelCard

    monkeypatch.setattr(export, "write_onnx", lambda *args: None)

    def exported_card():
        capsys.readouterr()
        export.export()
        *lines, last = capsys.readouterr().out.splitlines()
        assert last == "export: models/export"
        return ModelCard.load(export.EXPORT / "README.md"), lines

    return exported_card


def test_the_card_is_the_adapters(exported, finished, card_of):
    """The card describes the adapter's training, whatever params.yaml says now. It needs no params.yaml and no data."""
    expected = (exported[0] / export.EXPORT / "README.md").read_text()
    edit_params(finished, **{"dataset": "imdb", "model": "bert", "method": "full", "tokenize.windows": 1})
    shutil.rmtree("data")
    card, lines = card_of()
    assert str(card) == expected
    assert lines == []
    Path("params.yaml").unlink()
    card, (line,) = card_of()
    assert line.startswith("export: the card does not say where the test texts come from: ")
    assert "\n80 test texts.\n" in card.text
    assert card.data.eval_results


def append_a_line(path: str) -> None:
    with Path(path).open("a") as file:
        file.write("\n")


@pytest.mark.parametrize(
    ("change", "what", "reason"),
    [
        (append_a_line, "models/adapter/config.json", "models/adapter does not match the run of evaluate in dvc.lock"),
        (append_a_line, "metrics/evaluate.json", "metrics/evaluate.json does not match the run of evaluate"),
        (shutil.rmtree, "metrics", "metrics/evaluate.json does not match the run of evaluate in dvc.lock"),
        (os.remove, "dvc.lock", "dvc.lock has no models/adapter of the stage evaluate; `dvc repro evaluate`"),
        (append_a_line, "dvc.lock", None),
        (lambda path: Path(path).write_text("<<<<<<< HEAD\n"), "dvc.lock", "dvc.lock"),
        (shutil.rmtree, ".dvc", "you are not inside of a DVC repository"),
    ],
)
def test_results_of_another_model_are_left_out(finished, card_of, change, what, reason):
    change(what)
    card, lines = card_of()
    if reason is None:
        assert lines == []
        assert card.data.eval_results
        return
    (line,) = lines
    assert line.startswith("export: the card has no results: ")
    assert reason in line
    assert card.data.eval_results is None
    assert "model-index" not in card.content
    assert "Results" not in card.text
    assert "results below" not in card.text
    assert "160 texts of `imdb-wheel`" in card.text
    assert card.text.endswith(" ```\n")


@pytest.mark.parametrize("change", ["metrics/data.json", "dvc.lock"])
def test_where_the_test_texts_come_from_is_left_out(finished, card_of, change):
    if change == "dvc.lock":  # as after `dvc repro data` for another data set
        lock = YAML().load(Path(change))
        (raw,) = (out for out in lock["stages"]["data"]["outs"] if out["path"] == "data/raw")
        raw["md5"] = f"{'0' * 32}.dir"
        YAML().dump(lock, Path(change))
    else:
        Path(change).write_text(Path(change).read_text().replace("false", "true"))
    card, (line,) = card_of()
    assert line.startswith("export: the card does not say where the test texts come from: metrics/data.json ")
    assert "\n80 test texts.\n" in card.text
    assert card.data.eval_results


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


@pytest.mark.parametrize("family", FAMILIES)
def test_each_familys_graph(tmp_path, monkeypatch, family):
    """The merged model in transformers and the ONNX graph score as the adapted model does, padding included."""
    import onnxruntime
    import torch
    from transformers import AutoModelForSequenceClassification

    from classifier.model.adapters import apply_method
    from classifier.model.build import build_classifier
    from classifier.model.forward import pad_batch, silence_libraries
    from classifier.model.loading import load_classifier
    from classifier.model.saving import save_classifier
    from classifier.params.catalogue import Method

    monkeypatch.chdir(tmp_path)
    silence_libraries()
    write_encoder(family)
    model, head = build_classifier(["a", "b", "c"], dropout=0.0)
    model = apply_method(model, head, Method(peft={"peft_type": "LORA", "r": 4}), peft_defaults(family), 10).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:  # a new adapter is zero
                parameter.normal_(std=0.1)
    save_classifier(model, {"tokenize": {}})
    merged, _ = load_classifier()
    merged.cpu().save_pretrained("export")
    export.write_onnx(merged, Path("model.onnx"))
    session = onnxruntime.InferenceSession("model.onnx")
    exported = AutoModelForSequenceClassification.from_pretrained("export").eval()
    for lengths in ((3,), (20, 5, 9)):
        batch = pad_batch([np.arange(5, 5 + length) for length in lengths], model.config.pad_token_id or 0)
        with torch.inference_mode():
            expected = model(**batch).logits.numpy()
            np.testing.assert_allclose(exported(**batch).logits.numpy(), expected, atol=1e-4)
        (logits,) = session.run(["logits"], {name: tensor.numpy() for name, tensor in batch.items()})
        np.testing.assert_allclose(logits, expected, atol=1e-4)
