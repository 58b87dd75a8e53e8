"""The stage `export`: its folder loads in transformers, ONNX Runtime and JavaScript, with the pipeline's answers."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from commands import contents, dvc, predict, read, refusal, run_stages, stages_run
from conftest import made_once
from forking import run_module
from report_page import MARKDOWN, check_markdown
from report_page import rows as table_rows
from scipy.special import softmax
from tiny import ROOT, edit_params, reviews

from classifier.evaluation.intervals import paired_share_interval
from classifier.export.forms import FORMS, Form
from classifier.files.places import ADAPTER, EXPORT, METRICS, PREDICTIONS, VALIDATION
from stages import export as stage
from stages.data import data
from stages.export import export, load_merged

PAGE = (ROOT / "docs/how-to/ship.md").read_text()
TEXTS = [text for text, _ in reviews(40, seed=3) if len(text.split()) <= 20] + ["good", "a bad , bad film"]
FILES = ["README.md", "config.json", "model.bf16.safetensors", "model.safetensors", "onnx/model.onnx"]
FILES += ["onnx/model_int8.onnx", "tokenizer.json", "tokenizer_config.json"]
NAMES = ["negative", "positive"]


def select(project: Path, *formats: str, **changes) -> None:
    """Select the forms. The tolerance is 1 unless it is changed: 60 validation texts show little."""
    edit_params(project, **{"export.formats": list(formats), "export.tolerance": 1.0} | changes)


@pytest.fixture(scope="module")
def exported(finished_once, tmp_path_factory):
    """Return (project whose stage `export` has written all forms, the pipeline's own answers for TEXTS)."""

    def export_all(folder: Path) -> None:
        project = folder / "project"
        shutil.copytree(finished_once, project, symlinks=True)
        with contextlib.chdir(project):
            select(project, *FORMS)
            run_stages("export", "report")

    project = made_once(tmp_path_factory, "exported", export_all) / "project"
    with contextlib.chdir(project):
        return project, predict(TEXTS)


def check_same(answers, labels, confidences, tolerance: float = 1e-4):
    """Check labels and confidences against the pipeline's answers. Rounded weights may flip a doubtful label."""
    sure = [confidence > 0.5 + tolerance for _, confidence in answers]
    assert sum(sure) > 0.8 * len(answers)
    assert [label for label, known in zip(labels, sure, strict=True) if known] == [
        label for (label, _), known in zip(answers, sure, strict=True) if known
    ]
    assert list(confidences) == pytest.approx([confidence for _, confidence in answers], abs=tolerance)


def check_logits(answers, logits: np.ndarray, tolerance: float = 1e-4):
    """Check logits, (texts, labels), against the pipeline's answers."""
    probabilities = softmax(logits, axis=1)
    labels = [NAMES[label] for label in probabilities.argmax(axis=1)]
    check_same(answers, labels, probabilities.max(axis=1), tolerance)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files(exported):
    project, _ = exported
    assert files(project / EXPORT) == FILES
    checked_out = (project / "params.yaml").stat().st_mode
    assert {path.stat().st_mode for path in (project / EXPORT).rglob("*") if path.is_file()} == {checked_out}
    status = subprocess.run(["git", "status", "--porcelain"], cwd=project, capture_output=True, text=True)
    assert {line[3:] for line in status.stdout.splitlines()} == {
        *("params.yaml", "metrics/export.json", "metrics/report.md"),
    }


def test_the_metrics(exported):
    """Sizes are those of the files. Forms in fp32 answer as the pipeline, and only rounded ones are scored on test."""
    project, _ = exported
    results = read(project / "metrics/export.json")
    assert list(results) == [*FORMS]
    for name, result in results.items():
        assert result["megabytes"] == round((project / EXPORT / FORMS[name].file).stat().st_size / 1e6, 1)
        assert result["kept"] is True
        assert ("test" in result) == FORMS[name].is_rounded
        assert result["validation"]["texts"] == 60
        if FORMS[name].is_rounded:
            assert result["test"]["texts"] == 80
        else:
            assert result["validation"]["answers_changed"] == 0
            assert result["validation"]["log_loss_difference"] == 0
    assert results["int8"]["validation"]["log_loss_difference"] != 0


def test_the_report_has_the_forms(exported):
    project, _ = exported
    text = (project / "metrics/report.md").read_text()
    check_markdown(text)
    (table,) = [part for part in re.findall(r"<table>.*?</table>", MARKDOWN.render(text), re.DOTALL) if "bf16" in part]
    head, *rows = table_rows(table)
    assert head == ["form", "split", "MB", "texts", "answers changed", "accuracy", "log loss", "kept"]
    assert [row[:2] for row in rows] == [
        *(["transformers", "validation"], ["bf16", "validation"], ["bf16", "test"], ["onnx", "validation"]),
        *(["int8", "validation"], ["int8", "test"]),
    ]
    compared = read(project / "metrics/export.json")["int8"]["test"]
    cell = "{:+.4f} ({:+.4f} to {:+.4f})".format(
        *(compared[f"log_loss_difference{end}"] for end in ("", "_low", "_high"))
    )
    assert rows[-1][3:] == ["80", str(compared["answers_changed"]), rows[-1][5], cell, "yes"]


def snippet(language: str, word: str) -> str:
    """Return the one block of code in this language on docs/how-to/ship.md that has the word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (code,) = [code for code in blocks if word in code]
    return code


def run_snippet(word: str, old: str = "", new: str = "") -> dict:
    """Run the page's block of Python that has the word, with `new` in place of `old`; return its names.

    A list of texts in the block is replaced by TEXTS.
    """
    code, names = snippet("python", word), {"TEXTS": TEXTS}
    assert old in code
    exec(re.sub(r'\["I would[^]]+"\]', "TEXTS", code.replace(old, new), count=1), names)
    return names


@pytest.mark.parametrize("variant", [False, True], ids=["fp32", "bf16"])
def test_pipeline_of_transformers(exported, monkeypatch, variant):
    project, answers = exported
    monkeypatch.chdir(project)
    arguments = re.search(r"`(dtype=\"bfloat16\", model_kwargs=.*?)`", PAGE)[1]
    last = 'model="models/export"'
    names = run_snippet("transformers import pipeline", last, f"{last}, {arguments}" if variant else last)
    classify, tolerance = names["classify"], 0.03 if variant else 1e-4
    assert str(classify.model.dtype) == ("torch.bfloat16" if variant else "torch.float32")
    results = classify(TEXTS)
    check_same(answers, [result["label"] for result in results], [result["score"] for result in results], tolerance)
    (long,) = classify(["good " * 500], truncation=True)  # more words than the model has positions
    assert long["label"] in NAMES


def test_adapter_with_peft(exported):
    """models/adapter loads with peft alone. It names its base model by a path from the project's root."""
    import torch

    project, answers = exported
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(project)
        names = run_snippet("peft")
    batch = names["tokenizer"](TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        check_logits(answers, names["model"](**batch).logits.numpy())
    assert read(project / ADAPTER / "config.json")["id2label"] == {"0": "negative", "1": "positive"}


@pytest.mark.parametrize("rows", [1, 7, len(TEXTS)])
def test_onnxruntime(exported, rows):
    """The graph takes batches of other sizes and lengths than the example that it was traced with."""
    import onnxruntime
    from transformers import AutoTokenizer

    project, answers = exported
    session = onnxruntime.InferenceSession(project / "models/export/onnx/model.onnx")
    batch = AutoTokenizer.from_pretrained(project / EXPORT)(TEXTS[:rows], padding=True, return_tensors="np")
    assert {put.name for put in session.get_inputs()} == set(batch)
    (logits,) = session.run(["logits"], {name: array.astype(np.int64) for name, array in batch.items()})
    check_logits(answers[:rows], logits)


@pytest.mark.parametrize(("file", "tolerance"), [("model.onnx", 1e-4), ("model_int8.onnx", 0.05)])
def test_onnxruntime_of_the_docs(exported, monkeypatch, file, tolerance):
    project, answers = exported
    monkeypatch.chdir(project)
    check_logits(answers, run_snippet("onnxruntime", "model.onnx", file)["logits"], tolerance)


@pytest.mark.scale
@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 1e-3), ("int8", 0.05)])
def test_javascript_of_the_docs(exported, tmp_path, dtype, tolerance):
    """The code runs in node with the real package, and gives the pipeline's probabilities."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    project, answers = exported
    install = re.search(r"npm install [\w@/.-]+", PAGE)[0].split()
    quietly = ["--no-audit", "--no-fund", "--ignore-scripts"]  # one script downloads files for GPUs
    if subprocess.run([*install, *quietly], cwd=tmp_path, capture_output=True).returncode:
        pytest.skip("the package registry was not reached")
    code = snippet("javascript", "export").replace('dtype: "fp32"', f'dtype: "{dtype}"')
    assert f'"{dtype}"' in code
    code, replaced = re.subn(r'\["[^"]+"\]', lambda example: json.dumps(TEXTS), code, count=1)
    assert replaced
    code = code.replace("console.log(await", "console.log(JSON.stringify(await").replace("}));", "})));")
    (tmp_path / "classify.mjs").write_text(code)
    (tmp_path / "models").symlink_to(project / "models")
    printed = subprocess.run(["node", "classify.mjs"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    results = json.loads(printed)
    best = [scores[0] for scores in results]
    check_same(answers, [one["label"] for one in best], [one["score"] for one in best], tolerance)


def test_the_same_bytes_in_another_folder(exported, finished_once, tmp_path, another_hash_seed):
    """Two new processes with other hash seeds write the same files, and no file names a folder of this machine."""
    project, _ = exported
    other = tmp_path / "a longer path/elsewhere"
    shutil.copytree(finished_once, other, symlinks=True)
    select(other, *FORMS)
    subprocess.run(["python", "-m", "stages.export"], cwd=other, check=True, capture_output=True)
    for path in [*(EXPORT / name for name in FILES), METRICS / "export.json"]:
        content = (other / path).read_bytes()
        assert content == (project / path).read_bytes(), path
        for folder in (ROOT, sys.prefix, "/tmp", tmp_path, project, Path.home(), "site-packages"):
            assert str(folder).encode() not in content, (path, folder)
    assert files(other / EXPORT) == FILES


@pytest.mark.parametrize("truncation", ["head", "tail"])
def test_long_texts_are_cut_as_in_training(finished, truncation):
    """If the tokenizer can cut a text as training did, its output is the same for texts of any length."""
    from transformers import AutoTokenizer

    from classifier.text.encoding import encode

    config = read(ADAPTER / "config.json")
    config["tokenize"]["truncation"] = truncation
    (ADAPTER / "config.json").write_text(json.dumps(config))
    load_merged()[1].save_pretrained(EXPORT)
    tokenizer = AutoTokenizer.from_pretrained(EXPORT)
    texts = [f"{'good ' * 30} bad", f"bad {'good ' * 30}", "good"]
    windows = encode(texts, AutoTokenizer.from_pretrained(ADAPTER), **config["tokenize"] | {"windows": 1})
    assert tokenizer(texts, truncation=True)["input_ids"] == [ids for (ids,) in windows]


def test_no_form_by_default(finished):
    """The finished project has the shipped setting, no form."""
    assert read("metrics/export.json") == {}
    assert files(EXPORT) == ["README.md"]
    note = (EXPORT / "README.md").read_text()
    assert (
        note
        == "No form of the model is here: `export.formats` in params.yaml is empty. `make export` writes all forms.\n"
    )
    assert "Exported forms" not in Path("metrics/report.md").read_text()


def test_dvc_runs_the_stage_and_the_report(finished):
    """Nothing else runs for other forms, and the way back comes from DVC. A form named twice is written once."""
    before = contents(finished)
    select(finished, "bf16", "bf16")
    assert stages_run(dvc("repro")) == ["export", "report"]
    assert list(read("metrics/export.json")) == ["bf16"]
    model = "model.bf16.safetensors"
    assert files(EXPORT) == ["README.md", "config.json", model, "tokenizer.json", "tokenizer_config.json"]
    assert "export.formats" in dvc("params", "diff")
    edit_params(finished, **{"export.formats": [], "export.tolerance": 0.01})
    assert "export" not in stages_run(dvc("repro"))
    assert contents(finished) == before
    edit_params(finished, **{"export.tolerance": 0.02})
    assert stages_run(dvc("repro")) == ["export"]  # the report's inputs keep their bytes
    assert contents(finished) == before


def test_make_export(finished, forked_commands):
    """It sets the forms that it is given, and keeps all comments of params.yaml, however often."""
    comments = [line.split("#")[1] for line in Path("params.yaml").read_text().splitlines() if "#" in line]
    assert len(comments) > 100
    for formats in ("transformers,bf16", "transformers"):
        command = ["make", "-f", ROOT / "Makefile", "-o", ".venv/.ready", "export", f"FORMATS={formats}"]
        subprocess.run(command, check=True, capture_output=True)
        assert list(read("metrics/export.json")) == formats.split(",")
        assert [line.split("#")[1] for line in Path("params.yaml").read_text().splitlines() if "#" in line] == comments


def test_few_texts_show_too_little(finished, capfd):
    """60 equal answers do not show that a rounded form loses less than a point. Forms in fp32 are not judged."""
    select(finished, "transformers", "bf16", **{"export.tolerance": 0.01})
    run_stages("export")
    results = read("metrics/export.json")
    assert {name: result["kept"] for name, result in results.items()} == {"transformers": True, "bf16": False}
    assert files(EXPORT) == [name for name in FILES if "bf16" not in name and "onnx" not in name]
    assert "test" not in results["bf16"]
    fp32, bf16 = capfd.readouterr().out.splitlines()
    equal = r"accuracy \+0\.0000 \(-0\.0316 to \+0\.0316\), log loss \+0\.0000 \(\+0\.0000 to \+0\.0000\)"
    assert re.fullmatch(rf"export: transformers: kept: difference to fp32 on 60 validation texts: {equal}", fp32)
    assert bf16.startswith("export: bf16: not kept: difference")
    assert bf16.endswith(" may be worse by more than export.tolerance, 0.01")
    assert "show that it is as good: bf16." in (EXPORT / "README.md").read_text()


class Reversed:
    """A classifier of two labels that always gives the other label, as confidently."""

    def __init__(self, model):
        self.model, self.config, self.device, self.dtype = model, model.config, model.device, model.dtype

    def eval(self):
        return self

    def __call__(self, **inputs):
        return SimpleNamespace(logits=self.model.eval()(**inputs).logits.flip(1))


def test_a_form_whose_labels_flip_is_refused(finished, monkeypatch, capfd):
    """The other forms are written and the stage succeeds. The differences follow from the probabilities in fp32."""
    int8, transformers = FORMS["int8"], FORMS["transformers"]
    reverse = Form(
        int8.file,
        write=lambda model, tokenizer, file: file.touch(),
        load=lambda *place: Reversed(transformers.load(*place)),
        is_rounded=True,
    )
    monkeypatch.setitem(stage.FORMS, "int8", reverse)
    select(finished, "transformers", "int8", **{"export.tolerance": 0.5})
    run_stages("export")
    assert files(EXPORT) == [name for name in FILES if "bf16" not in name and "onnx" not in name]
    assert not (EXPORT / "onnx").exists()
    line = capfd.readouterr().out.splitlines()[1]
    assert line.startswith("export: int8: not kept: difference to fp32 on 60 validation texts: accuracy -")
    assert line.endswith("; accuracy and log loss may be worse by more than export.tolerance, 0.5")

    fp32 = pd.read_parquet(VALIDATION)
    right = (fp32["label"] == fp32["predicted"]).to_numpy()
    low, high = paired_share_interval(~right, right)
    true = np.where(fp32["label"], fp32["probability_positive"], fp32["probability_negative"])
    result = read("metrics/export.json")["int8"]
    assert result["kept"] is False
    assert result["validation"] | {"log_loss_difference_low": 0, "log_loss_difference_high": 0} == {
        **{"texts": 60, "answers_changed": 60, "log_loss_difference_low": 0, "log_loss_difference_high": 0},
        "accuracy_difference": pytest.approx(1 - 2 * right.mean(), abs=1e-4),
        "accuracy_difference_low": pytest.approx(low, abs=1e-4),
        "accuracy_difference_high": pytest.approx(high, abs=1e-4),
        "log_loss_difference": pytest.approx(np.mean(np.log(true) - np.log(1 - true)), abs=1e-3),
    }


def test_the_test_split_decides_nothing(finished, monkeypatch, capfd):
    """A form that is worse on test alone is kept: the test split only measures what validation chose."""
    compared = stage.compared

    def worse_on_test(name, model, split, fp32):
        return compared(name, Reversed(model) if split == "test" else model, split, fp32)

    monkeypatch.setattr(stage, "compared", worse_on_test)
    select(finished, "bf16", **{"export.tolerance": 0.3})
    run_stages("export")
    result = read("metrics/export.json")["bf16"]
    right = (predictions := pd.read_parquet(PREDICTIONS))["label"] == predictions["predicted"]
    assert result["kept"] is True
    assert result["test"]["accuracy_difference"] == pytest.approx(1 - 2 * right.mean(), abs=0.03)
    assert (EXPORT / "model.bf16.safetensors").exists()


def test_the_test_split_is_compared_with_fp32_after_a_scoring_in_bf16(finished, monkeypatch):
    """evaluate's predictions are then in bf16, so the export scores the test split in fp32 itself."""
    compared, references = stage.compared, {}

    def remember_reference(name, model, split, fp32):
        references[split] = fp32["probability_positive"].to_numpy()
        return compared(name, model, split, fp32)

    monkeypatch.setattr(stage, "compared", remember_reference)
    expected = pd.read_parquet(PREDICTIONS)["probability_positive"].to_numpy()
    select(finished, "bf16", **{"evaluate.precision": "bf16"})
    run_stages("evaluate", "export")
    assert read("metrics/evaluate.json")["scoring_precision"] == "bf16"
    np.testing.assert_allclose(references["test"], expected, rtol=0, atol=1e-6)
    assert abs(pd.read_parquet(PREDICTIONS)["probability_positive"] - expected).max() > 1e-5


@pytest.mark.parametrize("method", ["full", "head"])
def test_methods_without_an_adapter(finished, method):
    edit_params(finished, **{f"methods.{method}": {"peft": method}, "method": method, "train.epochs": 1})
    select(finished, "transformers")
    run_stages("train", "evaluate", "export")
    assert read("metrics/export.json")["transformers"]["validation"]["answers_changed"] == 0
    card = (EXPORT / "README.md").read_text()
    assert "adapter merged into the weights" not in card


def test_mistakes(finished, capfd):
    select(finished, *FORMS)
    before = contents(finished)
    config = read(ADAPTER / "config.json")
    (ADAPTER / "config.json").write_text(json.dumps({k: value for k, value in config.items() if k != "task"}))
    assert refusal(export, capfd).startswith("models/adapter: made by an older version of the code")
    shutil.rmtree("models/adapter")
    status, _, err = run_module("stages.export")
    assert status == 1
    assert err.startswith("export: models/adapter")
    assert len(err.splitlines()) == 1
    after = contents(finished)
    assert {path: after[path] for path in after if "export" in path} == {
        path: before[path] for path in before if "export" in path
    }
    assert not EXPORT.with_suffix(".part").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "export.formats",
            ["onx"],
            "export.formats.0: input should be 'transformers', 'bf16', 'onnx' or 'int8', got 'onx'",
        ),
        ("export.formats", "onnx", "export.formats: "),
        ("export.tolerance", -0.1, "export.tolerance: "),
        ("export.about.minilm.licence", "mit", "export.about.minilm.licence: unknown key; did you mean license?"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(project, capfd, key, value, message):
    """By the first stage, before hours of training."""
    edit_params(project, **{key: value})
    assert refusal(data, capfd).startswith(f"params.yaml: {message}")


def test_prompts_cannot_be_exported(finished, capfd):
    """They can be trained and evaluated as long as no form is asked for."""
    edit_params(finished, **{"method": "prompt", "train.epochs": 1})
    assert "export" in stages_run(dvc("repro", "export"))
    assert files(EXPORT) == ["README.md"]
    select(finished, "onnx")
    message = "method prompt: cannot be merged into the weights; set export.formats to []"
    assert refusal(export, capfd) == message
    assert files(EXPORT) == ["README.md"]
