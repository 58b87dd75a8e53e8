"""The fixture of the tests of `apps.new`."""

from pathlib import Path

import pytest
from tiny import ROOT


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with params.yaml, an empty data/local/, and a folder named elsewhere; the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("data/local").mkdir(parents=True)
    Path("elsewhere").mkdir()
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    return tmp_path
