"""The libraries that shape a stage are among its params, and versions.yaml has the versions of the lock."""

import ast
import itertools
import re
import tomllib
from importlib import metadata

import pytest
from imports import OURS, imported
from packaging.requirements import Requirement
from ruamel.yaml import YAML
from tiny import ROOT

from classifier.runner.params import STAGES
from classifier.runner.versions import VERSIONS, locked_versions

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
    "data": {"scipy", "torch"},  # a task's module also has the loss, the calibration and the baseline
    # Files are copied; only whether a model is supported is looked up.
    "base_model": {"numpy", "pandas", "pyarrow", "transformers"},
    "tokenize": {"pandas", "torch"},  # torch only connects the processes
    "baseline": {"torch"},
    "train": {"scikit-learn"},
    "infer": {"datasets", "pandas", "pyarrow", "scikit-learn"},
    "export": {"matplotlib", "pillow", "scikit-learn"},
    "report": {"pyarrow", "scikit-learn", "torch"},
}
# Not imported here: what does the work inside scikit-learn, transformers' tokenizers and torch's export of ONNX graphs;
# and huggingface_hub, which writes a part of the model card.
INSIDE = {
    "tokenize": {"tokenizers"},
    "baseline": {"numpy", "scipy"},
    "train": {"tokenizers"},
    "evaluate": {"pillow", "tokenizers"},
    "infer": {"tokenizers"},
    "export": {"huggingface-hub", "onnxscript", "tokenizers"},
    "report": {"pillow"},
}


def load(name):
    return YAML(typ="safe").load((ROOT / name).read_text())


PIPELINE = load("dvc.yaml")["stages"]
KNOWN = metadata.packages_distributions()  # module -> the installed packages that have it


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
    return {KNOWN[top][0].lower() for name in names if (top := name.split(".")[0]) in KNOWN and top not in OURS}


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
