"""How a stage ends after an error. The refusals of each stage are in test_params.py, kills in test_kill.py."""

import errno
import hashlib
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import contents, dvc, git, refusal, stages_run
from killing import locked
from tiny import edit_params

from classifier.errors import InputError
from classifier.files.digests import sha256s
from classifier.runner.messages import message_of
from classifier.runner.params import STAGES
from stages.evaluate import evaluate
from stages.infer import infer
from stages.report import report
from stages.tokenize import tokenize


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("params.yaml: seed: fix it"), "params.yaml: seed: fix it"),
        (KeyboardInterrupt(), "interrupted; `dvc repro` continues, and training resumes from its last checkpoint"),
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
    line = message_of(error)
    assert line is None if message is None else line.startswith(message)


def test_a_stage_starts_without_what_takes_seconds_to_load():
    """A wrong setting is refused at once, before heavy libraries are imported."""
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
from classifier.runner.run import run
def {stage}(): print("offline:", os.environ.get("HF_HUB_OFFLINE"))
run({stage})
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout == f"offline: {None if stage in ('data', 'base_model') else 1}\n", answer.stderr


@pytest.mark.parametrize(
    ("stage", "missing"), [(tokenize, "data/raw"), (evaluate, "data/raw"), (infer, "models/base"), (report, "data/")]
)
def test_by_hand_without_its_inputs(project, capfd, stage, missing):
    line = refusal(stage, capfd)
    assert line.startswith(missing)
    assert line.endswith(f"not found; `dvc repro {stage.__name__}` makes it, `dvc pull` downloads it")


def test_in_another_folder(project, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert refusal(tokenize, capfd) == "dvc.yaml: not found; run this from the folder that holds it"


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
    before, objects = sha256s(Path("models"), Path("metrics")), cached(finished)
    assert "not put back" not in refuse_train(finished)
    assert sha256s(Path("models"), Path("metrics")) == before
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


@pytest.mark.parametrize(
    "module",
    [*(f"stages.{stage}" for stage in STAGES), "apps.infer", "apps.export", "apps.demo", "benchmarks.settings"],
)
@pytest.mark.filterwarnings("ignore:.* found in sys.modules after import of package:RuntimeWarning")
def test_help(project, monkeypatch, capfd, module):
    """--help tells what a command does, with an example. It does nothing else."""

    def run_command(*args: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [module, *args])
        with pytest.raises(SystemExit) as exit_status:
            runpy.run_module(module, run_name="__main__", alter_sys=True)  # like `python -m`, in this process
        return exit_status.value.code, capfd.readouterr().out

    status, answer = run_command("--help")
    assert status == 0
    examples = {"apps.infer": "python -m apps.infer --file"}
    examples |= {"apps.export": "make export", "apps.demo": "make demo"}
    assert examples.get(module, "make settings" if "bench" in module else f"dvc repro {module[7:]}") in answer
    refusal = "infer: '--no-such-option': no such option; see --help, or put -- before texts that begin with a dash"
    assert run_command("--no-such-option")[0] == (refusal if module == "apps.infer" else 2)
    assert not (project / "models").exists()
    assert git("status", "--porcelain") == ""
