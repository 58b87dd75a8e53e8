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
from conftest import dvc, git, predict, stages_run
from forking import run_module
from markdown_tables import rows_of, shows
from tiny import ROOT, edit_params, reviews
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import busy, cold, growth, peers, profile, record, reruns, speed
from benchmarks.speed_training import tokenized, write_distilbert
from classifier.model.loading import load_classifier
from classifier.text.tokens import open_tokens
from classifier.training.training import Training

pytestmark = pytest.mark.usefixtures("matrix_rate")


def head() -> str:
    """Return the short hash of the last commit."""
    return git("rev-parse", "--short", "HEAD").strip()


def test_a_record_says_how_it_was_made(project, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(sys, "argv", ["speed.py", "--pairs", "3"])
    table, started, commit = pd.DataFrame({"what": ["x"], "ratio": [1.234]}), record.Record("speed"), head()
    git("commit", "-q", "--allow-empty", "-m", "while it ran")
    started.write(table)
    assert not (tmp_path / "results").exists()
    printed = capsys.readouterr().out
    assert printed.startswith(f"`python -m benchmarks.speed --pairs 3` at commit {commit}, on cpu with 1 threads; ")
    assert f"5 GFLOP/s in float32, 2 GFLOP/s in bfloat16; torch {version('torch')}, " in printed
    assert rows_of(printed) == [["x", "1.23"]]
    monkeypatch.setenv("MACHINE", "two-cores")
    (project / "params.yaml").write_text("edited")
    record.Record("speed").write(table)
    assert (tmp_path / "results/two-cores/speed.md").read_text() == printed.replace(commit, f"{head()}+")


def test_matrix_rate_counts_the_operations(monkeypatch):
    monkeypatch.undo()
    counted = FlopCounterMode(display=False)

    def blocked_autorange(timer, **options):
        with counted:
            timer.timeit(1)
        return SimpleNamespace(median=2.0)

    monkeypatch.setattr(Timer, "blocked_autorange", blocked_autorange)
    assert record.matrix_rate() == counted.get_total_flops() / 3 / 2.0  # timeit runs it twice more to warm up


def test_docs_show_what_was_recorded():
    page, paths = (ROOT / "docs/performance.md").read_text(), sorted((ROOT / "benchmarks/results").glob("*/*.md"))
    assert paths
    for path in paths:
        conditions, _, table = path.read_text().partition("\n\n")
        assert shows(page, table), path
        commit = conditions.split("commit ")[1].split(",")[0]
        assert commit in page
        assert "+" not in commit


def test_readme_says_what_was_recorded():
    """Each column of speed ratios in README.md holds those of one machine, in the order of its tables.

    They are the rows of speed.md and then the first row of reruns.md, inverted. The next column holds the lowest and
    the highest ratio.
    """
    ratio, extremes, shown = re.compile(r"\d+\.\d\d"), re.compile(r"([\d.]+) to ([\d.]+)"), {}
    for row in rows_of((ROOT / "README.md").read_text()):
        for column in range(len(row) - 1):
            if ratio.fullmatch(row[column]) and extremes.fullmatch(row[column + 1]):
                shown.setdefault(column, []).append(row[column : column + 2])
    assert shown
    recorded = []
    for path in (ROOT / "benchmarks/results").glob("*/speed.md"):
        idle = rows_of(path.with_name("reruns.md").read_text())[0]
        low, high = map(float, extremes.fullmatch(idle[5]).groups())
        inverse = [f"{1 / float(idle[4]):.2f}", f"{1 / high:.2f} to {1 / low:.2f}"]
        recorded.append([*(row[3:5] for row in rows_of(path.read_text())), inverse])
    assert all(len(rows) > 5 for rows in recorded)
    assert sorted(shown.values()) == sorted(recorded)


def test_both_sides_are_timed_in_turn(monkeypatch):
    order = []

    def taking(name, seconds):
        return lambda: order.append(name) or next(seconds)

    row = speed.time_both("x", [1e9] * 30, 3, taking("ours", iter([1, 2, 6])), taking("theirs", iter([6, 4, 3])))
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert row == {
        "what": "x",
        "ours, texts/s": 15,
        "theirs, texts/s": 7.5,
        "as fast": 2,
        "in each pair": "0.50 to 6.00",
        "ours, of the matrix rate": "300%",
    }


def test_speed_beside_the_peers(finished, capsys, monkeypatch):
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
    speed.main(steps=2, texts=20, pairs=1)
    assert [len(batch) for batch in batches] == [16] * 8  # 2, 2 and 1 steps, and 3 of the large encoder
    assert [sorted(np.concatenate(batches[:2])), sorted(np.concatenate(batches[2:4]))] == [list(range(32))] * 2
    assert [order for _, order in trainings] == [None, "sequential", None] * 2
    (texts, _), (sequential, _), *_ = trainings
    assert sequential == [texts[row] for row in np.concatenate(batches[2:4])]  # the frugal Trainer gets our batches
    printed = capsys.readouterr().out
    assert printed.count("'train_samples_per_second'") == 6  # lines that Trainer prints
    assert all(
        0 < float(row[5].rstrip("%")) < 1000 for row in rows_of(printed)[:6]
    )  # shares of the fixture's matrix rate
    assert [row[0].split(";")[0] for row in rows_of(printed)] == [
        *["training, minilm, 24 tokens"] * 2,
        "training, minilm, 48 tokens",
        *["training, DistilBERT's size, 24 tokens"] * 2,
        "training, DistilBERT's size, 48 tokens",
        *["scoring, 24 tokens"] * 2,
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
    assert [row[0] for row in rows] == epochs
    for _, milliseconds, operations, *kinds in rows:
        by_kind = [float(kind.split()[0]) for kind in kinds]
        assert float(milliseconds) > 0
        assert int(operations) > 50
        assert sum(by_kind[:4]) > 0


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
    assert [row[0] for row in rows] == [f"at commit {ours}", f"at commit {theirs}"]
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
    assert rows_of(capfd.readouterr().out) == [[], ["a step", "4.00", "3.00", "0.75", "0.75 to 0.75"]][1:]
