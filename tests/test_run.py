"""What a stage's error becomes; the refusals of each stage are in test_params.py, kills in test_kill.py."""

import errno
import runpy
import subprocess
import sys

import pytest
import torch
from conftest import contents, dvc, git, refusal, stages_run
from killing import locked
from tiny import edit_params

from stages.evaluate import evaluate
from stages.infer import infer
from stages.report import report
from stages.run import message_of
from stages.settings.errors import InputError
from stages.settings.params import STAGES
from stages.tokenize import tokenize


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("params.yaml: seed: fix it"), "params.yaml: seed: fix it"),
        (KeyboardInterrupt(), "interrupted; `dvc repro` goes on, and a training from where it was"),
        (MemoryError(), "out of memory; in params.yaml lower train.micro_batch_size (train), baseline.max_rows"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory; in params.yaml lower"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8 GiB)"), "out of memory; in params.yaml lower"),
        (RuntimeError("CUDA error: out of memory"), "out of memory; in params.yaml lower"),
        (ValueError("ran out of memory tests"), None),
        (OSError(errno.ENOSPC, "", "a/b"), "a/b: No space left on device; make room, then `dvc repro`"),
        (OSError(errno.EROFS, "", "a/b"), "a/b: Read-only file system; make it writable, then `dvc repro`"),
        (PermissionError(errno.EACCES, "", "a/b"), "a/b: Permission denied; make it readable and writable, then"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "disk: No space left on device; make room"),
        (ZeroDivisionError(), None),  # a defect of the code, which ends in a traceback
        (OSError(errno.ECONNRESET, ""), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_message_of(error, message):
    told = message_of(error)
    assert told is None if message is None else told.startswith(message)


def test_a_stage_starts_without_what_takes_seconds_to_load():
    """So that a wrong setting is refused at once."""
    code = f"""
import importlib, sys
for stage in {list(STAGES)}:
    importlib.import_module(f"stages.{{stage}}")
    loaded = {{"datasets", "matplotlib", "peft", "scipy", "sklearn", "torch", "transformers"}} & set(sys.modules)
    assert not loaded, (stage, loaded)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("stage", STAGES)
def test_only_two_stages_may_ask_the_hub(finished, stage):
    code = f"""
import os
from stages.run import run
def {stage}(): print("offline:", os.environ.get("HF_HUB_OFFLINE"))
run({stage})
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout == f"offline: {None if stage in ('data', 'base_model') else 1}\n", answer.stderr


@pytest.mark.parametrize(
    ("stage", "missing"), [(tokenize, "data/raw"), (evaluate, "data/raw"), (infer, "models/base"), (report, "data/")]
)
def test_by_hand_without_its_inputs(project, capfd, stage, missing):
    told = refusal(stage, capfd)
    assert told.startswith(missing)
    assert told.endswith(f"not there; `dvc repro {stage.__name__}` makes it, or `dvc pull` brings it")


def test_in_another_folder(project, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert refusal(tokenize, capfd) == "dvc.yaml: not found; run this from the folder that holds it"


def test_a_defect_leaves_the_last_outputs(finished):
    """What no one foresaw ends in a traceback, and loses nothing either."""
    expected = contents(finished)
    edit_params(finished, **{"train.seed": 14})
    code = finished / "stages/train.py"
    code.write_text(code.read_text().replace("    quiet()\n", "    quiet(1 / 0)\n"))
    assert "ZeroDivisionError" in dvc("repro", ok=False)
    assert contents(finished) == expected


def test_files_that_dvc_did_not_write_to_their_end(finished):
    """The fixes of docs/guarantees.md, for a kill or a power cut while it wrote."""
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
    (finished / "dvc.lock").unlink()  # where none was committed
    assert set(stages_run(dvc("repro"))) <= {"infer", "report"}  # their results are in Git only
    assert locked(finished) == expected


@pytest.mark.parametrize(
    "module",
    [*(f"stages.{stage}" for stage in STAGES), "stages.serving.export", "stages.serving.demo", "benchmarks.settings"],
)
@pytest.mark.filterwarnings("ignore:.* found in sys.modules after import of package:RuntimeWarning")
def test_help(project, monkeypatch, capfd, module):
    """What a command does and an example, and nothing done."""

    def told(*args: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [module, *args])
        with pytest.raises(SystemExit) as exit_status:
            runpy.run_module(module, run_name="__main__", alter_sys=True)  # as python -m, without a process of its own
        return exit_status.value.code, capfd.readouterr().out

    status, answer = told("--help")
    assert status == 0
    examples = {"stages.infer": "python -m stages.infer --file"}
    examples |= {"stages.serving.export": "make export", "stages.serving.demo": "make demo"}
    assert examples.get(module, "make settings" if "bench" in module else f"dvc repro {module[7:]}") in answer
    refusal = "infer: '--no-such-option': no such option; before texts that begin with a dash put --"
    assert told("--no-such-option")[0] == (refusal if module == "stages.infer" else 2)
    assert not (project / "models").exists()
    assert git("status", "--porcelain") == ""
