"""dvc.yaml, params.yaml and the code say the same: deps are imports, params are signatures, nothing is unread."""

import re
import subprocess
from pathlib import Path

import pytest
from commands import contents
from imports import imported, package
from ruamel.yaml import YAML
from tiny import ROOT

from classifier.runner.params import (
    PARAMS,
    STAGES,
    argument_paths,
    arguments,
    load_params,
    section_model,
    stage_function,
)

RUNNER = "classifier/runner"  # starts the stages, shapes no output, and is no dependency of theirs
ORDER = ["desc", "cmd", "deps", "params", "outs", "metrics", "plots"]


def load(name):
    return YAML(typ="safe").load((ROOT / name).read_text())


PIPELINE = load("dvc.yaml")["stages"]


def outputs(stage: dict) -> dict[str, dict]:
    """path -> its options, of all outputs of a stage."""
    listed = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    return {path: options for out in listed for path, options in ({out: {}} if isinstance(out, str) else out).items()}


def test_the_stages_in_running_order():
    assert list(PIPELINE) == list(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_stage(name):
    stage = PIPELINE[name]
    assert list(stage) == [key for key in ORDER if key in stage]
    assert stage["cmd"] == f"python -m stages.{name}"
    function = stage_function(name)
    assert function.__name__ == name

    code = [dep for dep in stage["deps"] if dep.startswith(("stages/", "classifier/")) and not dep.endswith(".j2")]
    assert set(code) == {package(path) for path in imported(f"stages/{name}.py")} - {RUNNER}
    assert code[0] == f"stages/{name}.py"
    assert code[1:] == sorted(code[1:])
    assert len(stage["deps"]) == len(set(stage["deps"]))
    earlier = {path for other in STAGES[: STAGES.index(name)] for path in outputs(PIPELINE[other])}
    template = {f"stages/{name}.md.j2"} & set(stage["deps"])
    assert set(stage["deps"]) - set(code) - template <= earlier | {"data/local"}

    assert not function.__kwdefaults__  # params.yaml decides
    expected = {*argument_paths(function).values()}
    expected |= {selection for path in expected for selection in re.findall(r"\$\{(\w+)\}", path)}
    assert {param for param in stage["params"] if isinstance(param, str)} == expected


def test_the_runner_shapes_no_bytes(finished):
    """Each stage as a plain function call, without classifier/runner, writes the same bytes as under `dvc repro`."""
    expected = contents(finished)
    for path in expected:
        Path(path).unlink()
    params = load_params()
    for name in STAGES:
        stage = stage_function(name)
        stage(**arguments(stage, params))
    assert contents(finished) == expected


def test_params_has_exactly_the_keys_that_are_read():
    params = load(PARAMS)
    selections = {"dataset", "model", "method"}
    sections = {name: set(model.model_fields) for name in STAGES if (model := section_model(stage_function(name)))}
    assert set(params) == selections | {f"{key}s" for key in selections} | set(sections)
    for name, keys in sections.items():
        assert set(params[name]) == keys


def test_outputs_are_ignored_by_git_or_small_and_in_it():
    for stage in PIPELINE.values():
        for path, options in outputs(stage).items():
            if path.startswith("metrics/"):
                assert options["cache"] is False, path
            else:
                assert options == {}, path
                ignored = subprocess.run(["git", "check-ignore", "-q", "--no-index", path], cwd=ROOT)
                assert ignored.returncode == 0, f"{path} is not in .gitignore"
