"""The real pipeline, end to end, on the tiny project."""

import re
import shutil

import pandas as pd
import pytest
from commands import contents, dvc, git, read, stages_run
from safetensors.torch import load_file
from tiny import edit_params

from classifier.runner.params import STAGES

# All that a cold run prints, without a terminal: what docs/explanation/reproducibility.md says.
PRINTED = (
    r"|Running stage '\w+':|> python -m stages\.\w+"
    r"|Updating lock file 'dvc\.lock'|Generating lock file 'dvc\.lock'"
    r"|train: [\d,]+ texts, epochs \d+( after a short one of \d+ tokens per text)?, [\d,]+ steps; "
    r"[\d,]+ validation texts scored \d+ times"
    r"|step \d+: validation accuracy \d\.\d{3}|train: \d+ s on [\w:]+, \d+ threads, (fp32|bf16)"
    r"|To track the changes with git, run:|\tgit add .*|To enable auto staging, run:|\tdvc config core\.autostage true"
    r"|Use `dvc push` to send your updates to remote storage\."
)


def test_from_clone_to_report(finished):
    assert stages_run(dvc("repro")) == []
    evaluation, data = read("metrics/evaluate.json"), read("metrics/data.json")
    assert (data["train"], data["validation"], data["test"]) == (160, 60, 80)
    assert data["duplicates_dropped"] == 20
    assert evaluation["n"] == 80
    assert evaluation["accuracy"] > 0.8  # a few words tell the label; guessing gives 0.5
    curve = pd.read_csv("metrics/training.csv")
    assert len(curve) == 100  # steps
    # Of the encoder, and of the adapter and the head, which train.
    encoder = sum(tensor.numel() for tensor in load_file("models/base/model.safetensors").values())
    training = read("metrics/training.json")
    assert training["parameters"] == encoder + training["trainable_parameters"]
    assert training["train_loss"] == pytest.approx(curve["loss"][-10:].mean(), abs=1e-4)
    report = (finished / "metrics/report.md").read_text()
    assert f"{100 * evaluation['accuracy']:.1f}% accuracy" in report
    assert "not the official test split" in report
    assert read("metrics/samples.json")[0]["text"] == "This movie was fantastic! I loved it."

    committed = git("show", "--name-only", "--format=").split()
    assert {"dvc.lock", "metrics/evaluate.json"} <= set(committed)
    assert all(name.startswith(("metrics/", "dvc.lock")) for name in committed), committed

    def rerun(key, value):
        edit_params(finished, **{key: value})
        return set(stages_run(dvc("repro")))

    assert rerun("infer.texts", ["good film", "bad film"]) == {"infer", "report"}
    assert "baseline" in (ran := rerun("baseline.c", 1.0))
    assert "train" not in ran
    ran = rerun("tokenize.max_length", 16)
    assert "tokenize" in ran
    assert not {"data", "base_model", "baseline"} & ran


def test_same_bytes_again_and_from_another_folder(finished, tmp_path, monkeypatch, another_hash_seed):
    """Each stage is a process of its own."""
    other = tmp_path / "elsewhere" / "copy"
    shutil.copytree(finished, other, ignore=shutil.ignore_patterns("cache", "tmp"))
    (other / "dvc.lock").unlink()
    monkeypatch.chdir(other)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "other-site-cache"))
    output = dvc("repro")
    assert sorted(stages_run(output)) == sorted(STAGES)
    assert [line for line in output.splitlines() if not re.fullmatch(PRINTED, line)] == []
    assert (other / "dvc.lock").read_text() == (finished / "dvc.lock").read_text()
    assert contents(other) == contents(finished)
