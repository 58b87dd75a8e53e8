"""`make settings`: its settings are valid, a row is measured again only if something that it depends on has changed,
and the results and the picture in docs/evidence/settings-study.md are those of settings.csv.
"""

import re
import sys
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import torch
from commands import git, read
from matplotlib.testing.compare import compare_images
from ruamel.yaml import YAML
from tiny import ROOT, edit_params

from benchmarks import settings
from benchmarks.settings_results import default_rank
from classifier.runner.params import load_params


@pytest.mark.parametrize("name", settings.SETTINGS)
def test_each_setting_is_one_of_params(project, name):
    values = YAML(typ="safe").load("\n".join(settings.SETTINGS[name]).replace("=", ": "))
    shipped = YAML(typ="safe").load(project / "params.yaml")
    for key in values:
        *path, last = key.split(".")
        assert last in reduce(getitem, path, shipped)  # only train can tell whether a setting of peft is misspelt
    edit_params(project, **values)
    load_params()
    default = f"rank {shipped['methods']['lora']['peft']['r']}"
    assert (YAML(typ="safe").load(project / "params.yaml") == shipped) == (name == default)


def test_the_default_is_one_of_the_ranks():
    """The learning rates are measured at the default's rank, by which the default's row is found."""
    rank = load_params(ROOT / "params.yaml").methods["lora"].peft["r"]
    assert settings.SETTINGS[f"rank {rank}"] == [f"methods.lora.peft.r={rank}"]


@pytest.mark.scale
def test_a_setting_is_measured(finished, monkeypatch):
    monkeypatch.setattr(settings, "VALIDATION", 40)
    overrides = ["methods.lora.peft.r=2", "train.epochs=1"]
    row = settings.train_with("rank 2", overrides)
    assert row["commit"] == git("rev-parse", "--short", "HEAD").strip()
    assert row["digest"] == settings.training_digest(overrides)
    assert (
        row["trainable_parameters"] == 2 * (2 * (4 * 64 + 96 + 96) + 64) + 2 * 32 + 2
    )  # as in test_experiments.py, and the head
    git("commit", "-q", "--allow-empty", "-m", "later")
    assert settings.train_with("rank 2", overrides) == {**row, "commit": git("rev-parse", "--short", "HEAD").strip()}
    assert row["validation_accuracy"] * 40 == pytest.approx(round(row["validation_accuracy"] * 40))
    assert read(finished / "metrics/data.json")["validation"] == 60  # the folder stays as it is
    with pytest.raises(SystemExit, match="rank 0: training failed, see above"):
        settings.train_with("rank 0", ["methods.lora.peft.r=0"])  # the stage train refuses it at its start


@pytest.fixture
def bench(project, monkeypatch):
    """Return a function that runs `make settings` on three settings without training and returns the measured names."""
    measured = []

    def train_with(name, overrides):
        measured.append(name)
        numbers = {"validation_accuracy": 0.9, "validation_loss": 0.3, "learning_rate": 1e-3, "trainable_parameters": 9}
        numbers["precision"] = settings.precision(load_params())
        made_with = {"commit": settings.current_commit(), "digest": settings.training_digest(overrides)}
        return {"setting": name, **numbers, **made_with}

    def run():
        measured.clear()
        settings.main()
        return measured

    three = {name: settings.SETTINGS[name] for name in ("rank 8", "rank 32", "method head")}
    for name, value in {"SETTINGS": three, "TABLE": Path("settings.csv"), "train_with": train_with}.items():
        monkeypatch.setattr(settings, name, value)
    monkeypatch.setattr(settings, "draw_settings", lambda results, path: None)
    monkeypatch.setattr(sys, "argv", ["bench"])
    return run


def test_current_rows_are_not_measured(bench, project, tmp_path, monkeypatch):
    assert bench() == list(settings.SETTINGS)
    assert bench() == []
    edit_params(project, **{"infer.texts": ["No training depends on it."]})
    assert bench() == []
    git("add", "-A")
    git("commit", "-qm", "measured")
    git("clone", "-q", ".", str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    assert bench() == []


def test_a_stopped_run_goes_on(bench, monkeypatch):
    train_with = settings.train_with

    def stopped(name, overrides):
        if name != "rank 8":
            raise SystemExit
        return train_with(name, overrides)

    with monkeypatch.context() as patch:
        patch.setattr(settings, "train_with", stopped)
        with pytest.raises(SystemExit):
            bench()
    assert not settings.TABLE.exists()
    assert bench() == ["rank 32", "method head"]
    assert [path.name for path in Path().glob("settings.*")] == ["settings.csv"]


def test_out_of_date_rows_are_measured(bench, project, monkeypatch):
    bench()
    commit = settings.current_commit()
    edit_params(project, **{"methods.head.learning_rate": 0.1})
    assert bench() == ["method head"]
    commits = settings.read_results(settings.TABLE).set_index("setting")["commit"]
    assert commits.to_dict() == {"rank 8": commit, "rank 32": commit, "method head": f"{commit}+"}
    assert read("settings_methods.json")["rows"][0] == {
        **{"setting": "method head", "trainable parameters": 9, "learning rate": 1e-3, "validation accuracy": 0.9},
        **{"lower bound": pytest.approx(0.886, abs=5e-4), "upper bound": pytest.approx(0.912, abs=5e-4)},
        **{"log loss": 0.3, "precision": "fp32", "commit": f"{commit}+"},
    }
    edit_params(project, **{"train.seed": 14})
    assert bench() == list(settings.SETTINGS)
    with (project / "classifier/training/batches.py").open("a") as file:
        file.write("# edited\n")
    assert bench() == list(settings.SETTINGS)
    versions = (project / "versions.yaml").read_text()
    (project / "versions.yaml").write_text(re.sub("(?m)^matplotlib: .*", "matplotlib: '1.0'", versions))
    assert bench() == []
    (project / "versions.yaml").write_text(re.sub("(?m)^tokenizers: .*", "tokenizers: '1.0'", versions))
    assert bench() == list(settings.SETTINGS)
    edit_params(project, **{"train.precision": "auto"})
    monkeypatch.setenv("DEVICE", "cpu")
    for in_bf16 in (False, True):  # as on another machine
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda in_bf16=in_bf16: {"avx512_bf16": in_bf16})
        assert bench() == list(settings.SETTINGS)
        assert bench() == []


def test_a_row_depends_on_every_stage_that_a_training_runs():
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    makers = {out: name for name, stage in stages.items() for out in stage.get("outs", []) if isinstance(out, str)}

    def needed(name):
        return {name}.union(*(needed(makers[dep]) for dep in stages[name]["deps"] if dep in makers))

    assert needed("train") == set(settings.STAGES)


def test_results_and_picture_are_those_of_the_csv(tmp_path):
    measured = settings.read_results(settings.TABLE)
    assert default_rank(measured).sum() == 1
    names = measured["setting"].tolist()
    assert names == [name for name in settings.SETTINGS if name in names]
    results = settings.results(measured)
    for name, result in results.items():
        assert read(settings.TABLE.with_name(f"{name}.json")) == result
    lora, methods = ([row["setting"] for row in result["rows"]] for result in results.values())
    assert lora == [name for name in names if not name.startswith("method ")]
    assert {*methods} == {name for name in names if name.startswith("method ")} | {"method lora"}
    settings.draw_settings(measured, tmp_path / "drawn.png")
    shown = str(settings.TABLE.with_suffix(".png"))
    assert compare_images(shown, str(tmp_path / "drawn.png"), tol=5) is None
