"""The walk-through of docs/how-to/experiments.md on the tiny project: experiments, a queue, the winner kept."""

import csv
import io
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from commands import dvc, flat, git, read, run_stages, stages_run
from ruamel.yaml import YAML
from tiny import ROOT, edit_params


def rank() -> int:
    return YAML(typ="safe").load(Path("params.yaml"))["methods"]["lora"]["peft"]["r"]


def test_every_metric_is_shown(finished):
    """DVC drops, without a word, what is no mapping."""
    metrics = json.loads(dvc("metrics", "show", "--json"))[""]["data"]
    assert len(metrics) == 5
    empty = [name for name, metric in metrics.items() if not metric["data"]]
    assert empty == ["metrics/export.json"]  # no form is written by default


def test_metrics_diff_between_branches(finished):
    git("switch", "-qc", "rank-2")
    edit_params(finished, **{"methods.lora.peft.r": 2})
    run_stages("train", "evaluate", "infer")
    workspace = json.loads(dvc("metrics", "diff", "--json"))  # HEAD against the workspace
    git("commit", "-qam", "rank 2")
    there = json.loads(dvc("metrics", "diff", "main", "rank-2", "--json"))
    back = json.loads(dvc("metrics", "diff", "rank-2", "main", "--json"))
    # What Git itself says has changed
    expected = {}
    for path in ("metrics/data.json", "metrics/baseline.json", "metrics/training.json", "metrics/evaluate.json"):
        old, new = (flat(json.loads(git("show", f"{branch}:{path}"))) for branch in ("main", "rank-2"))
        # A threshold that no text reaches has no accuracy.
        pairs = {name: (old.get(name), new.get(name)) for name in old | new}
        if changed := {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}:
            expected[path] = changed
    assert expected.keys() == {"metrics/training.json", "metrics/evaluate.json"}
    for diff, sign in ((there, 1), (workspace, 1), (back, -1)):
        assert {path: set(names) for path, names in diff.items()} == {k: set(v) for k, v in expected.items()}
        for path, names in expected.items():
            for name, values in names.items():
                old, new = values[::sign]
                assert (diff[path][name]["old"], diff[path][name]["new"]) == (old, new)
                if None not in values:
                    assert diff[path][name]["diff"] == pytest.approx(new - old)
    # LoRA of rank r on a linear layer with m inputs and n outputs trains r (m + n) numbers: per encoder layer
    # four of 32 by 32, one of 32 by 64 and one of 64 by 32; and the pooler's of 32 by 32.
    layers = 2 * (4 * 64 + 96 + 96) + 64
    assert there["metrics/training.json"]["trainable_parameters"]["diff"] == (2 - 8) * layers


def shell(line: str) -> str:
    if line.startswith("make "):
        line = line.replace("make", f"make -s -f {ROOT}/Makefile -o .venv/.ready", 1)
    process = subprocess.run(line, shell=True, capture_output=True, text=True)
    nothing_to_commit = line.startswith("git commit") and process.returncode == 1
    assert process.returncode == 0 or nothing_to_commit, process.stdout + process.stderr
    return process.stdout


@pytest.mark.scale
def test_walk_through(finished):
    """The lines of docs/how-to/experiments.md, as they stand there."""
    page = (ROOT / "docs/how-to/experiments.md").read_text()
    (block,) = re.findall(r"```bash\n(git commit .*?)```", page, re.DOTALL)
    lines = [re.sub(r" +#.*", "", line) for line in block.splitlines()]
    known = {"dvc queue status", "make table", "dvc metrics diff rank-2 rank-64", "dvc exp apply rank-64"}
    assert known <= set(lines)  # of which more is asked below
    for start in ("dvc exp run --name", "git checkout", "git switch"):
        assert any(line.startswith(start) for line in lines)
    for line in lines:
        told = shell(line)
        if line.startswith("dvc exp run --name"):
            assert rank() == 4
        elif line == "dvc queue status":
            deadline = time.monotonic() + 600
            while told.count("Success") < 2:
                assert "Failed" not in told
                assert time.monotonic() < deadline, told
                time.sleep(1)
                told = shell(line)
        elif line == "make table":
            rows = {row["Experiment"]: row for row in csv.DictReader(io.StringIO(shell(f"{line} SHOW=--csv")))}
            ranks = {name: row["methods.lora.peft.r"] for name, row in rows.items() if name}
            assert ranks == {"rank-2": "2", "rank-4": "4", "rank-64": "64"}
            losses = [float(rows[name]["validation_loss"]) for name in ranks]
            assert losses == sorted(losses)
            measures = {"metrics/training.json:validation_accuracy", "validation_loss"}  # none of the test split
            assert rows["rank-4"].keys() == {"Experiment", "methods.lora.peft.r"} | measures
        elif line == "dvc metrics diff rank-2 rank-64":
            change = re.search(r"training.json +trainable_parameters +(\d+) +(\d+) +(\d+)", told)
            assert int(change[2]) - int(change[1]) == int(change[3]) > 0
        elif line == "dvc exp apply rank-64":
            assert rank() == 64
            assert float(rows["rank-64"]["validation_loss"]) == read("metrics/training.json")["validation_loss"]
            assert stages_run(dvc("repro")) == []  # the model came with it
        elif line.startswith("git checkout"):
            assert rank() == 8
        elif line.startswith("git switch"):
            assert rank() == 64
    assert re.search(r"training.json +trainable_parameters +\d+ +\d+ +\d+", told)  # more than on main
    assert Path("dvc_plots/index.html").is_file()


def test_comment_of_a_pull_request(finished, tmp_path, monkeypatch):
    """The workflow's own script, with a `gh` that keeps the comment."""
    metrics = read("metrics/evaluate.json")
    git("update-ref", "refs/remotes/origin/main", "main")
    git("switch", "-qc", "change")
    Path("metrics/evaluate.json").write_text(json.dumps(metrics | {"accuracy": metrics["accuracy"] - 0.05}))
    git("commit", "-qam", "worse")
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/call; cp comment.md {tmp_path}\n')
    gh.chmod(0o755)
    workflow = YAML(typ="safe").load(ROOT / ".github/workflows/ci.yml")
    script = workflow["jobs"]["compare"]["steps"][-1]["run"]
    variables = {
        "BASE": "main",
        "NUMBER": "7",
        "RAW": "https://forge.example/raw/abc",
        "PAGE": "https://forge.example/1",
    }
    for name, value in (variables | {"PATH": f"{gh.parent}:{os.environ['PATH']}"}).items():
        monkeypatch.setenv(name, value)
    subprocess.run(["bash", "-e", "-c", script], check=True)
    assert (tmp_path / "call").read_text().startswith("pr comment 7 ")
    comment = (tmp_path / "comment.md").read_text()
    assert re.search(r"\| metrics/evaluate.json +\| accuracy +\| [\d.]+ +\| [\d.]+ +\| -0.05 +\|", comment)
    pictures = re.findall(r"/raw/abc/(\S+)\)", comment)
    assert len(pictures) == 4
    assert all(Path(name).is_file() for name in pictures)


def test_actions_are_pinned():
    uses = re.findall(r"uses: (\S+)", (ROOT / ".github/workflows/ci.yml").read_text())
    assert uses
    assert [name for name in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name)] == []
