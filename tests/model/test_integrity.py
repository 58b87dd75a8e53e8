"""A damaged file of models/base or models/adapter is named in one line, and so is an adapter of an older version."""

from pathlib import Path

import pytest
from encoders import SAVED, peft_defaults, write_encoder

from classifier.errors import InputError
from classifier.files.formats import read_json, write_json
from classifier.files.places import ADAPTER, BASE
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier
from classifier.model.loading import load_classifier, silence_libraries, trained_settings
from classifier.model.saving import save_classifier
from classifier.params.catalogue import Method

BASE_FILES = [BASE / name for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")]
ADAPTER_FILES = [ADAPTER / name for name in ("adapter_config.json", "adapter_model.safetensors", "config.json",
                                             "tokenizer.json", "tokenizer_config.json")]  # fmt: skip


@pytest.fixture
def trained(tmp_path, monkeypatch) -> None:
    """Write a tiny BERT to models/base, and an adapter to models/adapter."""
    monkeypatch.chdir(tmp_path)
    silence_libraries()
    write_encoder("bert")
    model, head = build_classifier(["a", "b"], dropout=0.0)
    save_classifier(apply_method(model, head, Method(peft={"peft_type": "LORA"}), peft_defaults("bert"), 10), SAVED)


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def assert_refused(function, path: Path) -> None:
    """Check that a function raises one line with the file and the fix."""
    with pytest.raises(InputError) as raised:
        function()
    line = str(raised.value)
    assert line.startswith(f"{path}: damaged: ")
    assert line.endswith(f"; bring it back with `dvc checkout --force {path.parent}`")
    assert "\n" not in line


@pytest.mark.parametrize("share", [0, 0.5])
@pytest.mark.parametrize("path", [*BASE_FILES, *ADAPTER_FILES], ids=str)
def test_a_cut_file_is_refused(trained, path, share):
    assert {*BASE.glob("*.json"), *BASE.glob("*.safetensors")} == {*BASE_FILES}
    assert {*ADAPTER.glob("*.json"), *ADAPTER.glob("*.safetensors")} == {*ADAPTER_FILES}
    cut(path, share)
    assert_refused(load_classifier, path)
    if path.parent == BASE:
        assert_refused(lambda: build_classifier(["a", "b"], dropout=0.0), path)
    if path.name == "config.json":
        assert_refused(trained_settings, path)


def test_a_link_to_a_file_that_is_gone_is_refused(trained):
    path = ADAPTER / "tokenizer.json"
    path.unlink()
    path.symlink_to("gone")
    assert_refused(load_classifier, path)


@pytest.mark.parametrize("setting", ["task", "decision"])
def test_an_adapter_of_an_older_version_is_refused(trained, setting):
    path = ADAPTER / "config.json"
    write_json(path, read_json(path) | {"trained": {}})
    assert trained_settings()["task"] == load_classifier()[0].config.task == "single-label"
    write_json(path, {name: value for name, value in read_json(path).items() if name != setting})
    for function in (load_classifier, trained_settings):
        with pytest.raises(InputError) as raised:
            function()
        told = "models/adapter: made by an older version of the code; train it again with `dvc repro train`"
        assert str(raised.value) == told
