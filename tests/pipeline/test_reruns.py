"""A stage reruns only if its params, inputs or code changed: one finished pipeline, then edits, each undone.

`dvc status` names the stages whose own params, code or inputs have changed; a stage further down reruns if these
leave other bytes, which the real runs at the end show.
"""

import os
import shutil
import subprocess
from copy import deepcopy
from pathlib import Path

import pytest
from commands import contents, dvc, git, stages_run
from dvc.dependency.base import Dependency
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo
from fsspec.implementations.memory import MemoryFileSystem
from ruamel.yaml import YAML
from tiny import edit_params

from classifier.files.digests import sha256_by_path
from classifier.runner.params import STAGES

ALL = set(STAGES)


def changed() -> set[str]:
    MemoryFileSystem.store.clear()  # it keeps the files of all Repos, and DVC looks through all of them
    with Repo() as repo:
        return set(repo.status())


def dependencies(params: bool) -> list[tuple[str, Dependency]]:
    """Return (stage, a dependency), as DVC reads dvc.yaml for what params.yaml selects.

    params: whether to return the params of the stages, or their files and folders.
    """
    MemoryFileSystem.store.clear()
    with Repo() as repo:
        deps = ((stage.addressing, dep) for stage in repo.index.stages for dep in stage.deps)
        return [(stage, dep) for stage, dep in deps if isinstance(dep, ParamsDependency) == params]


def changed_by(deps: list[tuple[str, Dependency]]) -> set[str]:
    """Return the stages of `changed` that have changed by these dependencies: to look at all takes longer."""
    return {stage for stage, dep in deps if dep.status()}


def dvc_stages() -> dict[str, dict]:
    return YAML(typ="safe").load(Path("dvc.yaml"))["stages"]


def leaves(node, path: tuple = ()):
    """(path, value) of everything in params.yaml that is not a mapping."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, node


def reruns(path: tuple) -> set[str]:
    """What depends on a leaf of params.yaml, written down by hand. The report names the settings."""
    match path:
        case ("report", "texts"):
            return {"infer", "report"}
        case ("data" | "baseline" | "evaluate" | "infer" | "export" | "report" as stage, *_):
            return {stage}
        case ("tokenize", "strip_markup"):
            return {"tokenize", "baseline", "report"}
        case ("tokenize" | "train" as stage, *_):
            return {stage, "report"}
        case ("datasets", "imdb-wheel", "source", *_):
            return {"data", "export"}
        case ("datasets", "imdb-wheel", *_):
            return {"data"}
        case ("models", "minilm", "source", *_):
            return {"base_model", "train", "export"}
        case ("models", "minilm", *_):
            return {"train"}
        case ("methods", "lora", *_):
            return {"train", "report"}
        case ("datasets" | "models" | "methods", *_):  # entries that are not selected
            return set()
        case ("dataset",):
            return {"data", "export", "report"}
        case ("model",):
            return {"base_model", "train", "export", "report"}
        case ("method",):
            return {"train", "report"}


# What an edit of a file reruns, by its name in stages/ or its room in classifier/.
CODE = {
    **{f"stages/{stage}.py": {stage} for stage in STAGES},
    "stages/report.md.j2": {"report"},
    "classifier/errors.py": ALL,
    "classifier/params": ALL,
    "classifier/files": ALL,
    "classifier/sources": {"data", "base_model"},
    "classifier/text": {"data", "tokenize", "baseline", "train", "evaluate", "infer", "export", "report"},
    "classifier/tables": {"data"},
    "classifier/tasks": {"data", "baseline", "train", "evaluate", "infer", "export", "report"},
    "classifier/baseline.py": {"baseline"},
    "classifier/dataset": {"data"},
    "classifier/distributed": {"tokenize", "train", "evaluate", "infer", "export", "report"},
    "classifier/model": {"train", "evaluate", "infer", "export", "report"},
    "classifier/training": {"train"},
    "classifier/predict": {"evaluate", "infer", "export", "report"},
    "classifier/evaluation": {"evaluate", "export", "report"},
    "classifier/export": {"export"},
    "classifier/runner": set(),  # messages, locks, the launcher
    "classifier/scoring": set(),
    "apps": set(),  # command lines
}
VERSIONS = {
    "captum": {"evaluate"},
    "datasets": {"data", "train", "evaluate", "export", "report"},
    "huggingface-hub": {"export"},
    "jinja2": {"export", "report"},
    "matplotlib": {"evaluate", "report"},
    "numpy": {"data", "tokenize", "baseline", "train", "evaluate", "infer", "export", "report"},
    "onnx": {"export"},
    "onnxruntime": {"export"},
    "onnxscript": {"export"},
    "pandas": {"data", "baseline", "train", "evaluate", "export", "report"},
    "pillow": {"evaluate", "report"},
    "peft": {"train", "evaluate", "infer", "export", "report"},
    "pyarrow": {"data", "tokenize", "baseline", "train", "evaluate", "export"},
    "safetensors": {"train", "evaluate", "infer", "export", "report"},
    "scikit-learn": {"data", "baseline", "evaluate"},
    "scipy": {"baseline", "train", "evaluate", "infer", "export", "report"},
    "tokenizers": {"tokenize", "train", "evaluate", "infer", "export"},
    "torch": {"train", "evaluate", "infer", "export"},
    "transformers": {"tokenize", "train", "evaluate", "infer", "export", "report"},
}


def test_every_leaf_of_params(finished):
    yaml = YAML(typ="safe")
    params = yaml.load(Path("params.yaml"))
    other = {"dataset": "imdb", "model": "distilbert", "method": "other"}

    def edit(path: tuple, value) -> None:
        section = params
        for key in path[:-1]:
            section = section[key]
        section[path[-1]] = other.get(path[-1], "x") if len(path) == 1 else ["edited", value]
        yaml.dump(params, Path("params.yaml"))

    for path, value in leaves(deepcopy(params)):
        if not reruns(path):
            edit(path, value)
    assert changed() == set()  # all of what is not selected at once
    for catalogue, name in other.items():  # a shorter file is read sooner
        entries = params[f"{catalogue}s"]
        params[f"{catalogue}s"] = {params[catalogue]: entries[params[catalogue]], name: {"peft": "full"}}
    yaml.dump(params, Path("params.yaml"))
    assert changed() == set()
    good = deepcopy(params)
    used = [(path, value) for path, value in leaves(params) if reruns(path)]
    assert len(used) > 40
    params_of_stages = dependencies(params=True)
    for path, value in used:
        edit(path, value)
        is_selection = len(path) == 1
        assert changed_by(dependencies(params=True) if is_selection else params_of_stages) == reruns(path), path
        params = deepcopy(good)
    yaml.dump(params, Path("params.yaml"))
    assert changed() == set()


def test_every_module(finished):
    """Edit a file of each suffix in each folder of stages/, classifier/ and apps/; compare the stages that would rerun.

    dvc.yaml names whole folders of classifier/, so another file of the same folder and suffix reruns the same stages.
    """
    code = {path for stage in dvc_stages().values() for path in stage["deps"] if path.startswith("classifier/")}
    assert all(Path(path).is_dir() for path in code - {"classifier/errors.py", "classifier/baseline.py"})
    packages, edited, files_of_stages = set(), set(), dependencies(params=False)
    for path in sorted(path for folder in ("stages", "classifier", "apps") for path in Path(folder).rglob("*.*")):
        if "__pycache__" in path.parts or path.name == "__init__.py":
            continue
        package = "apps" if path.parts[0] == "apps" else "/".join(path.parts[:2])
        packages.add(package)
        kind = path if path.parts[0] == "stages" else (path.parent, path.suffix)
        if kind in edited:
            continue
        edited.add(kind)
        good = path.read_bytes()
        path.write_bytes(good + b"# an edit\n")
        assert changed_by(files_of_stages) == CODE[package], path
        path.write_bytes(good)
    assert packages == CODE.keys()
    assert changed() == set()


def test_every_version(finished):
    """An upgrade reruns the stages that it may change, and is refused until it is installed."""
    yaml = YAML(typ="safe")
    good = Path("versions.yaml").read_text()
    versions = yaml.load(good)
    assert versions.keys() == VERSIONS.keys()
    params_of_stages = dependencies(params=True)
    for package in versions:
        yaml.dump(versions | {package: "0.0.1"}, Path("versions.yaml"))
        assert changed_by(params_of_stages) == VERSIONS[package], package
    yaml.dump(versions | {"peft": "0.0.1"}, Path("versions.yaml"))
    assert "peft" in dvc("params", "diff", "--targets", "versions.yaml")
    output = dvc("repro", ok=False)
    assert f"train: versions.yaml: peft: 0.0.1 is locked, {versions['peft']} is installed; " in output
    assert "Traceback" not in output
    Path("versions.yaml").write_text(good)
    assert stages_run(dvc("repro")) == []


def test_what_changes_no_stage(finished):
    params = Path("params.yaml")
    text = params.read_text()
    params.write_text("# a comment\n" + text.replace("\n\n", "\n# another\n\n"))
    assert changed() == set()
    yaml = YAML(typ="safe")
    values = yaml.load(text)
    values = {key: dict(reversed(value.items())) if isinstance(value, dict) else value for key, value in values.items()}
    yaml.dump(dict(reversed(values.items())), params)
    assert changed() == set()
    params.write_text(text)
    room = Path("classifier/training")
    for path in (*Path("stages").iterdir(), *room.iterdir(), *Path("data/raw").iterdir(), params, Path("dvc.yaml")):
        os.utime(path)
    left = [f"{room}/{name}" for name in (".training.py.swp", "training.py~", "#training.py#", ".DS_Store")]
    before = sha256_by_path(room)
    for name in ("README.md", "stages/new.py", "data/notes.txt", "data/local/.DS_Store", ".checkpoints/x", *left):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("new")
    Path("stages/__pycache__").mkdir(exist_ok=True)
    assert changed() == set()
    assert sha256_by_path(room) == before  # by which a training in progress is known


def test_local_data_reruns_data_alone(finished):
    Path("data/local/README.md").write_text("new")
    assert changed() == set()
    Path("data/local/reviews.csv").write_text("text,label\n")
    assert changed() == {"data"}


def test_real_runs(finished):
    """Edits, their undoing and lost files, with what runs in fact, down to the last stage."""
    good = contents(finished)
    undo = ["git", "checkout", "-q", "params.yaml", "stages", "dvc.lock"]

    # Another comment leaves the same bytes, so nothing further down runs.
    with Path("stages/tokenize.py").open("a") as file:
        file.write("# an edit\n")
    assert stages_run(dvc("repro")) == ["tokenize"]
    assert contents(finished) == good
    subprocess.run(undo, check=True)
    assert stages_run(dvc("repro")) == []

    # Another method and back: what DVC has is not made again. It has not the samples and the report, which are in Git.
    edit_params(finished, **{"methods.head": {"peft": "head"}, "method": "head"})
    assert stages_run(dvc("repro")) == ["train", "evaluate", "infer", "export", "report"]
    edit_params(finished, method="lora")
    assert stages_run(dvc("repro")) == ["infer", "report"]
    assert contents(finished) == good

    # Scoring in another precision changes the results, and so the report.
    edit_params(finished, **{"evaluate.precision": "bf16"})
    assert stages_run(dvc("repro")) == ["evaluate", "export", "report"]
    edit_params(finished, **{"evaluate.precision": "fp32"})
    assert stages_run(dvc("repro")) == ["report"]
    assert contents(finished) == good

    # What is lost comes back from the cache.
    shutil.rmtree("models/adapter")
    Path("metrics/data.json").unlink()
    assert stages_run(dvc("repro")) == []
    assert contents(finished) == good
    for folder in ("data/raw", "data/tokens", "models", "metrics"):
        shutil.rmtree(folder)
    git("checkout", "-q", "metrics")
    dvc("checkout")
    assert stages_run(dvc("repro")) == []
    assert contents(finished) == good


def test_a_selection_edited_during_an_earlier_stage(finished):
    """DVC looks up what is selected when it begins, a stage when it starts; the results must not be mistaken."""
    edit_params(finished, **{"methods.head": {"peft": "head"}, "train.seed": 14, "baseline.c": 9.0})
    with Path("stages/baseline.py").open("a") as file:
        file.write(
            "    params = METRICS.with_name('params.yaml')\n"
            "    params.write_text(params.read_text().replace('method: lora', 'method: head'))\n"
        )
    ran = stages_run(dvc("repro"))
    assert ran.index("baseline") < ran.index("train")
    assert not Path("models/adapter/adapter_config.json").exists()  # the head alone was trained
    assert "train" in changed()
    edit_params(finished, method="lora")
    assert "train" in changed()
    dvc("repro")
    assert Path("models/adapter/adapter_config.json").exists()


@pytest.mark.scale
def test_switching_back_runs_nothing(finished):
    good, params = contents(finished), YAML(typ="safe").load(Path("params.yaml"))
    edit_params(
        finished,
        **{
            "datasets.other": params["datasets"]["imdb-wheel"] | {"train": 100},
            "models.other": params["models"]["minilm"] | {"learning_rate": 0.002},
        },
    )
    for selection, expected in (("dataset", {"data", "tokenize", "train"}), ("model", {"train"})):
        edit_params(finished, **{selection: "other"})
        assert expected <= set(stages_run(dvc("repro")))
        assert contents(finished) != good
        edit_params(finished, **{selection: params[selection]})
        assert set(stages_run(dvc("repro"))) <= {"infer", "report"}
        assert contents(finished) == good
