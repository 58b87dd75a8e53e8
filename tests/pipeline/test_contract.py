"""dvc.yaml, params.yaml and the code say the same: deps are imports, params are signatures, nothing is unread."""

import ast
import itertools
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from modulefinder import ModuleFinder
from pathlib import Path

import pytest
from commands import contents
from dvc.repo import Repo
from packaging.requirements import Requirement
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
from classifier.runner.versions import VERSIONS, locked_versions
from classifier.scoring.parts import CODE as SCORING_CODE
from classifier.training.checkpoint import CODE

RUNNER = "classifier/runner"  # starts the stages, shapes no output, and is no dependency of theirs
# Packages that join, check, fetch, lock or show, and leave nothing of theirs in an output; and python-calamine, which
# reads Excel files and is installed only by those who have some.
NO_RESULT = {
    *(
        "charset-normalizer",
        "dvc",
        "dvc-data",
        "dvc-objects",
        "filelock",
        "httpx2",
        "huggingface-hub",
        "huggingface_hub",
        "packaging",
        "pydantic",
        "ruamel.yaml",
        "ruamel.yaml.clib",
    ),
    *("python-calamine", "tenacity", "tqdm", "typer"),
}
# Imported by what a stage imports, and not by what it calls there.
NOT_CALLED = {
    "base_model": {"pyarrow", "transformers"},  # files are copied; only whether a model is supported is looked up
    "infer": {"datasets", "pandas", "pyarrow"},
    "report": {"pyarrow"},
}
# Not imported here: what does the work inside scikit-learn and transformers' tokenizers.
INSIDE = {
    "tokenize": {"tokenizers"},
    "baseline": {"numpy", "scipy"},
    "train": {"tokenizers"},
    "evaluate": {"pillow", "tokenizers"},
    "infer": {"tokenizers"},
    "report": {"pillow"},
}
OURS = ("stages", "classifier", "apps", "benchmarks")
ORDER = ["desc", "cmd", "deps", "params", "outs", "metrics", "plots"]


def load(name):
    return YAML(typ="safe").load((ROOT / name).read_text())


PIPELINE = load("dvc.yaml")["stages"]


def outputs(stage: dict) -> dict[str, dict]:
    """path -> its options, of all outputs of a stage."""
    listed = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    return {path: options for out in listed for path, options in ({out: {}} if isinstance(out, str) else out).items()}


def modules(path: str) -> ModuleFinder:
    """What a file imports, directly or not, at the top or within a function."""
    finder = ModuleFinder(path=[str(ROOT)], excludes=["classifier.runner"])
    finder.run_script(str(ROOT / path))
    return finder


def package(path: str) -> str:
    """The room of classifier/ that a file belongs to, or the file itself."""
    return "/".join(path.split("/")[:2])


def imported(path: str) -> set[str]:
    """Our files that a file imports, directly or not, but for the runner's; and itself."""
    found = {name.replace(".", "/") for name in modules(path).modules if name.startswith(("stages.", "classifier."))}
    return {f"{name}.py" for name in found if (ROOT / f"{name}.py").is_file()} | {path}


def third_party(path: str) -> set[str]:
    """The distributions whose modules a file and what it imports name."""
    tree = [ast.parse((ROOT / file).read_text()) for file in imported(path)]
    names = {
        name
        for node in itertools.chain.from_iterable(map(ast.walk, tree))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    known = metadata.packages_distributions()
    return {known[top][0].lower() for name in names if (top := name.split(".")[0]) in known and top not in OURS}


def test_the_stages_in_running_order():
    assert list(PIPELINE) == list(STAGES)


def test_nothing_hides_in_an_init():
    """DVC tracks no imports, and a package's files are looked for by name."""
    found = [path for folder in OURS[:3] for path in (ROOT / folder).rglob("__init__.py")]
    assert found
    assert [path for path in found if path.read_text()] == [ROOT / "classifier/predict/__init__.py"]  # the front door


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


@pytest.mark.parametrize("name", STAGES)
def test_the_libraries_that_shape_a_stage_are_its_params(name):
    named = [names for param in PIPELINE[name]["params"] if isinstance(param, dict) for names in param.values()]
    versions = set(named[0]) if named else set()
    used = third_party(f"stages/{name}.py") - NO_RESULT
    assert NOT_CALLED.get(name, set()) <= used
    assert versions == used - NOT_CALLED.get(name, set()) | INSIDE.get(name, set())


def test_versions_are_those_of_the_lock():
    """As `make lock` writes them, and as packaging reads the lock and pyproject.toml, which has torch alone."""
    assert (ROOT / VERSIONS).read_text() == locked_versions() + "\n"
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    lines += tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pins = [Requirement(line.rstrip(" \\")) for line in lines if re.match(r"[\w.-]+==[\d.]+(?!.*\*)", line)]
    locked = {name: {str(pin.specifier)[2:] for pin in pins if pin.name == name} for name in load(VERSIONS)}
    stated = {name: {said} if isinstance(said, str) else set(said) for name, said in load(VERSIONS).items()}
    assert stated == locked
    assert 10 < len(stated) < 20


ROOMS = [
    "errors",
    "params",
    "files",
    "sources",
    "text",
    "tables",
    "dataset",
    "distributed",
    "model",
    "training",
    "predict",
    "evaluation",
    "runner",
    "scoring",
]


def test_rooms_have_an_order():
    """A room imports itself and what stands before it; a stage, no stage and not `scoring`; apps all but benchmarks."""
    there = {path.stem for path in (ROOT / "classifier").iterdir() if path.stem not in ("__init__", "__pycache__")}
    assert there == set(ROOMS)
    for path in sorted((ROOT / "classifier").rglob("*.py")):
        room = path.relative_to(ROOT / "classifier").parts[0].removesuffix(".py")
        if room != "__init__":
            admitted = {f"classifier.{name}" for name in ROOMS[: ROOMS.index(room) + 1]}
            assert named(path) <= admitted, path
    for path in sorted((ROOT / "stages").glob("*.py")):
        assert named(path) <= {f"classifier.{name}" for name in ROOMS[:-1]}, path
    for path in sorted((ROOT / "apps").rglob("*.py")):
        assert not any(name.startswith("benchmarks") for name in named(path)), path


def named(path: Path) -> set[str]:
    """Our rooms and modules that one file names in its imports: their first two parts."""
    found = re.findall(rf"^ *(?:from|import) ((?:{'|'.join(OURS)})\b[\w.]*)", path.read_text(), re.MULTILINE)
    return {".".join(name.split(".")[:2]) for name in found}


def test_a_checkpoint_is_keyed_by_the_code_that_shapes_the_weights():
    """Its key has the rooms that train imports, but those that only read, check and write."""
    others = {"classifier/errors.py", "classifier/files", "classifier/params", "stages/train.py"}
    assert {package(path) for path in imported("stages/train.py")} - others == {path.as_posix() for path in CODE}


def test_parts_of_a_scoring_are_keyed_by_the_code_that_shapes_them():
    others = {"classifier/errors.py", "classifier/files", "classifier/params"}
    shaping = {package(path) for path in imported("classifier/scoring/files.py")} - others
    assert shaping == {path.as_posix() for path in SCORING_CODE}


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


def test_dvc_lock_belongs_to_this_code_and_these_params(tmp_path, monkeypatch):
    """A change of stages/, params.yaml or versions.yaml is committed with the dvc.lock and metrics of its rerun. What
    only DVC's cache has, data/ and models/, is absent here, as in a fresh clone.
    """
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site-cache"))
    with Repo() as repo:
        changes = [(name, path, how) for name, parts in repo.status().items() for part in parts
                   for paths in (part.values() if isinstance(part, dict) else [{"dvc.yaml": part}])
                   for path, how in paths.items()]  # fmt: skip
    absent = [change for change in changes if change[2] in ("deleted", "not in cache")]
    assert {path.split("/")[0] for _, path, _ in absent} == {"data", "models"}
    assert [change for change in changes if change not in absent] == []
