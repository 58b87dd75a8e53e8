from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from imports import imported, package

from classifier.files.digests import digest_of
from classifier.training import checkpoint
from classifier.training.checkpoint import CODE, Checkpoint, remove_finished
from classifier.training.state import pack_tensors, unpack_tensors


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_checkpoint_is_loaded_as_it_was_saved():
    tensors = {"a": torch.arange(3), "b": torch.tensor(0.5)}
    Checkpoint("run").save(tensors, {"step": 3, "losses": [0.1]})
    loaded, state = Checkpoint("run").load()
    assert state == {"step": 3, "losses": [0.1]}
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    Path("file").touch()
    assert {path.stat().st_mode for path in checkpoint.FOLDER.iterdir()} == {Path("file").stat().st_mode}


def test_the_checkpoint_of_another_run_is_removed():
    old = Checkpoint("old")
    old.save({"a": torch.zeros(1)}, {})
    assert Checkpoint("new").load() is None
    assert old.load() is None


def test_the_states_of_a_checkpoint(monkeypatch):
    """As the table in classifier/training/checkpoint.py has them."""
    run = Checkpoint("run")
    assert run.load() is None
    run.finish()  # nothing to mark
    run.save({"a": torch.zeros(1)}, {})
    monkeypatch.setenv("DVC_STAGE", "evaluate")
    remove_finished(["models/adapter"])
    assert run.load(), "a checkpoint in progress stays"
    run.finish()
    remove_finished(["models/base"])
    assert run.load(), "a stage that does not need the adapter tells nothing of DVC's cache"
    monkeypatch.delenv("DVC_STAGE")
    remove_finished(["models/adapter"])
    assert run.load(), "nor does a stage that was started by hand"
    monkeypatch.setenv("DVC_STAGE", "evaluate")
    remove_finished(["models/adapter"])
    assert run.load() is None


def test_an_interrupted_write_leaves_the_last_checkpoint(monkeypatch):
    run = Checkpoint("run")
    run.save({"a": torch.zeros(1)}, {"step": 1})

    def full_disk(*args):
        raise OSError("no space")

    monkeypatch.setattr(checkpoint.os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        run.save({"a": torch.ones(1)}, {"step": 2})
    tensors, state = run.load()
    assert (tensors["a"].item(), state["step"]) == (0, 1)


def test_the_key_changes_with_settings_and_contents_only(folder):
    (folder / "data").mkdir()
    file = folder / "data" / "x"
    file.write_text("one")
    first = digest_of({"a": 1, "b": 2}, [folder / "data"])
    assert digest_of({"b": 2, "a": 1}, [folder / "data"]) == first
    assert digest_of({"a": 1, "b": 3}, [folder / "data"]) != first
    file.write_text("two")
    assert digest_of({"a": 1, "b": 2}, [folder / "data"]) != first


def test_a_run_on_the_cpu_leaves_a_gpu_alone(monkeypatch):
    """The GPU may be busy."""

    def busy(*args):
        raise RuntimeError("CUDA error: the device is busy")

    model = torch.nn.Linear(2, 2)
    model.device = torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", busy)
    monkeypatch.setattr(torch.cuda, "set_rng_state", busy)
    optimizer = torch.optim.AdamW(model.parameters())
    network = SimpleNamespace(base_model=None, device=model.device, named_parameters=model.named_parameters)
    tensors = pack_tensors(network, optimizer, {})
    assert "random.cuda" not in tensors
    unpack_tensors(tensors | {"random.cuda": tensors["random"]}, network, optimizer)  # as of a run on a GPU


def test_a_checkpoint_is_keyed_by_the_code_that_shapes_the_weights():
    """Its key has the rooms that train imports, but those that only read, check and write."""
    others = {"classifier/errors.py", "classifier/files", "classifier/params", "stages/train.py"}
    assert {package(path) for path in imported("stages/train.py")} - others == {path.as_posix() for path in CODE}
