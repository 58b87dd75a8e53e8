"""`make profile`, `make reruns`, `make growth`, `make cold` and `make busy` on the tiny project."""

import json
import re
import signal
import subprocess
import sys
from contextlib import chdir

import pandas as pd
import pytest
from commands import dvc, git, stages_run
from forking import run_module
from markdown_tables import rows_of
from tiny import edit_params, reviews

from benchmarks import busy, cold, growth, profile, reruns, set_scores, sets
from classifier.runner.params import STAGES

pytestmark = pytest.mark.usefixtures("matrix_rate")


def head() -> str:
    """Return the short hash of the last commit."""
    return git("rev-parse", "--short", "HEAD").strip()


@pytest.mark.parametrize(("short_epoch", "epochs"), [(8, ["short", "whole"]), (None, ["whole"])])
def test_profile_of_each_epoch(finished, capsys, short_epoch, epochs):
    edit_params(finished, **{"train.short_epoch": short_epoch})
    profile.main(steps=2)
    rows = rows_of(capsys.readouterr().out)
    assert [row[:2] for row in rows] == [
        [epoch, part] for epoch in epochs for part in ("the step, by the clock", *profile.KINDS, profile.REST)
    ]
    for first in range(0, len(rows), 6):
        (_, _, milliseconds, _, operations), *parts = rows[first : first + 6]
        assert float(milliseconds.replace(",", "")) > 0
        assert int(operations.replace(",", "")) > 50
        assert sum(float(row[2].replace(",", "")) for row in parts[:4]) > 0
        assert sum(float(row[3].rstrip("%")) for row in parts) == pytest.approx(100, abs=3)  # rounded shares


def test_kinds_of_work():
    names = ["aten::addmm", "aten::addmm_", "aten::gelu_backward", "ampere_sgemm_128x64", "aten::native_layer_norm"]
    kinds = ["matrix products", "matrix products", "GELU", "matrix products", "LayerNorm"]
    names += ["aten::bmm", "aten::_softmax_backward_data", "aten::add", "mkldnn::_linear_pointwise"]
    kinds += ["attention", "attention", "the rest", "matrix products"]
    assert [profile.kind_of(name) for name in names] == kinds


def test_reruns_beside_the_smallest_pipeline(finished, capsys, monkeypatch):
    """The smallest pipeline has as many stages, and both run nothing when they are timed."""
    printed = []

    def run_command(command, folder=None):
        if folder:  # its stages are no Python modules, which a fork could run
            out = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
            if command == ["dvc", "repro"]:
                printed.append(stages_run(out))
        elif command[0] == "dvc":
            printed.append(stages_run(dvc(*command[1:])))

    monkeypatch.setattr(reruns, "run_command", run_command)
    reruns.main(pairs=1)
    infer = ["infer"]
    assert printed[0] == []  # the project is finished
    assert len(printed[1]) == len(STAGES)
    assert printed[2:] == [[], [], [], [], infer, infer]
    rows = rows_of(capsys.readouterr().out)
    assert [(row[0], row[2]) for row in rows] == [
        ("dvc repro that runs nothing", "DVC alone"),
        ("dvc repro of infer", "loading the model"),
    ]


def test_growth_adds_texts_to_the_same_texts(finished, capsys, monkeypatch):
    measured = []

    def measure_process(command, folder):
        module, *args = command[2:]
        with chdir(folder):
            status, _, err = run_module(module, args)
            assert status == 0, err
            test = pd.read_parquet("data/raw/test.parquet")["text"].tolist()
            scored = pd.read_parquet("scored.parquet")["text"].tolist() if "--file" in args else test
        measured.append((module, test, scored))
        return {"resident GB": 0.7, "private GB": 0.5, "seconds": 1 + 0.01 * len(test)}

    monkeypatch.setattr(growth, "TIMES", (1, 4))
    monkeypatch.setattr(growth, "ROOT", finished)
    monkeypatch.setattr(growth, "measure_process", measure_process)
    unused = pd.DataFrame(reviews(400, seed=5), columns=["text", "label"])
    monkeypatch.setattr(growth, "unused_texts", unused.head)
    growth.main(texts=80)
    for number, (_, test, scored) in enumerate(measured):
        assert test == scored == unused["text"].head(80 if number < 4 else 320).tolist()
    rows = {(row[0], row[1]): row[2:] for row in rows_of(capsys.readouterr().out)}
    assert len(rows) == 8
    assert rows["evaluate", "80"] == rows["infer --file", "80"] == ["2", "22.5", "", "0.70", "0.50"]
    assert rows["evaluate", "320"] == rows["infer --file", "320"] == ["4", "13.1", "10.0", "0.70", "0.50"]
    assert rows["tokenize", "690"] == rows["baseline", "690"] == ["4", "6.1", "5.0", "0.70", "0.50"]


def test_cold_runs_are_cold_and_of_their_commit(finished, tmp_path, capfd, monkeypatch):
    """A script in place of dvc takes memory, writes an output, and fails if the output is there already."""
    git("commit", "-q", "--allow-empty", "-m", "later")
    fake = tmp_path / "setup/.venv/bin/dvc"
    fake.parent.mkdir(parents=True)
    fake.write_text(
        f"""#!{sys.executable}
import pathlib, subprocess, sys, time
assert sys.argv[1:] == ["repro", "--force"]
pathlib.Path("data/raw").mkdir()  # fails if it is there
pathlib.Path("metrics/data.json").unlink()  # fails if it was not restored
commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
print("ran at", commit, file=sys.stderr)
if commit == "{head()}":
    time.sleep(4)
    memory = b"x" * 300_000_000
"""
    )
    fake.chmod(0o755)
    monkeypatch.setattr(cold, "ROOT", finished)
    cold.main(than="HEAD~1", pairs=2, setup=f"cp -r {fake.parent.parent} .")
    printed = capfd.readouterr()
    ours, theirs = head(), git("rev-parse", "--short", "HEAD~1").strip()
    assert re.findall("ran at (.*)", printed.err) == [ours, theirs, theirs, ours]
    rows = rows_of(printed.out)
    assert [row[0] for row in rows] == [ours, theirs]
    assert 0.3 < float(rows[0][2]) < 0.4  # GB
    assert float(rows[1][2]) < 0.1
    assert float(rows[0][4]) > 3  # ratio to a run that only starts Python and Git
    fake.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(SystemExit, match="dvc repro failed, see above"):
        cold.main(than="HEAD~1", pairs=1, setup=f"cp -r {fake.parent.parent} .")


def test_beside_a_busy_program(finished, capfd, monkeypatch):
    """Four times are measured, the two ways to wait are compared, and the busy program is killed afterwards."""
    monkeypatch.setattr(busy, "STEPS", 1)
    monkeypatch.setattr(busy, "TEXTS", 4)
    started, popen = [], subprocess.Popen
    with monkeypatch.context() as patch:
        patch.setattr(busy.subprocess, "Popen", lambda command: started.append(popen(command)) or started[-1])
        busy.show_times()
    times = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert len(times) == 4
    assert min(times.values()) > 0
    assert [process.wait() for process in started] == [-signal.SIGKILL]
    environments, times = [], lambda settings: {"a step": 3.0 if settings else 4.0}
    monkeypatch.setattr(busy, "times_with", lambda settings: environments.append(settings) or times(settings))
    busy.main(pairs=2)
    sleeping = {"GOMP_SPINCOUNT": busy.SPINS}
    assert environments == [sleeping, {}, {}, sleeping]
    assert rows_of(capfd.readouterr().out) == [[], ["a step", "4.00", "3.00", "0.75", "0.75", "0.75"]][1:]


def test_prediction_sets(finished, capsys, monkeypatch):
    """Each task has rows in the simulation, and both scores have the coverage and the size of the pipeline's sets."""
    monkeypatch.setattr(sys, "argv", ["sets"])
    sets.main(draws=3, sizes=(60,))
    rows = rows_of(capsys.readouterr().out)
    assert {(row[0], row[1]) for row in rows} >= {("single-label", "2"), ("single-label", "10"), ("regression", "1")}
    assert all(float(row[-2].rstrip("%")) <= float(row[-3].rstrip("%")) <= float(row[-1].rstrip("%")) for row in rows)
    monkeypatch.setattr(set_scores, "LABELS", 4)
    set_scores.main(draws=1)
    rows = rows_of(capsys.readouterr().out)
    assert len(rows) == 12
    curve = pd.read_csv("metrics/sets.csv").set_index("target").loc[0.9]
    plain = next(row for row in rows if row[:3] == ["the default", "plain", "90%"])
    assert plain[3:6] == [f"{curve['coverage']:.1%}", f"{curve['mean_size']:.2f}", f"{curve['single']:.1%}"]
