"""The last outputs are put back after a stage that was refused or failed."""

import hashlib
from pathlib import Path

import pytest
from commands import contents, dvc, git, stages_run
from killing import locked
from tiny import edit_params

from classifier.files.digests import sha256_by_path


def test_refused_repro_changes_no_output(finished, capfd):
    """DVC deletes a stage's outputs before it starts the stage. A refused stage puts them back."""
    good, params = contents(finished), (finished / "params.yaml").read_bytes()
    for key, value in (
        ("data.seed", -1),  # a folder and a metric
        ("train.epochs", 0),  # a folder, metrics and plots
        ("evaluate.bins", 1),  # files
        ("report.mistakes", -1),  # not in the cache; in Git
    ):
        edit_params(finished, **{key: value})
        stage = key.split(".")[0]
        output = dvc("repro", stage, ok=False)
        assert stages_run(output) == [stage]
        assert output.count(f"params.yaml: {key}: ") == 1, output
        assert "Traceback" not in output
        assert "not put back" not in output
        assert contents(finished) == good
        assert stages_run(dvc("repro", stage, ok=False)) == [stage]  # not taken for a result
        (finished / "params.yaml").write_bytes(params)
    assert stages_run(dvc("repro")) == []
    assert git("status", "--porcelain") == ""


def test_refused_in_a_fresh_clone(finished, tmp_path, monkeypatch):
    """Without a cache the committed metrics come back from Git, and one line names the outputs that are lost."""
    clone = tmp_path / "clone"
    git("clone", "-q", str(finished), str(clone))
    monkeypatch.chdir(clone)
    edit_params(clone, **{"data.seed": -1})
    output = dvc("repro", ok=False)
    assert output.count("params.yaml: data.seed: ") == 1
    assert "data: not put back: data/raw; `dvc repro`\n" in output
    assert "No file hash info" not in output
    assert contents(clone) == {name: digest for name, digest in contents(finished).items() if name.startswith("metr")}


@pytest.mark.parametrize("key", ["dataset", "model", "method"])
def test_a_mistyped_selection_loses_nothing(finished, key):
    """DVC refuses it, but only after it has removed the stage's outputs."""
    good, params = contents(finished), (finished / "params.yaml").read_bytes()
    edit_params(finished, **{key: "none"})
    assert f"Parameters '{key}s.none" in dvc("repro", ok=False)
    (finished / "params.yaml").write_bytes(params)
    assert stages_run(dvc("repro")) == []
    assert contents(finished) == good


def test_a_defect_leaves_the_last_outputs(finished):
    """A defect of the code ends in a traceback; the last outputs are put back, and half-written ones removed."""
    expected = contents(finished)
    edit_params(finished, **{"train.seed": 14})
    code = finished / "stages/train.py"
    half_written = ["__import__('os').mkdir('models/adapter')", "open('models/adapter/new', 'w').close()", "1 / 0"]
    defect = "".join(f"    {line}\n" for line in half_written)
    code.write_text(code.read_text().replace("    silence_libraries()\n", defect))
    assert "ZeroDivisionError" in dvc("repro", ok=False)
    assert contents(finished) == expected


def test_what_git_has_is_not_put_back_if_dvc_lock_names_what_is_newer(finished):
    """metrics/report.md is in Git but not in DVC's cache, and the last run is not committed."""
    edit_params(finished, **{"report.mistakes": 1})
    dvc("repro")
    newer, params = contents(finished), (finished / "params.yaml").read_bytes()
    assert git("diff", "--name-only", "metrics") == "metrics/report.md\n"
    edit_params(finished, **{"report.mistakes": -1})
    output = dvc("repro", ok=False)
    assert output.count("report: not put back: metrics/report.md; `dvc repro`\n") == 1
    expected = newer.copy()
    del expected["metrics/report.md"]
    assert contents(finished) == expected
    (finished / "params.yaml").write_bytes(params)
    assert stages_run(dvc("repro")) == ["report"]
    assert contents(finished) == newer


def cached(project: Path) -> dict[Path, str]:
    """Return the digest of every object in DVC's cache."""
    objects = [path for path in (project / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
    return {path: hashlib.md5(path.read_bytes()).hexdigest() for path in objects}


def refuse_train(project: Path) -> str:
    """Return what `dvc repro` prints for a wrong value of train; params.yaml is then restored."""
    params = (project / "params.yaml").read_bytes()
    edit_params(project, **{"train.epochs": 0})
    output = dvc("repro", ok=False)
    (project / "params.yaml").write_bytes(params)
    assert output.count("params.yaml: train.epochs: ") == 1
    return output


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_put_back_as_links(finished, kind):
    """Outputs in DVC's cache come back as links, outputs in Git as plain files."""
    dvc("config", "--local", "cache.type", kind)
    before, objects = sha256_by_path(Path("models"), Path("metrics")), cached(finished)
    assert "not put back" not in refuse_train(finished)
    assert sha256_by_path(Path("models"), Path("metrics")) == before
    assert cached(finished) == objects
    assert git("status", "--porcelain") == ""
    weights = Path("models/adapter/adapter_model.safetensors")
    assert weights.is_symlink() or weights.stat().st_nlink > 1
    assert stages_run(dvc("repro")) == []


@pytest.mark.parametrize("listed", [False, True], ids=["file", "list of a folder"])
def test_a_damaged_object_is_not_put_back(finished, listed):
    expected = contents(finished)
    digest = hashlib.md5(Path("models/adapter/adapter_model.safetensors").read_bytes()).hexdigest()
    if listed:
        outs = {out["path"]: out["md5"] for out in locked(finished)["stages"]["train"]["outs"]}
        digest = outs["models/adapter"]
    damaged = finished / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    content = damaged.read_bytes()
    damaged.chmod(0o644)
    damaged.write_bytes(bytes(len(content)))
    damaged.chmod(0o444)  # DVC trusts a read-only object
    assert "train: not put back: models/adapter; `dvc repro`\n" in refuse_train(finished)
    assert contents(finished) == {name: is_ for name, is_ in expected.items() if not name.startswith("models/adapter")}
    assert stages_run(dvc("repro")) == ["train"]
    assert contents(finished) == expected
    assert damaged.read_bytes() == content


def test_half_written_outputs_are_removed(project):
    """If the first run of a stage fails, its outputs are removed without a message."""
    code = project / "stages/data.py"
    code.write_text(code.read_text().replace("    write_json(METRICS", "    1 / 0\n    write_json(METRICS"))
    output = dvc("repro", "data", ok=False)
    assert "ZeroDivisionError" in output
    assert "not put back" not in output
    assert contents(project) == {}
