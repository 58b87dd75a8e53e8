"""How a stage starts, and what it refuses before its work and after it.

Refused settings are in test_params.py, the outputs of a refused stage in test_outputs.py, kills in test_kill.py.
"""

import os
import subprocess
import sys

import pytest
from commands import contents, refusal
from tiny import edit_params

from classifier.runner.params import STAGES
from classifier.runner.run import run
from stages.data import data
from stages.evaluate import evaluate
from stages.infer import infer
from stages.report import report
from stages.tokenize import tokenize
from stages.train import train


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
def test_only_two_stages_may_ask_the_hub(finished, forked_commands, stage):
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


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DEVICE", "gpu", "DEVICE=gpu in the environment: "),
        ("CHECKPOINT_MINUTES", "often", "CHECKPOINT_MINUTES=often in the environment: a number is needed"),
    ],
)
def test_what_the_environment_says_wrongly_is_refused(finished, capfd, monkeypatch, name, value, problem):
    monkeypatch.setenv(name, value)
    good = contents(finished)
    assert refusal(train, capfd).startswith(problem)
    assert contents(finished) == good


def test_a_second_run_of_a_stage_is_refused(project, capfd):
    """A killed `dvc repro` leaves its stage running. A second run must not write the same files."""
    hold = "with single_stage('data', launches=False): print(flush=True); time.sleep(60)"
    code = f"import time; from classifier.runner.locks import single_stage\n{hold}"
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=project)
    try:
        first.stdout.readline()
        assert refusal(data, capfd).startswith("an earlier run of this stage is running; wait or stop it (pgrep")
    finally:
        first.kill()  # frees the lock
        first.wait()
    run(data)
    assert os.listdir("data/raw")


@pytest.mark.parametrize("file", ["params.yaml", "classifier/files/writing.py"])
def test_edited_during_the_run(finished, capfd, monkeypatch, file):
    """DVC would record the edited file with the result of the original file (its issue 11058)."""
    import stages.tokenize

    def write_and_edit(*args, **kwargs):
        if file == "params.yaml":
            edit_params(finished, **{"tokenize.max_length": 16})
        else:
            (finished / file).write_text("# an edit")

    monkeypatch.setattr(stages.tokenize, "write_tokens", write_and_edit)
    assert refusal(tokenize, capfd).startswith("params.yaml or the code changed during the run")


def test_edits_of_other_stages_during_the_run(finished, monkeypatch):
    import stages.tokenize

    def write_and_edit(*args, **kwargs):
        edit_params(finished, **{"infer.texts": ["new"]})
        (finished / "stages/train.py").write_text("# an edit")

    monkeypatch.setattr(stages.tokenize, "write_tokens", write_and_edit)
    run(tokenize)
