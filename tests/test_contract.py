"""dvc.yaml, params.yaml and the code say the same: deps are imports, params are signatures, nothing is unread."""

import subprocess
from modulefinder import ModuleFinder
from pathlib import Path

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from stages.params import BOUND, PARAMS, STAGES, section_fields, stage_function
from stages.train import CODE

ORDER = ["desc", "cmd", "deps", "params", "outs", "metrics", "plots"]


def load(name):
    return YAML(typ="safe").load((ROOT / name).read_text())


PIPELINE = load("dvc.yaml")["stages"]


def outputs(stage: dict) -> dict[str, dict]:
    """path -> its options, of all outputs of a stage."""
    listed = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    return {path: options for out in listed for path, options in ({out: {}} if isinstance(out, str) else out).items()}


def imported(module: str) -> set[str]:
    """The files under stages/ that a module imports, directly or not, at the top or within a function, and its own."""
    finder = ModuleFinder(path=[str(ROOT)])
    finder.run_script(str(ROOT / "stages" / f"{module}.py"))
    found = {name.replace(".", "/") + ".py" for name in finder.modules if name.startswith("stages.")}
    return found | {f"stages/{module}.py"}


def test_the_stages_in_running_order():
    assert list(PIPELINE) == list(STAGES)
    assert (ROOT / "stages/__init__.py").read_text() == ""  # DVC tracks no imports, so nothing may hide in it


@pytest.mark.parametrize("name", STAGES)
def test_stage(name):
    stage = PIPELINE[name]
    assert list(stage) == [key for key in ORDER if key in stage]
    assert stage["cmd"] == f"python -m stages.{name}"
    function = stage_function(name)
    assert function.__name__ == name

    code = [dep for dep in stage["deps"] if dep.endswith(".py")]
    assert set(code) == imported(name)
    assert code[0] == f"stages/{name}.py"
    assert code[1:] == sorted(code[1:])
    assert len(stage["deps"]) == len(set(stage["deps"]))
    earlier = {path for other in STAGES[: STAGES.index(name)] for path in outputs(PIPELINE[other])}
    template = {f"stages/{name}.md.j2"} & set(stage["deps"])
    assert set(stage["deps"]) - set(code) - template <= earlier | {"data/local"}

    assert not function.__kwdefaults__  # params.yaml decides
    expected = [name] if section_fields(function) else []
    for argument in function.__annotations__:
        expected += BOUND.get(argument, [])
    assert sorted(stage["params"]) == sorted(expected)


def test_a_checkpoint_is_keyed_by_the_code_that_shapes_the_weights():
    """All that train imports but what only reads and checks; see its CODE."""
    others = {"catalogue", "files", "params", "run"}
    assert {path.stem for path in CODE} == {Path(path).stem for path in imported("train")} - others


def test_params_has_exactly_the_keys_that_are_read():
    params = load(PARAMS)
    selections = {"dataset", "model", "method"}
    sections = {name: set(section_fields(stage_function(name))) for name in STAGES}
    sections = {name: keys for name, keys in sections.items() if keys}
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
