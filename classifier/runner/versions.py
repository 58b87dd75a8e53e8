"""The libraries' versions as inputs: versions.yaml, written from the lock, has those that some stage's params name.

python -m classifier.runner.versions     (part of `make lock`)
"""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from classifier.errors import InputError

VERSIONS = Path("versions.yaml")


def check_versions(packages: list[str]) -> None:
    """Raises InputError if one of the packages is installed in another version than versions.yaml says.

    A list there holds the lock's version for each Python. A build's own mark, as in 2.13.0+cpu, does not count.
    """
    from ruamel.yaml import YAML

    versions = YAML(typ="safe", pure=True).load(VERSIONS)
    for package in packages:
        admitted = versions[package] if isinstance(versions[package], list) else [versions[package]]
        try:
            found = metadata.version(package).partition("+")[0]
        except metadata.PackageNotFoundError:
            found = "not installed"
        if found not in admitted:
            raise InputError(
                f"{VERSIONS}: {package} is {' or '.join(admitted)}, but here {found}: `rm -r .venv; make env` installs "
                "the lock, or `make lock` makes what is asked for in pyproject.toml the lock"
            )


def locked_versions() -> str:
    """versions.yaml anew: each package that a stage in dvc.yaml names, as pyproject.toml or requirements.txt pin it."""
    from ruamel.yaml import YAML

    stages = YAML(typ="safe", pure=True).load(Path("dvc.yaml"))["stages"].values()
    named = {
        name
        for stage in stages
        for entry in stage["params"]
        if isinstance(entry, dict)
        for name in entry[str(VERSIONS)]
    }
    wanted = "\n".join(tomllib.loads(Path("pyproject.toml").read_text())["project"]["dependencies"])
    pins = re.findall(r"^([\w.-]+)==([\w.]+)(?=$| )", f"{wanted}\n{Path('requirements.txt').read_text()}", re.MULTILINE)
    lines = ["# Written by `make lock`. A stage whose params name a package here reruns when its version changes."]
    for name in sorted(named):
        versions = list(dict.fromkeys(version for package, version in pins if package == name))
        lines += [f'{name}: "{versions[0]}"'] if len(versions) == 1 else [f"{name}:", *(f'  - "{v}"' for v in versions)]
    return "\n".join(lines)


if __name__ == "__main__":
    VERSIONS.write_text(locked_versions() + "\n", encoding="utf-8")
