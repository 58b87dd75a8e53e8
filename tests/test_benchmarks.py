"""The settings that `make bench` compares: each is valid, and README.md shows what was measured."""

import re
from functools import reduce
from operator import getitem

import pandas as pd
import pytest
from conftest import ROOT, edit_params, read
from matplotlib.testing.compare import compare_images
from ruamel.yaml import YAML

from benchmarks import settings
from stages.settings.params import load_params


@pytest.mark.parametrize("name", settings.SETTINGS)
def test_each_setting_is_one_of_params(project, name):
    values = YAML(typ="safe").load("\n".join(settings.SETTINGS[name]).replace("=", ": "))
    shipped = YAML(typ="safe").load(project / "params.yaml")
    for key in values:
        *path, last = key.split(".")
        assert last in reduce(getitem, path, shipped)  # whether peft's settings are misspelt, only train can tell
    edit_params(project, **values)
    load_params()
    assert (YAML(typ="safe").load(project / "params.yaml") == shipped) == (name == settings.DEFAULT)


def test_a_setting_is_measured(finished, monkeypatch, capfd):
    monkeypatch.setattr(settings, "VALIDATION", 40)
    row = settings.measure("rank 2", ["methods.lora.peft.r=2", "train.epochs=1"])
    assert row["trainable_parameters"] == 2 * (2 * (4 * 64 + 96 + 96) + 64) + 2 * 32 + 2  # see test_experiments; head
    assert row["validation_accuracy"] * 40 == pytest.approx(round(row["validation_accuracy"] * 40))
    assert re.search(rf"^train: {row['train_seconds']} s on", capfd.readouterr().out, re.MULTILINE)
    assert read(finished / "metrics/data.json")["validation"] == 60  # this folder stays as it was
    with pytest.raises(SystemExit, match="no epochs: training failed, see above"):
        settings.measure("no epochs", ["train.epochs=0"])  # train refuses it at its start


def test_readme_shows_what_was_measured(tmp_path):
    results = pd.read_csv(settings.RESULTS)
    assert results["setting"].tolist() == list(settings.SETTINGS)
    readme = (ROOT / "README.md").read_text()
    assert all(table in readme for table in settings.tables(results))
    settings.draw(results, tmp_path / "drawn.png")
    shown = str(settings.RESULTS.with_suffix(".png"))
    assert compare_images(shown, str(tmp_path / "drawn.png"), tol=5) is None


def test_readme_shows_the_results():
    readme, result = (ROOT / "README.md").read_text(), read(ROOT / "metrics/evaluate.json")
    interval = f"{100 * result['accuracy_low']:.1f} to {100 * result['accuracy_high']:.1f}"
    others = f"{result['f1']:.1%} | {result['roc_auc']:.3f} | {result['ece']:.3f}"
    assert f"| **{result['accuracy']:.1%}** | {interval} | {others} |" in readme
    assert f"| {result['baseline_accuracy']:.1%} | | | | |" in readme
