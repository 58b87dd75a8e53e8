"""Tests of `make bench` on the tiny project: the timed calls, their order, their texts, and the recorded tables."""

import json
import re
import signal
import subprocess
import sys
from contextlib import chdir
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import dvc, git, predict, read, stages_run
from forking import run_module
from markdown_tables import rows_of
from tiny import ROOT, edit_params, reviews
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import busy, cold, growth, peers, profile, record, reruns, speed
from benchmarks.speed_training import tokenized, write_distilbert
from classifier.model.loading import load_classifier
from classifier.text.tokens import open_tokens
from classifier.training.training import Training

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
    counted = FlopCounterMode(display=False)

    def blocked_autorange(timer, **options):
        with counted:
            timer.timeit(1)
        return SimpleNamespace(median=2.0)

    monkeypatch.setattr(Timer, "blocked_autorange", blocked_autorange)
    assert record.matrix_rate() == counted.get_total_flops() / 3 / 2.0  # timeit runs it twice more to warm up


def test_both_sides_are_timed_in_turn(monkeypatch):
    order = []

    def taking(name, seconds):
        return lambda: order.append(name) or next(seconds)

    ours, theirs = taking("ours", iter([1, 2, 6])), taking("theirs", iter([6, 4, 3]))
    row = speed.time_both({"what": "x"}, [1e9] * 30, 3, ours, theirs)
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert row == {
        "what": "x",
        "ours, texts/s": 15,
        "theirs, texts/s": 7.5,
        "times as fast": 2,
        "lowest": 0.5,
        "highest": 6,
        "ours, of the matrix rate": 3,
    }


def test_speed_beside_the_peers(finished, tmp_path, capsys, monkeypatch):
    batches, take_step = [], Training.take_step

    def noted_step(self, step: int) -> tuple[float, float]:
        batches.append(self.plan.batch(step)[1])
        return take_step(self, step)

    trainings, trainer = [], peers.trainer

    def noted_trainer(settings, texts, *args):
        trainings.append((texts, settings.order))
        return trainer(settings, texts, *args)

    monkeypatch.setattr(peers, "trainer", noted_trainer)
    monkeypatch.setattr(Training, "take_step", noted_step)
    monkeypatch.setattr(speed, "write_distilbert", write_tiny_distilbert)
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("MACHINE", "mine")
    speed.main(steps=2, texts=20, pairs=1)
    assert [len(batch) for batch in batches] == [16] * 8  # the share of two steps of each case
    assert [sorted(np.concatenate(batches[:2])), sorted(np.concatenate(batches[3:5]))] == [list(range(32))] * 2
    assert [order for _, order in trainings] == ["sequential"] * 2 + [None] * 4
    (sequential, _), _, (texts, _), *_ = trainings
    assert sequential == [texts[row] for row in np.concatenate(batches[:2])]  # the frugal Trainer gets our batches
    assert capsys.readouterr().out.count("'train_samples_per_second'") == 6  # lines that Trainer prints
    rows = read(tmp_path / "results/mine/speed.json")["rows"]
    assert all(0 < row["ours, of the matrix rate"] < 10 for row in rows)  # shares of the fixture's matrix rate
    assert [row["equal labels"] is None for row in rows] == [True] * 6 + [False] * 2
    assert all(0 <= row["equal labels"] <= 1 for row in rows[6:])
    padded, whole = "Trainer, padded to the batch, no dropout", "Trainer, padded to the full length, dropout"
    assert [[row["what"], row["compared with"]] for row in rows] == [
        ["training, minilm, 24 tokens", padded],
        ["training, DistilBERT's size, 24 tokens", padded],
        ["training, minilm, 24 tokens", whole],
        ["training, minilm, 48 tokens", whole],
        ["training, DistilBERT's size, 24 tokens", whole],
        ["training, DistilBERT's size, 48 tokens", whole],
        ["scoring, 24 tokens", "pipeline, batches of 1"],
        ["scoring, 24 tokens", "pipeline, batches of 32"],
    ]


def write_tiny_distilbert(folder: Path) -> None:
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

    DistilBertModel(DistilBertConfig(dim=32, hidden_dim=64, n_layers=1, n_heads=2)).save_pretrained(folder)
    AutoTokenizer.from_pretrained("models/base").save_pretrained(folder)


def test_a_folder_of_another_length_and_encoder(finished, tmp_path):
    """tokenized() makes the folder that the stages before train would make. The current folder stays as it is."""
    write_distilbert(tmp_path / "large")
    before = git("status", "--porcelain")
    with tokenized(tmp_path / "large", 48, 20):
        tokens = open_tokens("train")
        assert (len(tokens), tokens.metadata["tokenize"]["max_length"]) == (20, 48)
    assert open_tokens("train").metadata["tokenize"]["max_length"] == 24
    assert git("status", "--porcelain") == before
    written = sum(path.stat().st_size for path in (tmp_path / "large").glob("*.safetensors"))
    assert written > 4 * 42e6  # DistilBERT's weights without the embeddings


def test_the_pipeline_gives_the_labels_of_infer(finished, tmp_path):
    texts = [text for text, _ in reviews(40) if len(text.split()) <= 22]  # no text is cut
    for part in load_classifier():
        part.save_pretrained(tmp_path / "model")
    expected = [label for label, _ in predict(texts)]
    assert set(expected) == {"negative", "positive"}
    assert peers.pipeline(str(tmp_path / "model"), 24, 4)(texts) == expected


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
    names += ["aten::bmm", "aten::_softmax_backward_data", "aten::add"]
    kinds += ["attention", "attention", "the rest"]
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
    eight, infer = 8, ["infer"]
    assert printed[0] == []  # the project is finished
    assert len(printed[1]) == eight
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
