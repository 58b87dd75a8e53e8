"""The base_model stage on a wheel; on the Hub, see test_sources.py."""

import json
import re

import pytest
from tiny import write_bert, write_wheel

from stages.base_model import base_model
from stages.files import BASE, sha256
from stages.settings.catalogue import WheelFolder
from stages.settings.errors import InputError


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


def test_a_vocabulary_is_needed(folder):
    """Without one, transformers would make a tokenizer that knows no word."""
    with pytest.raises(InputError, match=r"tiny-bert==1.0: has none of tokenizer.json, vocab.json, vocab.txt; add"):
        base_model(source=source(folder, "config.json", "model.safetensors"))
    assert not BASE.exists()


@pytest.mark.parametrize("model_type", ["bert", "unheard-of", "clip", None])
def test_a_type_that_transformers_does_not_classify_with_is_refused(tmp_path, monkeypatch, model_type):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    folder = write_wheel(tmp_path / "site", "tiny-bert", "1.0") / "model"
    write_bert(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"auto_map": {"AutoConfig": "code.Config"}, "model_type": model_type}
    (folder / "config.json").write_text(json.dumps(config))
    pinned = source(folder, "config.json", "model.safetensors", "vocab.txt")
    if model_type == "bert":  # transformers has code for it
        base_model(source=pinned)
        assert (BASE / "config.json").is_file()
    else:
        with pytest.raises(InputError, match=f"transformers has no text classifier of type {model_type!r}"):
            base_model(source=pinned)
        assert not BASE.exists()


def test_an_encoder_with_a_decoder_is_refused(folder, tmp_path, monkeypatch):
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "bart", "is_encoder_decoder": True}
    changed = write_wheel(tmp_path / "other", "tiny-bart", "1.0") / "model"
    write_bert(changed)
    (changed / "config.json").write_text(json.dumps(config))
    monkeypatch.syspath_prepend(tmp_path / "other")
    names = ("config.json", "model.safetensors", "vocab.txt")
    pinned = WheelFolder(
        wheel="tiny-bart==1.0", folder="tiny_bart/model", sha256={name: sha256(changed / name) for name in names}
    )
    with pytest.raises(InputError, match=r"tiny-bart==1.0: bart is an encoder and a decoder; choose a model"):
        base_model(source=pinned)
    assert not BASE.exists()
