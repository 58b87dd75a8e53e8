from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from classifier.files.digests import digest_of
from classifier.training import checkpoint


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_was_saved_is_loaded():
    tensors = {"a": torch.arange(3), "b": torch.tensor(0.5)}
    checkpoint.save("run", tensors, {"step": 3, "losses": [0.1]})
    loaded, state = checkpoint.load("run")
    assert state == {"step": 3, "losses": [0.1]}
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    Path("file").touch()
    assert {path.stat().st_mode for path in checkpoint.FOLDER.iterdir()} == {Path("file").stat().st_mode}


def test_another_runs_checkpoint_is_not_picked_up_but_removed():
    checkpoint.save("old", {"a": torch.zeros(1)}, {})
    assert checkpoint.load("new") is None
    assert checkpoint.load("old") is None


def test_a_write_that_breaks_off_leaves_the_last_checkpoint(monkeypatch):
    checkpoint.save("run", {"a": torch.zeros(1)}, {"step": 1})

    def full_disk(*args):
        raise OSError("no space")

    monkeypatch.setattr(checkpoint.os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        checkpoint.save("run", {"a": torch.ones(1)}, {"step": 2})
    tensors, state = checkpoint.load("run")
    assert (tensors["a"].item(), state["step"]) == (0, 1)


def test_the_key_changes_with_settings_and_contents_only(folder):
    (folder / "data").mkdir()
    file = folder / "data" / "x"
    file.write_text("one")
    first = digest_of({"a": 1, "b": 2}, [folder / "data"])
    assert digest_of({"b": 2, "a": 1}, [folder / "data"]) == first
    assert digest_of({"a": 1, "b": 3}, [folder / "data"]) != first
    (folder / "data" / "__pycache__").mkdir()
    for name in ("x.pyc", "x.pyc.140245"):  # the second while Python writes the first
        (folder / "data" / "__pycache__" / name).write_text("compiled")
    assert digest_of({"a": 1, "b": 2}, [folder / "data"]) == first
    file.write_text("two")
    assert digest_of({"a": 1, "b": 2}, [folder / "data"]) != first


def test_a_run_on_the_cpu_asks_no_gpu(monkeypatch):
    """Which may be there, and in use."""

    def asked(*args):
        raise RuntimeError("CUDA error: the device is busy")

    model = torch.nn.Linear(2, 2)
    model.device = torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", asked)
    monkeypatch.setattr(torch.cuda, "set_rng_state", asked)
    optimizer = torch.optim.AdamW(model.parameters())
    network = SimpleNamespace(base_model=None, device=model.device, named_parameters=model.named_parameters)
    packed = checkpoint.pack(network, optimizer, {})
    assert "random.cuda" not in packed
    checkpoint.unpack(packed | {"random.cuda": packed["random"]}, network, optimizer)  # of a run on a GPU
