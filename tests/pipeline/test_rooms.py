"""A package of classifier/ imports only packages before it in the order. Files and functions stay short."""

import ast
import re
from pathlib import Path

from imports import OURS
from tiny import ROOT

ROOMS = [
    "errors",
    "params",
    "files",
    "sources",
    "text",
    "tables",
    "tasks",
    "baseline",
    "dataset",
    "distributed",
    "model",
    "training",
    "predict",
    "evaluation",
    "export",
    "runner",
    "scoring",
]


def named(path: Path) -> set[str]:
    """Our rooms and modules that one file names in its imports: their first two parts."""
    found = re.findall(rf"^ *(?:from|import) ((?:{'|'.join(OURS)})\b[\w.]*)", path.read_text(), re.MULTILINE)
    return {".".join(name.split(".")[:2]) for name in found}


def test_nothing_hides_in_an_init():
    """DVC tracks no imports, and a package's files are looked for by name."""
    found = [path for folder in OURS[:3] for path in (ROOT / folder).rglob("__init__.py")]
    assert found
    assert [path for path in found if path.read_text()] == [ROOT / "classifier/predict/__init__.py"]  # the front door


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


def test_files_and_functions_are_short():
    """As CONTRIBUTING.md says: fewer than 200 lines, and fewer than 50 that are not blank."""
    for path in sorted(path for folder in OURS for path in (ROOT / folder).rglob("*.py")):
        text = path.read_text()
        assert text.count("\n") < 200, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
                assert sum(map(bool, lines)) < 50, (path, node.name)


def test_files_of_tests_have_names_of_their_own():
    """The folders of tests/ are no packages, so Python would find one of two modules of a name."""
    names = sorted(path.name for path in (ROOT / "tests").rglob("*.py"))
    assert names == sorted(set(names))
