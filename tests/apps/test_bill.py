"""The bill of materials of `make seal`."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tiny import ROOT

from apps.seal import sbom


def test_the_bill_lists_the_lock(monkeypatch):
    """Each package as packaging reads the lock, and torch. It has no time and no random number."""
    monkeypatch.chdir(ROOT)
    lines = re.findall(r"^\w[^\\\n]*", Path("requirements.txt").read_text(), re.MULTILINE)
    pins = {(pin.name, str(pin.specifier)[2:]) for pin in map(Requirement, lines)}
    torch = re.search(r'"torch==(.*?)"', Path("pyproject.toml").read_text())[1]
    bill = json.loads(sbom())
    assert {(entry["name"], entry["version"]) for entry in bill["components"]} == pins | {("torch", torch)}
    assert f"pkg:pypi/torch@{torch}" in {entry["purl"] for entry in bill["components"]}
    assert len(pins) > 100
    assert bill["metadata"] == {}
    assert "serialNumber" not in bill
    again = "from apps.seal import sbom; print(sbom(), end='')"
    assert subprocess.run([sys.executable, "-c", again], capture_output=True, text=True).stdout == sbom()


@pytest.mark.scale
def test_the_bill_is_valid(monkeypatch):
    pytest.importorskip("jsonschema", reason="make test-scale installs it")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    monkeypatch.chdir(ROOT)
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(sbom()) is None
    assert validator.validate_str(sbom().replace('"library"', '"film"', 1)) is not None
