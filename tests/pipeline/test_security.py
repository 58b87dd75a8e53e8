"""No pickle, no remote code, no shell: the calls that SECURITY.md rules out do not stand in the code."""

import ast

import pytest
from tiny import ROOT

RULED_OUT = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}  # modules that load code
FUNCTIONS = {"eval", "exec"}
METHODS = {"read_pickle", "unsafe_load", "full_load", "system", "popen"}
LOADS = {"torch", "np", "numpy", "yaml"}  # whose load() can run code


def offences(source: str) -> list[str]:
    """Line and name of whatever is ruled out."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [(node.lineno, alias.name) for alias in names if alias.name.split(".")[0] in RULED_OUT]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in RULED_OUT:
                found.append((node.lineno, module))
            case ast.Call(func=ast.Name(id=name)) if name in FUNCTIONS:
                found.append((node.lineno, name))
            case ast.Call(func=ast.Attribute(attr=name)) if name in METHODS:
                found.append((node.lineno, name))
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr="load")) if module in LOADS:
                found.append((node.lineno, f"{module}.load"))
            case ast.keyword(arg="trust_remote_code" | "shell" | "allow_pickle" as name):
                found.append((node.lineno, name))
    return [f"line {line}: {name}" for line, name in sorted(found)]


MODULES = sorted(path for folder in ("stages", "classifier", "apps") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules(path):
    assert offences(path.read_text()) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import json, pickle", ["pickle"]),
        ("from joblib.numpy_pickle import load", ["joblib.numpy_pickle"]),
        ("torch.load(path)", ["torch.load"]),
        ("np.load(path, allow_pickle=True)", ["allow_pickle", "np.load"]),
        ("yaml.load(text)", ["yaml.load"]),
        ("pd.read_pickle(path)", ["read_pickle"]),
        ("eval('1')", ["eval"]),
        ("AutoModel.from_pretrained(name, trust_remote_code=True)", ["trust_remote_code"]),
        ("subprocess.run(command, shell=True)", ["shell"]),
        ("os.system(command)", ["system"]),
        ("json.load(file); from_pretrained(name); subprocess.run(command)", []),
    ],
)
def test_each_is_found(line, found):
    assert offences(line) == [f"line 1: {name}" for name in found]
