"""What ends several processes becomes one line: the message of the process that failed first."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import contents, torchrun
from tiny import edit_params

from classifier.distributed.processes import CONNECTION_LOST, report_lost_connection
from classifier.errors import InputError
from classifier.runner import run as run_module
from classifier.runner.launch import cause_of_failure


@pytest.mark.parametrize(
    ("launcher", "changes", "line"),
    [
        (torchrun(2), {"train.learning_rate": 1e9, "train.max_grad_norm": 1e9}, "the training diverged by step"),
        (f"{torchrun(2)} --no-such-option", {}, "unrecognized arguments: --no-such-option"),
        ("no-such-launcher torchrun", {}, "LAUNCH=no-such-launcher torchrun in the environment: No such file or dir"),
        ("mpirun -n 2", {}, "LAUNCH=mpirun -n 2 in the environment: has no torchrun"),
        ('torchrun "', {}, "in the environment: No closing quotation"),
    ],
)
def test_a_failure_is_one_line(finished, request, monkeypatch, launcher, changes, line):
    """If the training diverges, a real torchrun has started new Pythons; the other cases fail in forks."""
    if not changes:
        request.getfixturevalue("forked_commands")
    edit_params(finished, **changes)
    monkeypatch.setenv("LAUNCH", launcher)
    before = contents(finished)
    process = subprocess.run([sys.executable, "-m", "stages.train"], capture_output=True, text=True)
    assert process.returncode == 1
    (message,) = process.stderr.splitlines()
    assert message.startswith("train: ")
    assert line in message
    assert contents(finished) == before


def test_a_full_gpu_is_no_lost_connection(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(RuntimeError, match="out of memory"), report_lost_connection():
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
    with pytest.raises(InputError, match=f"^{CONNECTION_LOST}: reset by peer$"), report_lost_connection():
        raise RuntimeError("reset by peer")


def test_a_failed_launch_leaves_no_unfinished_output(finished, monkeypatch):
    """evaluate writes a file, tokenize a folder."""
    file, folder = Path("data/predictions.parquet.part"), Path("data/tokens.part")

    def write_and_fail(module):
        file.touch()
        folder.mkdir()
        raise InputError("a rank was killed")

    monkeypatch.setattr(run_module, "launch", write_and_fail)
    for stage, part in (("evaluate", file), ("tokenize", folder)):
        with pytest.raises(InputError, match="killed"):
            run_module.launch_stage(stage)
        assert not part.exists()
        file.unlink(missing_ok=True)
        folder.rmdir() if folder.exists() else None


CAUSES = [  # a line of stderr and the message that it gives, best first
    ("train: params.yaml: lower it", "params.yaml: lower it"),
    ("Signal 9 (SIGKILL) received by PID 2", "a process was ended by SIGKILL"),
    ("Signal 15 (SIGTERM) received by PID 1", "a process was ended by SIGTERM"),
    (f"train: {CONNECTION_LOST}: reset by peer", f"{CONNECTION_LOST}: reset by peer"),
    ("torchrun: error: no such option", "torchrun: error: no such option"),
]


@pytest.mark.parametrize("best", range(len(CAUSES)))
def test_the_best_cause_becomes_the_message(best):
    """The order of the lines in stderr does not matter."""
    lines = [line for line, _ in CAUSES[best:]]
    for stderr in ("\n".join(lines), "\n".join(reversed(lines))):
        assert cause_of_failure(stderr, "train") == CAUSES[best][1]
