"""Fixtures of the tiny project (see tiny.py), and the environment of the tests."""

import contextlib
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import forked_programs
import forking
import pytest
from commands import dvc, git
from filelock import FileLock
from scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler  # noqa: F401
from tiny import ROOT, make_project, site_packages

# Before torch is loaded. Each core runs a test, and torch's threads wait actively: more threads would slow each other.
os.environ["OMP_NUM_THREADS"] = "1"
# Settings of the developer's shell, of a Git hook or of an outer DVC run must not reach a test or a fixture.
for name in list(os.environ):
    if name.startswith(("DVC_", "HF_", "GIT_", "AWS_", "CHECKPOINT_")) or name in ("DEBUG", "TRANSFORMERS_OFFLINE"):
        del os.environ[name]
os.environ["GLIBC_TUNABLES"] = ""  # a stage that finds this set does not replace its process, which may be a test's
os.environ |= {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}  # for the loopback Hub
os.environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}  # no signed commits, no hooks


def pytest_configure(config):
    """Start the fork server in each process that runs tests, so that it imports while the tests are collected."""
    gc.set_threshold(100_000, 20, 100)  # the default takes a sixth of the time of a test that exports to ONNX
    if "PARSED_YAML" not in os.environ:  # xdist's workers inherit it
        folder = tempfile.TemporaryDirectory()
        config.add_cleanup(folder.cleanup)
        os.environ["PARSED_YAML"] = folder.name
    if not getattr(config.option, "numprocesses", None):  # xdist's controller runs no tests
        forking.start_server()


@pytest.fixture(autouse=True)
def restored_process():
    """Undo what a stage changes in its process: environment variables, and the handler of Ctrl-C."""
    handler = signal.getsignal(signal.SIGINT)
    with patch.dict(os.environ):
        yield
    signal.signal(signal.SIGINT, handler)


def made_once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that `make` fills once for all of xdist's workers: the first worker makes it, others wait."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = folder.with_name(f"{name}.unfinished")
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """A site-packages folder with the tiny project's wheels."""
    return made_once(tmp_path_factory, "site", site_packages)


def enter(project: Path, site: Path, monkeypatch) -> None:
    """Make a project the current folder, with the wheels of `site` installed and DVC's own files beside the project."""
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(project.parent / "site-cache"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def project(tmp_path, site, monkeypatch) -> Path:
    """A fresh tiny project in which nothing has run; the current folder."""
    project = tmp_path / "project"
    make_project(project, site)
    enter(project, site, monkeypatch)
    return project


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory, site) -> Path:
    """A tiny project after `dvc repro` and a commit. Tests copy it and never change it."""

    def finish(folder: Path) -> None:
        project = folder / "project"
        make_project(project, site)
        with pytest.MonkeyPatch.context() as monkeypatch:
            enter(project, site, monkeypatch)
            dvc("repro")
            git("add", "-A")
            git("commit", "-qm", "run")
            git("gc", "--quiet")  # fewer files to copy

    return made_once(tmp_path_factory, "finished", finish) / "project"


@pytest.fixture
def finished(finished_once, tmp_path, site, monkeypatch) -> Path:
    """A copy of a finished and committed tiny project, with its DVC cache; the current folder."""
    project = tmp_path / "project"
    shutil.copytree(finished_once, project, symlinks=True)
    enter(project, site, monkeypatch)
    return project


@pytest.fixture(scope="session")
def commands(tmp_path_factory) -> Iterator[Path]:
    """A folder with the commands dvc, python and torchrun, which run in forks (see forked_programs.py)."""
    folder = tmp_path_factory.mktemp("commands")
    with forked_programs.commands_in(folder):
        yield folder


@pytest.fixture
def forked_commands(commands, monkeypatch) -> None:
    """Let dvc, python and torchrun run in forks where another program or LAUNCH starts them."""
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "executable", str(commands / "python"))


@pytest.fixture
def another_hash_seed(tmp_path, monkeypatch) -> None:
    """Let stages that DVC starts, and the command python, run in forks of a Python with another hash seed."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    with forked_programs.commands_in(folder, PYTHONHASHSEED="7"):
        yield


@pytest.fixture
def checkpoint_after_each_step(monkeypatch) -> None:
    """Let train write a checkpoint after each step, and not each minute."""
    monkeypatch.setenv("CHECKPOINT_MINUTES", "0")


@pytest.fixture
def matrix_rate(monkeypatch):
    """A constant in place of the machine's matrix rate, which takes seconds to measure."""
    import torch

    from benchmarks import record, speed, time_to_accuracy

    for module in (record, speed, time_to_accuracy):
        monkeypatch.setattr(module, "matrix_rate", lambda dtype=torch.float32: 5e9 if dtype == torch.float32 else 2e9)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """The current folder for `apps.new`: with params.yaml, an empty data/local/, and a folder named elsewhere."""
    monkeypatch.chdir(tmp_path)
    Path("data/local").mkdir(parents=True)
    Path("elsewhere").mkdir()
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    return tmp_path


@pytest.fixture(scope="session")
def random_models(tmp_path_factory) -> Callable[[str], Path]:
    """A function from a task, or "pairs", to a folder with models/ of a random classifier."""
    from random_classifier import TEXTS, save_random_classifier

    made = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            with contextlib.chdir(made[name]):
                if name == "pairs":
                    pairs = [*zip(TEXTS, TEXTS[::-1], strict=True)]
                    save_random_classifier("single-label", pairs, pair=True, token_types_after=3)
                else:
                    save_random_classifier(name)
        return made[name]

    return folder


@pytest.fixture
def random_model(random_models, monkeypatch) -> None:
    """models/ of a random classifier of single labels, in the current folder."""
    monkeypatch.chdir(random_models("single-label"))
