"""The libraries' versions as inputs of the stages.

`make lock` writes versions.yaml from pyproject.toml and requirements.txt (`python -m classifier.runner.versions`). The
file has the libraries that some stage names in its params in dvc.yaml.
"""

import functools
import re
import tomllib
from importlib import metadata
from pathlib import Path

from classifier.errors import InputError
from classifier.runner.yaml import parse_yaml

VERSIONS = Path("versions.yaml")


def check_versions(packages: list[str]) -> None:
    """Raise InputError if a package is installed in another version than versions.yaml has.

    If the locked version of a package depends on the version of Python, versions.yaml has a list of versions.
    """
    versions = parse_yaml(VERSIONS.read_text(encoding="utf-8"))
    for package in packages:
        admitted = versions[package] if isinstance(versions[package], list) else [versions[package]]
        if (installed := installed_version(package)) not in admitted:
            raise InputError(
                f"{VERSIONS}: {package}: {' or '.join(admitted)} is locked, {installed} is installed; "
                "`rm -r .venv; make env` installs the locked versions, `make lock` locks those of pyproject.toml"
            )


@functools.cache
def installed_version(package: str) -> str:
    """Return the version of an installed package, without the label of a build, as in 2.13.0+cpu.

    Returns "none" if the package is not installed.
    """
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return "none"


def locked_versions() -> str:
    """Return the text of versions.yaml: the pinned version of each package that a stage in dvc.yaml names."""
    stages = parse_yaml(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    entries = [entry for stage in stages for entry in stage["params"] if isinstance(entry, dict)]
    named = {name for entry in entries for name in entry[VERSIONS.name]}
    pins = pinned_packages()
    lines = ["# Written by `make lock`. A stage whose params name a package here reruns when its version changes."]
    for name in sorted(named):
        versions = list(dict.fromkeys(version for package, version in pins if package == name))
        lines += [f'{name}: "{versions[0]}"'] if len(versions) == 1 else [f"{name}:", *(f'  - "{v}"' for v in versions)]
    return "\n".join(lines)


def pinned_packages() -> list[tuple[str, str]]:
    """Return (name, version) of the packages that pyproject.toml and requirements.txt pin, in the order of these files.

    A package can have several versions, each for some versions of Python.
    """
    dependencies = "\n".join(tomllib.loads(Path("pyproject.toml").read_text())["project"]["dependencies"])
    pinned = f"{dependencies}\n{Path('requirements.txt').read_text()}"
    return re.findall(r"^([\w.-]+)==([\w.]+)(?=$| )", pinned, re.MULTILINE)


if __name__ == "__main__":
    VERSIONS.write_text(locked_versions() + "\n", encoding="utf-8")
