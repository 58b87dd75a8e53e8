"""What tests share: the tiny project in its folders (see tiny.py), and ways to run its commands and to look at it."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
from filelock import FileLock
from forking import Server
from tiny import make_project, site_packages

from classifier.runner.params import stage_function
from classifier.runner.run import run

# Before torch is loaded: tests run one to a core, where its threads, which wait actively, would hold each other up.
os.environ["OMP_NUM_THREADS"] = "1"
# What the developer's shell, a Git hook or an outer DVC run has set must not reach a test or its fixtures.
for name in list(os.environ):
    if name.startswith(("DVC_", "HF_", "GIT_", "AWS_")) or name in ("DEBUG", "TRANSFORMERS_OFFLINE"):
        del os.environ[name]
os.environ["CHECKPOINT_MINUTES"] = "0"  # a checkpoint after every step
os.environ["GLIBC_TUNABLES"] = ""  # a stage is not begun anew: it may run in a test's process
os.environ |= {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}  # the loopback Hub
os.environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}  # no signing, no hooks

INFER = [sys.executable, "-m", "apps.infer"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """`pytest -n auto` deals the tests out in halves; who is done takes half of what the other has left."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def pytest_configure():
    """Start the server; it imports while the tests are collected."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        os.environ["SERVER_OF_TESTS"] = Server().address


def pytest_collection_modifyitems(items):
    """One worker begins with the tests that need a finished project; the others do not wait while it is made."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    finished = [item for item in items if "finished_once" in item.fixturenames]
    others = [item for item in items if "finished_once" not in item.fixturenames]
    first = len(items) // workers
    items[:] = finished[:first]
    for number in range(1, workers):
        items += part(others, number, workers - 1) + part(finished[first:], number, workers - 1)
    items += others * (workers == 1)


def part(items: list, number: int, count: int) -> list:
    """The one of that number, from 1, of so many parts of about the same size."""
    return items[len(items) * (number - 1) // count : len(items) * number // count]


@pytest.fixture(autouse=True)
def own_environment():
    """What a stage sets in the environment (that the Hub is off, for one) ends with the test, as does its deafness to
    Ctrl-C.
    """
    heeds = signal.getsignal(signal.SIGINT)
    with patch.dict(os.environ):
        yield
    signal.signal(signal.SIGINT, heeds)


def made_once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills, one for all of xdist's workers: the first to ask makes it, the others wait."""
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
    return made_once(tmp_path_factory, "site", site_packages)


def enter(project: Path, site: Path, monkeypatch) -> None:
    """Make it the current folder, with the pretended wheels installed and DVC's own files beside it."""
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(project.parent / "site-cache"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def project(tmp_path, site, monkeypatch) -> Path:
    """A fresh checkout of this project, shrunk; the current folder."""
    project = tmp_path / "project"
    make_project(project, site)
    enter(project, site, monkeypatch)
    return project


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory, site) -> Path:
    """A shrunk project after `dvc repro` and a commit; copied, never changed."""

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
    """A copy of a finished and committed project, with its cache; the current folder."""
    project = tmp_path / "project"
    shutil.copytree(finished_once, project, symlinks=True)
    enter(project, site, monkeypatch)
    return project


@pytest.fixture
def matrix_rate(monkeypatch):
    """A made-up one in place of seconds of multiplying."""
    import torch

    from benchmarks import record, speed, time_to_accuracy

    for module in (record, speed, time_to_accuracy):
        monkeypatch.setattr(module, "matrix_rate", lambda dtype=torch.float32: 5e9 if dtype == torch.float32 else 2e9)


def dvc(*args: str, ok: bool = True) -> str:
    """Run dvc in the current folder and return what it printed, both streams (see forking.py)."""
    status, output = server().dvc(args)
    assert (status == 0) == ok, output
    return output


@cache
def server() -> Server:
    """The one for all of xdist's workers."""
    return Server(os.environ.get("SERVER_OF_TESTS"))


def run_stages(*names: str) -> None:
    """The stages as they run by hand, without DVC, and in this process: a Python of its own for each would first
    import torch and transformers, for longer than most stages take on the tiny project.
    """
    for name in names:
        run(stage_function(name))


def rows_of(printed: str) -> list[list[str]]:
    """The cells of the tables in Markdown, without the first one's header."""
    return [re.split(r" *\| *", line)[1:-1] for line in printed.splitlines() if line.startswith("| ")][1:]


def numbers_of(page: str) -> list[list[str]]:
    """The cells that are numbers in each row of a page's tables in Markdown, however the others are worded."""
    number = re.compile(r"[\d.,]+%?( \w+| to [\d.,]+%?)?( \([^()]*\))?")
    rows = [[cell.strip("* ") for cell in row] for row in rows_of(page)]
    return [found for row in rows if (found := [cell for cell in row if number.fullmatch(cell)])]


def shows(page: str, table: str) -> bool:
    """Whether a page has the numbers of a table, in its order, in rows that follow each other."""
    wanted, there = numbers_of(table), numbers_of(page)
    assert wanted
    return any(there[start : start + len(wanted)] == wanted for start in range(len(there)))


def stages_run(output: str) -> list[str]:
    """The names of the stages that a `dvc repro` ran."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def read(path: str | Path):
    return json.loads(Path(path).read_text())


def flat(metrics: dict) -> dict[str, float]:
    """With the dotted names that DVC gives to nested ones."""
    import pandas as pd

    return dict(pd.json_normalize(metrics).iloc[0].items())


def git(*args: str) -> str:
    return subprocess.run(["git", *args], check=True, capture_output=True, text=True).stdout


def contents(project: Path) -> dict[str, str]:
    """Digest and mode of every output."""
    return {
        str(path.relative_to(project)): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mode:o}"
        for folder in ("data", "models", "metrics")
        for path in sorted((project / folder).rglob("*"))
        if path.is_file() and "local" not in path.parts
    }


def refusal(stage, capfd) -> str:
    """The one line that `python -m stages.NAME` ends with."""
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
    """The answers of models/adapter, loaded anew."""
    from classifier.predict import Classifier

    return Classifier(*args, **options)(texts)


def infer_command(*args: str | bytes, given: bytes = b"", ok: bool = True) -> str:
    """What `python -m apps.infer ARGS` prints; where it must fail, its one line of error (see forking.py)."""
    status, printed, told = server().stage("apps.infer", args, given)
    assert status == (0 if ok else 1), told
    if ok:
        return printed
    assert len(told.splitlines()) == 1, told
    return told


def peak_memory(command: list[str], **kwargs) -> int:
    """The most bytes that a command's process has in memory while it runs, looked at every 5 ms."""
    process, peak = psutil.Popen(command, **kwargs), 0
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile
            peak = max(peak, process.memory_info().rss)
        time.sleep(0.005)
    assert process.returncode == 0
    return peak
