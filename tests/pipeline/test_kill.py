"""A run that is killed, interrupted or out of room loses nothing: the next one ends with the same dvc.lock."""

import hashlib
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest
from commands import contents, dvc, git, refusal, stages_run
from forking import run_dvc, start
from killing import locked, repro_until
from ruamel.yaml import YAML
from tiny import edit_params

from classifier.runner.run import run
from stages.train import train

pytestmark = pytest.mark.usefixtures("checkpoint_after_each_step")


def forget_training(project: Path) -> Path:
    """As if train had never run here; returns where DVC's cache will hold the weights."""
    weights = hashlib.md5((project / "models/adapter/adapter_model.safetensors").read_bytes()).hexdigest()
    cached = project / ".dvc/cache/files/md5" / weights[:2] / weights[2:]
    cached.unlink()
    shutil.rmtree(project / ".dvc/cache/runs")
    lock = locked(project)
    for out in lock["stages"].pop("train")["outs"]:
        path = project / out["path"]
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    YAML(typ="safe").dump(lock, project / "dvc.lock")
    return cached


def finish(attempts: int = 1) -> str:
    """`dvc repro` to its end. More attempts for one whose killed predecessor left a stage running."""
    for _ in range(attempts - 1):
        status, output = run_dvc(["repro"])
        if status == 0:
            return output
        assert "an earlier run of this stage is running" in output, output
        time.sleep(1)
    return dvc("repro")


def checkpoints(pattern: str) -> bool:
    return any(Path(".checkpoints").glob(pattern))


@pytest.fixture
def untrained(finished):
    """(project without its training, dvc.lock and outputs that it has to arrive at, the weights in the cache)"""
    expected = locked(finished), contents(finished)
    return finished, expected, forget_training(finished)


def test_killed_at_many_moments(untrained):
    project, (lock, outputs), cached = untrained
    moments = {
        "a checkpoint is there": lambda: checkpoints("*.safetensors"),
        # Between two checkpoints or in the write of one (a broken write has a test of its own, in test_checkpoint.py).
        "the run has gone on": lambda: "going on" in Path("repro.log").read_text(),
        "the final save": lambda: Path("models/adapter.part").exists() or Path("models/adapter").exists(),
        "DVC's commit": cached.exists,
    }
    for moment, reached in moments.items():
        for folder in ("models/adapter.part", "models/adapter"):  # of the kill before, if that met a save
            shutil.rmtree(folder, ignore_errors=True)
        sent, log = repro_until(reached, signal.SIGKILL, forked=True)
        assert sent, f"{moment} was not met: {log}"
        assert "Traceback" not in log
        going_on = "train: going on from step" in log
        assert going_on == (moment != "a checkpoint is there"), log
    assert stages_run(finish()) in (["train"], [])  # other bytes would rerun what follows; [] from the run-cache
    assert locked(project) == lock
    assert contents(project) == outputs


def test_a_killed_experiment_goes_on(untrained):
    project, (lock, outputs), _ = untrained
    checkpointed = partial(checkpoints, "*.safetensors")
    sent, log = repro_until(checkpointed, signal.SIGKILL, forked=True, command=["exp", "run"])
    assert sent, log
    git("switch", "-q", "main")  # which the killed DVC has left
    output = dvc("exp", "run")
    assert git("branch", "--show-current") == "main\n"
    assert "train: going on from step" in output
    assert stages_run(output) == ["train"]
    assert locked(project) == lock
    assert contents(project) == outputs


def test_dvc_alone_is_killed(untrained):
    """The training goes on without its parent; another one must not join in."""
    project, (lock, outputs), _ = untrained
    sent, log = repro_until(lambda: checkpoints("*.safetensors"), signal.SIGKILL, group=False, forked=True)
    assert sent, log
    finish(attempts=10)
    assert locked(project) == lock
    assert contents(project) == outputs


def test_two_at_once(untrained):
    """The second says so and leaves the first alone."""
    project, (lock, outputs), _ = untrained
    with Path("first.log").open("w") as log:
        first = start("dvc", ["repro"], log, log)
    while not checkpoints("*.safetensors"):
        assert first.poll() is None
        time.sleep(0.01)
    output = dvc("repro", ok=False)
    assert first.poll() is None, "the first was over before the second was refused"
    assert "is busy, it is being blocked by" in output
    assert "Traceback" not in output
    assert first.wait() == 0
    assert stages_run(Path("first.log").read_text())[0] == "train"
    assert locked(project) == lock
    assert contents(project) == outputs


def test_read_only_cache(finished):
    edit_params(finished, **{"train.seed": 14})
    cache = Path(".dvc/cache")
    if subprocess.run(["mount", "--bind", cache, cache], capture_output=True).returncode:
        pytest.skip("only root may mount")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", cache], check=True)
        output = dvc("repro", ok=False)
    finally:
        subprocess.run(["umount", cache], check=True)
    assert "Read-only file system" in output
    assert "Traceback" not in output
    output = dvc("repro")
    assert "train: going on from step 100 of 100" in output  # what was trained was kept
    assert stages_run(output)[0] == "train"


@pytest.mark.parametrize("folder", [".checkpoints", "models/adapter.part"])
def test_disk_full(finished, capfd, folder):
    """One line, and the next run with room succeeds."""
    expected = contents(finished)
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir()
    size = ["-o", "size=16k"]  # less than the weights, or than a checkpoint
    if subprocess.run(["mount", "-t", "tmpfs", *size, "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        message = refusal(train, capfd)
        assert "No space left on device" in message
        assert message.endswith("; make room, then `dvc repro`")
    finally:
        subprocess.run(["umount", folder], check=True)
    run(train)
    assert contents(finished) == expected


def test_interrupted(untrained):
    project, (lock, outputs), _ = untrained
    sent, log = repro_until(lambda: checkpoints("*.safetensors"), signal.SIGINT, forked=True)
    assert sent, log
    assert log.count("train: interrupted; `dvc repro` continues, and training resumes from its last") == 1, log
    assert "Traceback" not in log
    output = dvc("repro")
    assert "train: going on from step" in output
    assert stages_run(output) == ["train"]
    assert locked(project) == lock
    assert contents(project) == outputs


def test_files_that_dvc_did_not_write_to_their_end(finished):
    """The fixes in docs/explanation/reproducibility.md for a kill or a power cut while DVC writes its own files."""
    rwlock = finished / ".dvc/tmp/rwlock"
    rwlock.write_text("")
    assert "Unable to read RWLock-file '.dvc/tmp/rwlock'" in dvc("repro", ok=False)
    rwlock.unlink()
    assert stages_run(dvc("repro")) == []
    whole, expected = (finished / "dvc.lock").read_text(), locked(finished)
    for end in (0, whole.index("cmd:") + 4, whole.index("- path:") + 7, whole.index("md5:") + 3):
        (finished / "dvc.lock").write_text(whole[:end])
        assert "dvc.lock" in dvc("repro", ok=False)
        git("checkout", "-q", "dvc.lock")
    assert stages_run(dvc("repro")) == []
    git("rm", "-q", "--cached", "dvc.lock")
    (finished / "dvc.lock").unlink()  # as if none was committed
    assert set(stages_run(dvc("repro"))) <= {"infer", "report"}  # their results are in Git only
    assert locked(finished) == expected
