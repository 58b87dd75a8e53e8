"""Fixtures of the tiny project (see tiny.py), and functions that run its commands and read its files."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import forking
import psutil
import pytest
from filelock import FileLock
from scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler  # noqa: F401
from tiny import make_project, site_packages

from classifier.runner.params import stage_function
from classifier.runner.run import run

# Before torch is loaded. Each core runs a test, and torch's threads wait actively: more threads would slow each other.
os.environ["OMP_NUM_THREADS"] = "1"
# Settings of the developer's shell, of a Git hook or of an outer DVC run must not reach a test or a fixture.
for name in list(os.environ):
    if name.startswith(("DVC_", "HF_", "GIT_", "AWS_")) or name in ("DEBUG", "TRANSFORMERS_OFFLINE"):
        del os.environ[name]
os.environ["CHECKPOINT_MINUTES"] = "0"  # write a checkpoint after every step
os.environ["GLIBC_TUNABLES"] = ""  # a stage that finds this set does not replace its process, which may be a test's
os.environ |= {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}  # for the loopback Hub
os.environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}  # no signed commits, no hooks

INFER = [sys.executable, "-m", "apps.infer"]


def pytest_configure(config):
    """Start the fork server in each process that runs tests, so that it imports while the tests are collected."""
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

    return made_once(tmp_path_factory, "finished", finish) / "project"


@pytest.fixture
def finished(finished_once, tmp_path, site, monkeypatch) -> Path:
    """A copy of a finished and committed tiny project, with its DVC cache; the current folder."""
    project = tmp_path / "project"
    shutil.copytree(finished_once, project, symlinks=True)
    enter(project, site, monkeypatch)
    return project


@pytest.fixture
def matrix_rate(monkeypatch):
    """A constant in place of the machine's matrix rate, which takes seconds to measure."""
    import torch

    from benchmarks import record, speed, time_to_accuracy

    for module in (record, speed, time_to_accuracy):
        monkeypatch.setattr(module, "matrix_rate", lambda dtype=torch.float32: 5e9 if dtype == torch.float32 else 2e9)


def dvc(*args: str, ok: bool = True) -> str:
    """Run `dvc ARGS` in the current folder, check that it succeeds (or fails), and return what it printed."""
    status, output = forking.run_dvc(args)
    assert (status == 0) == ok, output
    return output


def run_stages(*names: str) -> None:
    """Run stages in this process, without DVC.

    In a new Python each stage would import torch and transformers, which takes longer than most stages take.
    """
    for name in names:
        run(stage_function(name))


def stages_run(output: str) -> list[str]:
    """Return the names of the stages that a `dvc repro` ran, by its output."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def read(path: str | Path):
    """Return the content of a JSON file."""
    return json.loads(Path(path).read_text())


def flat(metrics: dict) -> dict[str, float]:
    """Flatten nested metrics to the dotted names that DVC shows."""
    import pandas as pd

    return dict(pd.json_normalize(metrics).iloc[0].items())


def git(*args: str) -> str:
    """Run `git ARGS` and return its stdout."""
    return subprocess.run(["git", *args], check=True, capture_output=True, text=True).stdout


def contents(project: Path) -> dict[str, str]:
    """Return the digest and the mode of every output of a project."""
    return {
        str(path.relative_to(project)): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mode:o}"
        for folder in ("data", "models", "metrics")
        for path in sorted((project / folder).rglob("*"))
        if path.is_file() and "local" not in path.parts
    }


def refusal(stage, capfd) -> str:
    """Run a stage that must fail, check that it prints one line to stderr, and return the line after its name."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as exit_status:
        run(stage)
    assert exit_status.value.code == 1
    err = capfd.readouterr().err
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert "Traceback" not in err
    assert lines[0].startswith(f"{stage.__name__}: ")
    return lines[0].removeprefix(f"{stage.__name__}: ")


def predict(texts, *args, **options):
    """Return the answers of models/adapter, loaded anew."""
    from classifier.predict import Classifier

    return Classifier(*args, **options)(texts)


def infer_command(*args: str | bytes, stdin: bytes = b"", ok: bool = True) -> str:
    """Run `python -m apps.infer ARGS` with these bytes on stdin.

    Return its stdout or, for a command that must fail (ok=False), its single line on stderr.
    """
    status, out, err = forking.run_module("apps.infer", args, stdin)
    assert status == (0 if ok else 1), err
    if ok:
        return out
    assert len(err.splitlines()) == 1, err
    return err


def peak_memory(command: list[str], **kwargs) -> int:
    """Run a command and return the most bytes that its process had in memory, sampled every 5 ms."""
    process, peak = psutil.Popen(command, **kwargs), 0
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):  # the process ended after poll()
            peak = max(peak, process.memory_info().rss)
        time.sleep(0.005)
    assert process.returncode == 0
    return peak
