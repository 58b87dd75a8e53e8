"""What a team shares: a remote of each kind that tests/stores.py has, pushed to, pulled from, broken off, damaged."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import stores
from commands import contents, dvc, git, predict, stages_run
from conftest import enter, made_once
from killing import locked
from tiny import ROOT, edit_params

from classifier.model.loading import load_classifier


@pytest.fixture(params=["folder", *(pytest.param(name, marks=pytest.mark.scale) for name in ("s3", "ssh", "webdav"))])
def store(request, tmp_path):
    place = tmp_path / "store"
    place.mkdir()
    with getattr(stores, request.param)(place) as store:
        yield store


@pytest.fixture(scope="session")
def with_experiment(tmp_path_factory, finished_once, site) -> Path:
    """A finished project with an experiment, rank-2, that is not in the workspace any more; copied, never changed."""

    def experiment(folder: Path) -> None:
        shutil.copytree(finished_once, folder / "project", symlinks=True)
        with pytest.MonkeyPatch.context() as monkeypatch:
            enter(folder / "project", site, monkeypatch)
            assert stages_run(dvc("exp", "run", "--name", "rank-2", "-S", "methods.lora.peft.r=2", "train")) == [
                "train"
            ]
            git("checkout", "-q", ".")
            dvc("checkout")

    return made_once(tmp_path_factory, "with_experiment", experiment) / "project"


def share(store: stores.Store) -> None:
    """Set up the current project's remote as docs/how-to/team-storage.md does."""
    dvc("remote", "add", "-d", "team", store.url)
    for name, value in ({"verify": "true"} | store.settings).items():
        dvc("remote", "modify", "team", name, value)
    git("commit", "-qam", "The team's remote")


def make_push() -> None:
    subprocess.run(["make", "-f", ROOT / "Makefile", "-o", ".venv/.ready", "push"], check=True)


@pytest.fixture
def clone(tmp_path, site, monkeypatch):
    """A function that clones a project as a colleague would, and goes there."""

    def clone(project: Path) -> Path:
        folder = tmp_path / f"colleague-{len(list(tmp_path.iterdir()))}"
        git("clone", "-q", str(project), str(folder / "project"))
        enter(folder / "project", site, monkeypatch)
        return folder / "project"

    return clone


def test_a_colleague_runs_nothing(store, with_experiment, tmp_path, site, monkeypatch, clone, forked_commands):
    owner = tmp_path / "project"
    shutil.copytree(with_experiment, owner, symlinks=True)
    enter(owner, site, monkeypatch)
    share(store)
    make_push()

    colleague = clone(owner)
    dvc("pull")
    assert contents(colleague) == contents(owner)
    assert stages_run(dvc("repro")) == []
    # The owner's experiment comes out of the run-cache, metrics and all.
    edit_params(colleague, **{"methods.lora.peft.r": 2})
    output = dvc("repro", "--pull", "--single-item", "train")
    assert stages_run(output) == []
    assert "Stage 'train' is cached - skipping run, checking out outputs" in output
    (experiment,) = git("-C", str(owner), "for-each-ref", "--format=%(refname)", "refs/exps/*/*/rank-2").split()
    for path in ("metrics/training.csv", "metrics/training.json"):
        assert Path(path).read_text() == git("-C", str(owner), "show", f"{experiment}:{path}")
    change = json.loads(dvc("metrics", "diff", "--json"))["metrics/training.json"]
    assert change["trainable_parameters"]["diff"] < 0
    dvc("plots", "diff")
    page = Path("dvc_plots/index.html").read_text()
    assert '"rev": "HEAD"' in page
    assert '"rev": "workspace"' in page


def test_a_killed_push_and_the_next(store, finished, clone):
    share(store)
    size = 2**26
    with open("large.bin", "wb") as file:
        file.truncate(size)
    dvc("add", "large.bin")
    git("add", "-A")
    git("commit", "-qm", "a large file")
    process = subprocess.Popen([sys.executable, "-m", "dvc", "push"])
    while process.poll() is None and not store.receives():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    if process.wait() == 0:
        pytest.skip("the push had ended before it could be killed")
    dvc("push")
    clone(finished)
    if not store.atomic:  # the part passes for the object; the repair of docs/how-to/team-storage.md
        assert "Checkout failed for following targets:\nlarge.bin\n" in dvc("pull", ok=False)
        store.delete(hashlib.md5(bytes(size)).hexdigest())
        dvc("--cd", str(finished), "push")
    dvc("pull")
    assert Path("large.bin").read_bytes() == bytes(size)
    assert stages_run(dvc("repro")) == []


def test_a_damaged_object_is_noticed_and_repaired(store, finished, monkeypatch, clone):
    share(store)
    dvc("push")
    weights = Path("models/adapter/adapter_model.safetensors").read_bytes()
    digest = hashlib.md5(weights).hexdigest()
    store.damage(digest)

    colleague = clone(finished)
    output = dvc("pull", ok=False)
    assert "failed to pull data from the cloud - Checkout failed for following targets:\nmodels/adapter\n" in output
    assert f"corrupted cache file '{colleague}/.dvc/cache/files/md5/{digest[:2]}/{digest[2:]}'" in dvc(
        "pull", "-v", ok=False
    )
    monkeypatch.chdir(finished)
    assert "Everything is up to date" in dvc("push")  # DVC asks whether an object is there, not what it is
    store.delete(digest)
    assert "Everything is up to date" in dvc("push")  # nor that, while the folder's list of objects is there
    (folder,) = [out["md5"] for out in locked(finished)["stages"]["train"]["outs"] if out["path"] == "models/adapter"]
    store.delete(folder)
    assert "2 files pushed" in dvc("push")

    monkeypatch.chdir(colleague)
    dvc("pull")
    assert Path("models/adapter/adapter_model.safetensors").read_bytes() == weights
    assert stages_run(dvc("repro")) == []


def test_the_model_by_name_and_version(finished, tmp_path, monkeypatch):
    """`dvc artifacts get` from another folder, out of a Git repository and the remote that it names."""
    share(stores.Store(str(tmp_path / "remote"), tmp_path / "remote", {}))
    dvc("push")
    git("tag", "-am", "first", "adapter@v1.0.0")
    git("clone", "-q", "--bare", str(finished), str(tmp_path / "forge"))
    expected = {path.name: path.read_bytes() for path in Path("models/adapter").iterdir()}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    forge = str(tmp_path / "forge")
    dvc("artifacts", "get", forge, "adapter")
    dvc("artifacts", "get", forge, "adapter", "--rev", "v1.0.0", "-o", "models/adapter")
    for folder in ("adapter", "models/adapter"):
        assert {path.name: path.read_bytes() for path in Path(folder).iterdir()} == expected
    dvc("get", forge, "models/base", "--rev", "adapter@v1.0.0", "-o", "models/base")
    load_classifier()


def test_the_exported_classifier_by_name_and_version(finished, tmp_path, monkeypatch):
    """The folder of the artifact `classifier` loads alone, with the answers of the project."""
    from transformers import pipeline

    share(stores.Store(str(tmp_path / "remote"), tmp_path / "remote", {}))
    edit_params(finished, **{"export.formats": ["transformers"]})
    assert stages_run(dvc("repro")) == ["export", "report"]
    dvc("push")
    git("commit", "-qam", "The exported classifier")
    git("tag", "-am", "first", "classifier@v1.0.0")
    git("clone", "-q", "--bare", str(finished), str(tmp_path / "forge"))
    texts = ["a good film", "boring and bad"]
    expected = [label for label, _ in predict(texts)]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    dvc("artifacts", "get", str(tmp_path / "forge"), "classifier", "--rev", "v1.0.0", "-o", "models/export")
    assert [path.name for path in Path("models").iterdir()] == ["export"]
    assert [answer["label"] for answer in pipeline("text-classification", model="models/export")(texts)] == expected
