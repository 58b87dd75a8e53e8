"""The base_model stage on a wheel; on the Hub, see test_sources.py."""

import re

import pytest

from stages.base_model import base_model
from stages.catalogue import WheelFolder
from stages.files import BASE, sha256
from stages.params import InputError


@pytest.fixture
def folder(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(site)
    return site / "tiny_bert" / "model"


def source(folder, *names: str) -> WheelFolder:
    return WheelFolder(
        wheel="tiny-bert==1.0", folder="tiny_bert/model", sha256={name: sha256(folder / name) for name in names}
    )


def test_copies_the_pinned_files_and_nothing_else(folder):
    base_model(source=source(folder, "config.json", "model.safetensors", "vocab.txt"))
    assert sorted(path.name for path in BASE.iterdir()) == ["config.json", "model.safetensors", "vocab.txt"]
    assert all(path.read_bytes() == (folder / path.name).read_bytes() for path in BASE.iterdir())


def test_a_tampered_file_is_refused_before_anything_is_written(folder):
    pinned = source(folder, "config.json", "model.safetensors")
    pinned.sha256["model.safetensors"] = "0" * 64
    with pytest.raises(InputError, match=re.escape(f"{folder / 'model.safetensors'}: sha256 is")):
        base_model(source=pinned)
    assert not BASE.exists()


@pytest.mark.parametrize("names", [["config.json", "vocab.txt"], ["model.safetensors"]])
def test_config_and_weights_are_needed(folder, names):
    with pytest.raises(InputError, match=r"tiny-bert==1.0: has no config.json or no weights as safetensors"):
        base_model(source=source(folder, *names))
    assert not BASE.exists()
