"""What the files of this project import, read from their code."""

from functools import cache
from modulefinder import ModuleFinder

from tiny import ROOT

OURS = ("stages", "classifier", "apps", "benchmarks")


def modules(path: str) -> ModuleFinder:
    """What a file imports, directly or not, at the top or within a function."""
    finder = ModuleFinder(path=[str(ROOT)], excludes=["classifier.runner"])
    finder.run_script(str(ROOT / path))
    return finder


def package(path: str) -> str:
    """The room of classifier/ that a file belongs to, or the file itself."""
    return "/".join(path.split("/")[:2])


@cache
def imported(path: str) -> set[str]:
    """Our files that a file imports, directly or not, but for the runner's; and itself."""
    found = {name.replace(".", "/") for name in modules(path).modules if name.startswith(("stages.", "classifier."))}
    return {f"{name}.py" for name in found if (ROOT / f"{name}.py").is_file()} | {path}
