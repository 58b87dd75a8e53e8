"""Functions that run the commands and stages of a project in the current folder, and read its files."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from unittest.mock import patch

import forking
import pytest

from classifier.runner.params import stage_function
from classifier.runner.run import run

INFER = ["python", "-m", "apps.infer"]


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
        with patch.dict(os.environ):  # a stage sets variables for its process
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


def refusal(stage, capfd, **options) -> str:
    """Run a stage that must fail, check that it prints one line to stderr, and return the line after its name.

    options: of `run`.
    """
    capfd.readouterr()
    with pytest.raises(SystemExit) as exit_status:
        run(stage, **options)
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


def torchrun(count: int) -> str:
    """Return the value of LAUNCH that starts some processes."""
    return f"torchrun --nproc-per-node {count}"
