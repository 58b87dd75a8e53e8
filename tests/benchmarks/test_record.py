"""The record of a benchmark: its result file, its table and the rate of the machine."""

import re
import sys
from importlib.metadata import version
from types import SimpleNamespace

import pandas as pd
import pytest
from commands import git, read
from markdown_tables import rows_of
from tiny import ROOT
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import record

RECORDED = sorted((ROOT / "benchmarks").glob("**/*.json"))


pytestmark = pytest.mark.usefixtures("matrix_rate")


def head() -> str:
    """Return the short hash of the last commit."""
    return git("rev-parse", "--short", "HEAD").strip()


def test_a_record_says_how_it_was_made(project, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(sys, "argv", ["speed.py", "--pairs", "3"])
    rows = pd.DataFrame({"what": ["x", "y"], "ratio": [1.234, None], "texts": [12345, 6]})
    columns = {"what": "", "texts": ",.0f", "ratio": ".2f"}
    started, commit = record.Record("speed", "What is measured."), head()
    git("commit", "-q", "--allow-empty", "-m", "while it ran")
    started.write(rows, columns)
    assert not (tmp_path / "results").exists()
    printed = capsys.readouterr().out
    machine = "(cpu, 1 threads); matrix products: 5 GFLOP/s in float32, 2 GFLOP/s in bfloat16"
    conditions = f"`python -m benchmarks.speed --pairs 3` at commit {commit}, on a machine {machine}; "
    assert printed.startswith(f"{conditions}torch {version('torch')}, ")
    assert rows_of(printed) == [["x", "12,345", "1.23"], ["y", "6", ""]]
    monkeypatch.setenv("MACHINE", "two-cores")
    monkeypatch.setenv("MACHINE_KIND", "2 cores of a kind")
    (project / "params.yaml").write_text("edited")
    record.Record("speed", "What is measured.").write(rows, columns)
    assert read(tmp_path / "results/two-cores/speed.json") == {
        "what": "What is measured.",
        "command": "python -m benchmarks.speed --pairs 3",
        "commit": f"{head()}+",
        "machine": f"2 cores of a kind {machine}",
        "versions": {library: version(library) for library in record.LIBRARIES},
        "columns": columns,
        "rows": [{"what": "x", "texts": 12345, "ratio": 1.234}, {"what": "y", "texts": 6, "ratio": None}],
    }


def test_a_table_of_a_result():
    """Columns with a format are aligned to the right. A missing value is an empty cell, an unknown key is not shown."""
    rows = [{"name": "a", "share": 0.125, "commit": "abc"}, {"name": "1 to 2", "share": None}, {"name": 3}]
    shown = record.table({"columns": {"name": "", "share": ".1%"}, "rows": rows})
    assert rows_of(shown) == [["a", "12.5%"], ["1 to 2", ""], ["3", ""]]
    assert re.fullmatch(r"\|:-+\|-+:\|", shown.splitlines()[1])


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_result_file_says_how_it_was_made(path):
    result = read(path)
    assert set(result) - {"versions"} == {"what", "command", "commit", "machine", "columns", "rows"}
    assert all(result[key] for key in result)
    assert not result["commit"].endswith("+")
    assert len(rows_of(record.table(result))) == len(result["rows"])
    assert {name for row in result["rows"] for name in row} - {"commit"} <= set(result["columns"])


def test_matrix_rate_counts_the_operations(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr("classifier.model.fast.linear.HAS_ONEDNN", False)  # torch counts no operations of oneDNN
    counted = FlopCounterMode(display=False)

    def blocked_autorange(timer, **options):
        with counted:
            timer.timeit(1)
        return SimpleNamespace(median=2.0)

    monkeypatch.setattr(Timer, "blocked_autorange", blocked_autorange)
    assert record.matrix_rate() == counted.get_total_flops() / 3 / 2.0  # timeit runs it twice more to warm up
