"""The settings that `make bench` compares: each is valid, and README.md shows what was measured."""

import re

import pandas as pd
import pytest
from conftest import ROOT, edit_params, read
from matplotlib.testing.compare import compare_images
from ruamel.yaml import YAML

from benchmarks import settings
from stages.params import load_params


@pytest.mark.parametrize("name", settings.SETTINGS)
def test_each_setting_is_one_of_params(project, name):
    values = YAML(typ="safe").load("\n".join(settings.SETTINGS[name]).replace("=", ": "))
    edit_params(project, **values)
    load_params()


def test_a_setting_is_measured(finished, monkeypatch, capfd):
    monkeypatch.setattr(settings, "VALIDATION", 40)
    row = settings.measure("rank 2", ["methods.lora.peft.r=2"])
    assert row["trainable_parameters"] == 2 * (2 * (4 * 64 + 96 + 96) + 64) + 2 * 32 + 2  # see test_experiments; head
    assert row["validation_accuracy"] * 40 == pytest.approx(round(row["validation_accuracy"] * 40))
    assert re.search(rf"^train: {row['train_seconds']} s on", capfd.readouterr().out, re.MULTILINE)
    assert read(finished / "metrics/data.json")["validation"] == 60  # this folder stays as it was
    with pytest.raises(SystemExit, match="rank 0: training failed, see above"):
        settings.measure("rank 0", ["methods.lora.peft.r=0"])


def test_interval_is_wilsons():
    share, n, z = 0.9, settings.VALIDATION, 1.959964
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    assert settings.interval(share) == pytest.approx((middle - half, middle + half), abs=1e-6)


def test_readme_shows_what_was_measured(tmp_path):
    results = pd.read_csv(settings.RESULTS)
    assert results["setting"].tolist() == list(settings.SETTINGS)
    readme = (ROOT / "README.md").read_text()
    assert all(table in readme for table in settings.tables(results))
    settings.draw(results, tmp_path / "drawn.png")
    shown = str(settings.RESULTS.with_suffix(".png"))
    assert compare_images(shown, str(tmp_path / "drawn.png"), tol=5) is None
