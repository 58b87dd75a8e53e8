"""A run that is killed, interrupted or out of room loses nothing: the next one ends with the same dvc.lock."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import dvc, stages_run
from ruamel.yaml import YAML
from test_params import contents

AFTER_TOKENIZE = ["train", "evaluate", "infer", "report"]


def forget(project: Path, stages: list[str]) -> None:
    """As if these stages had never run here: no outputs, no entry in dvc.lock, nothing in the cache."""
    yaml = YAML()
    lock = yaml.load((project / "dvc.lock").read_text())
    for stage in stages:
        for out in lock["stages"].pop(stage)["outs"]:
            path = project / out["path"]
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with (project / "dvc.lock").open("w") as file:
        yaml.dump(lock, file)
    shutil.rmtree(project / ".dvc/cache")


def repro_until(reached: Callable[[], bool], how: signal.Signals, group: bool = True) -> tuple[bool, str]:
    """Start `dvc repro`, send a signal once `reached()`; (whether it was sent before the end, what was printed)."""
    log = Path("repro.log")
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro"], stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        while process.poll() is None and not reached():
            time.sleep(0.001)
        alive = process.poll() is None
        if alive:
            (os.killpg if group else os.kill)(process.pid, how)
        process.wait(timeout=60)
    return alive, log.read_text()


def finish(attempts: int = 1) -> str:
    """`dvc repro` to its end. More attempts for one whose killed predecessor left a stage running."""
    for _ in range(attempts - 1):
        process = subprocess.run([sys.executable, "-m", "dvc", "repro"], capture_output=True, text=True)
        if process.returncode == 0:
            return process.stdout
        assert "an earlier run of this stage still goes on" in process.stderr, process.stderr
        time.sleep(1)
    return dvc("repro")


def checkpoints(pattern: str) -> bool:
    return any(Path(".checkpoints").glob(pattern))


def committing() -> bool:
    """Whether DVC has put an output into its cache. (Lists of folders, *.dir, go there earlier.)"""
    return any(path.is_file() and not path.suffix for path in Path(".dvc/cache/files").rglob("*"))


@pytest.fixture
def untrained(finished):
    """(project with all up to tokenize, the dvc.lock and the outputs that it has to arrive at)"""
    expected = (finished / "dvc.lock").read_text(), contents(finished)
    forget(finished, AFTER_TOKENIZE)
    return finished, expected


def test_killed_at_many_moments(untrained):
    project, (lock, outputs) = untrained
    moments = {
        "a checkpoint is there": lambda: checkpoints("*.safetensors"),
        "a checkpoint is being written": lambda: checkpoints("*.part"),
        "the final save": lambda: Path("models/adapter").exists(),
        "DVC's commit": committing,
    }
    for moment, reached in moments.items():
        sent, log = repro_until(reached, signal.SIGKILL)
        assert sent, f"{moment} was not met: {log}"
        assert "Traceback" not in log
        going_on = "train: going on from step" in log
        assert going_on == (moment != "a checkpoint is there"), log
    finish()
    assert (project / "dvc.lock").read_text() == lock
    assert contents(project) == outputs
    assert not checkpoints("*")  # of no use once the result is in the cache


def test_dvc_alone_is_killed(untrained):
    """The training goes on without its parent; another one must not join in."""
    project, (lock, outputs) = untrained
    sent, log = repro_until(lambda: checkpoints("*.safetensors"), signal.SIGKILL, group=False)
    assert sent, log
    finish(attempts=10)
    assert (project / "dvc.lock").read_text() == lock
    assert contents(project) == outputs


def test_interrupted(untrained):
    project, (lock, outputs) = untrained
    sent, log = repro_until(lambda: checkpoints("*.safetensors"), signal.SIGINT)
    assert sent, log
    assert log.count("train: interrupted; `dvc repro` goes on from where this run was") == 1, log
    assert "Traceback" not in log
    output = dvc("repro")
    assert "train: going on from step" in output
    assert stages_run(output) == AFTER_TOKENIZE
    assert (project / "dvc.lock").read_text() == lock
    assert contents(project) == outputs
