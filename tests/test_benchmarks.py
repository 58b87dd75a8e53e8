"""The settings that `make bench` compares: each is valid, a row is measured again only if what it depends on changed,
and README.md shows what was measured.
"""

import re
import sys
from functools import reduce
from operator import getitem
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import git, read
from matplotlib.testing.compare import compare_images
from ruamel.yaml import YAML
from tiny import ROOT, edit_params, reviews

from benchmarks import peers, settings, speed, time_to_accuracy
from benchmarks.time_to_accuracy import Run
from stages.classifier.tokens import open_tokens
from stages.classifier.training import Training
from stages.infer import predict
from stages.settings.params import load_params
from stages.use.loading import load_classifier


@pytest.mark.parametrize("name", settings.SETTINGS)
def test_each_setting_is_one_of_params(project, name):
    values = YAML(typ="safe").load("\n".join(settings.SETTINGS[name]).replace("=", ": "))
    shipped = YAML(typ="safe").load(project / "params.yaml")
    for key in values:
        *path, last = key.split(".")
        assert last in reduce(getitem, path, shipped)  # whether peft's settings are misspelt, only train can tell
    edit_params(project, **values)
    load_params()
    assert (YAML(typ="safe").load(project / "params.yaml") == shipped) == (name == settings.DEFAULT)


@pytest.mark.scale
def test_a_setting_is_measured(finished, monkeypatch, capfd):
    monkeypatch.setattr(settings, "VALIDATION", 40)
    overrides = ["methods.lora.peft.r=2", "train.epochs=1"]
    row = settings.measure("rank 2", overrides)
    assert row["commit"] == git("rev-parse", "--short", "HEAD").strip()
    assert row["digest"] == settings.digest(overrides)
    assert row["trainable_parameters"] == 2 * (2 * (4 * 64 + 96 + 96) + 64) + 2 * 32 + 2  # see test_experiments; head
    assert row["validation_accuracy"] * 40 == pytest.approx(round(row["validation_accuracy"] * 40))
    assert re.search(rf"^train: {row['train_seconds']} s on", capfd.readouterr().out, re.MULTILINE)
    assert read(finished / "metrics/data.json")["validation"] == 60  # this folder stays as it was
    with pytest.raises(SystemExit, match="rank 0: training failed, see above"):
        settings.measure("rank 0", ["methods.lora.peft.r=0"])  # train refuses it at its start


@pytest.fixture
def bench(project, monkeypatch):
    """`make bench` of three settings, without the trainings: a function that returns the names of those it measures."""
    measured = []

    def measure(name, overrides):
        measured.append(name)
        numbers = {"validation_accuracy": 0.9, "validation_loss": 0.3, "learning_rate": 1e-3, "trainable_parameters": 9}
        made_with = {"commit": settings.commit(), "digest": settings.digest(overrides)}
        return {"setting": name, **numbers, "train_seconds": 1, **made_with}

    def run():
        measured.clear()
        settings.main()
        return measured

    three = {name: settings.SETTINGS[name] for name in ("rank 2", "rank 8", "method head")}
    for name, value in {"SETTINGS": three, "RESULTS": Path("settings.csv"), "measure": measure}.items():
        monkeypatch.setattr(settings, name, value)
    monkeypatch.setattr(settings, "draw", lambda results, path: None)
    monkeypatch.setattr(sys, "argv", ["bench"])
    return run


def test_what_is_fresh_is_not_measured(bench, project, tmp_path, monkeypatch):
    assert bench() == list(settings.SETTINGS)
    assert bench() == []
    edit_params(project, **{"infer.texts": ["No training depends on it."]})
    assert bench() == []
    git("add", "-A")
    git("commit", "-qm", "measured")
    git("clone", "-q", ".", str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    assert bench() == []


def test_what_is_stale_is_measured(bench, project, capsys):
    bench()
    at = settings.commit()
    edit_params(project, **{"methods.head.learning_rate": 0.1})
    assert bench() == ["method head"]
    commits = settings.read_results().set_index("setting")["commit"]
    assert commits.to_dict() == {"rank 2": at, "rank 8": at, "method head": f"{at}+"}
    assert f"{at}+ |" in capsys.readouterr().out
    edit_params(project, **{"train.seed": 14})
    assert bench() == list(settings.SETTINGS)
    with (project / "stages/classifier/batches.py").open("a") as file:
        file.write("# edited\n")
    assert bench() == list(settings.SETTINGS)
    versions = (project / "versions.yaml").read_text()
    (project / "versions.yaml").write_text(re.sub("(?m)^matplotlib: .*", "matplotlib: '1.0'", versions))
    assert bench() == []
    (project / "versions.yaml").write_text(re.sub("(?m)^tokenizers: .*", "tokenizers: '1.0'", versions))
    assert bench() == list(settings.SETTINGS)


def test_a_row_depends_on_every_stage_that_a_training_runs():
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    makers = {out: name for name, stage in stages.items() for out in stage.get("outs", []) if isinstance(out, str)}

    def needed(name):
        return {name}.union(*(needed(makers[dep]) for dep in stages[name]["deps"] if dep in makers))

    assert needed("train") == set(settings.STAGES)


def test_speed_is_of_both_in_turn(monkeypatch):
    clock, order = [0.0], []
    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])

    def taking(name, seconds):
        def call():
            order.append(name)
            clock[0] += next(seconds)

        return lambda: call

    row = speed.compare("x", 30, 3, taking("ours", iter([1, 2, 6])), taking("theirs", iter([6, 4, 3])))
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert row == {"what": "x", "ours, texts/s": 15, "theirs, texts/s": 7.5, "ratio": 2, "of each pair": "0.50 to 6.00"}


def test_speed_beside_the_peers(finished, capsys, monkeypatch):
    taken, take = [], Training.take_step
    monkeypatch.setattr(Training, "take_step", lambda self, step: taken.append(self.batch(step)) or take(self, step))
    speed.main(steps=2, texts=20, pairs=1)
    assert [sorted(np.concatenate(taken[:2])), sorted(np.concatenate(taken[2:]))] == [list(range(32))] * 2
    printed = capsys.readouterr().out
    assert printed.count("'train_samples_per_second'") == 2  # Trainer's own lines
    cells = [re.split(r" *\| *", line)[1:-1] for line in printed.splitlines() if line.startswith("| ")]
    assert [row[0].split(",")[0] for row in cells[1:]] == ["training; Trainer"] * 2 + ["scoring; pipeline"] * 2


def test_the_clock_stands_still_while_it_is_asked(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time_to_accuracy.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(time_to_accuracy, "matrix_rate", lambda: 5e9)
    answers = iter([0.5, 0.8, 0.9])

    def accuracy(model):
        clock[0] += 1000
        return next(answers)

    run = time_to_accuracy.Run("x", 50, 0.9, 100, accuracy, started=0.0)
    ended = []
    while not ended or not ended[-1]:
        clock[0] += 2
        ended.append(run.ends(None, len(ended) + 1, 16))
    assert run.table == [["x", 64, 8, 5, 0.5], ["x", 112, 14, 5, 0.8], ["x", 160, 20, 5, 0.9]]
    assert len(ended) == 10
    late = time_to_accuracy.Run("y", 50, 0.9, 100, lambda model: 0.5, started=clock[0] - 101)
    assert late.ends(None, 1, 16)
    assert late.table == [["y", 16, 101, 5, 0.5]]


@pytest.mark.parametrize(
    ("limit", "answers", "expected"),
    [  # the default is asked after 32 texts and after 64; the recipe, with no time left, after its first step
        (0, [0.5, 0.9, 0.6, 0.7], [("64", "0.900", "yes"), ("16", "0.600", "no"), ("16", "0.700", "no")]),
        (1e6, [0.5, 0.9, 0.9, 0.9], [("64", "0.900", "yes"), ("32", "0.900", "yes"), (None, "0.900", "yes")]),
    ],
)
def test_time_to_accuracy_beside_the_recipe(finished, capsys, monkeypatch, limit, answers, expected):
    questions, runs = iter(answers), []
    monkeypatch.setattr(time_to_accuracy, "accuracy_on", lambda texts, cut, target: lambda model: next(questions))
    monkeypatch.setattr(time_to_accuracy, "matrix_rate", lambda: 5e9)
    monkeypatch.setattr(time_to_accuracy, "Run", lambda *given: runs.append(Run(*given)) or runs[-1])
    time_to_accuracy.main(target=0.9, every=32, held_out=10, limit=limit, frugal=True)
    first, second, _ = (run.table[-1][2] for run in runs)
    assert runs[1].limit == limit * first
    assert runs[2].limit == (second if limit else 0)  # what the rate before needed is enough
    rows = [re.split(r" *\| *", line)[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == ["default", "recipe 0.001", "recipe 0.0002"]
    for row, (texts, *others) in zip(rows[1:], expected, strict=True):
        assert [row[4], row[5]] == others
        assert texts in (row[1], None)


def test_accuracy_of_a_model(finished):
    """As infer answers, where no text is longer than a window; far from the target, on the first quarter."""
    texts = pd.read_parquet("data/raw/test.parquet")
    cut = open_tokens("test").metadata["tokenize"]
    texts = texts[texts["text"].str.split().str.len() <= cut["max_length"] - 2]
    labels = [["negative", "positive"].index(label) for label, _ in predict(texts["text"].tolist())]
    right, model = texts["label"].to_numpy() == labels, load_classifier()[0]
    assert time_to_accuracy.accuracy_on(texts, cut, 0)(model) == pytest.approx(right.mean())
    assert time_to_accuracy.accuracy_on(texts, cut, 2)(model) == pytest.approx(right[: len(texts) // 4].mean())


def test_the_peer_gives_the_labels_of_infer(finished, tmp_path):
    texts = [text for text, _ in reviews(40) if len(text.split()) <= 22]  # none is cut
    for part in load_classifier():
        part.save_pretrained(tmp_path / "model")
    expected = [label for label, _ in predict(texts)]
    assert set(expected) == {"negative", "positive"}
    assert peers.pipeline(str(tmp_path / "model"), 24, 4)(texts) == expected


def test_readme_shows_what_was_measured(tmp_path):
    results = settings.read_results()
    assert results["setting"].tolist() == list(settings.SETTINGS)
    readme = (ROOT / "README.md").read_text()
    assert all(table in readme for table in settings.tables(results))
    settings.draw(results, tmp_path / "drawn.png")
    shown = str(settings.RESULTS.with_suffix(".png"))
    assert compare_images(shown, str(tmp_path / "drawn.png"), tol=5) is None


def test_readme_shows_the_results():
    readme, result = (ROOT / "README.md").read_text(), read(ROOT / "metrics/evaluate.json")
    interval = f"{100 * result['accuracy_low']:.1f} to {100 * result['accuracy_high']:.1f}"
    others = f"{result['f1']:.1%} | {result['roc_auc']:.3f} | {result['ece']:.3f}"
    assert f"| **{result['accuracy']:.1%}** | {interval} | {others} |" in readme
    assert f"| {result['baseline_accuracy']:.1%} | | | | |" in readme
