"""`make compare` and `make spread`: their statistics, and their tables for revisions of a project."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from commands import git, read
from ruamel.yaml import YAML
from scipy import stats
from sklearn.metrics import log_loss
from tiny import edit_params
from typer.testing import CliRunner

from apps import revisions
from apps.revisions import app, differences, is_paired
from classifier.evaluation.tasks import single_label
from classifier.evaluation.tasks.task import MEASURES
from classifier.files.formats import read_table, table_of, write_table
from classifier.files.places import PREDICTIONS, VALIDATION


def command(*args: str) -> str:
    """Run a command of apps/revisions.py and return what it printed."""
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result
    return result.output


def rows(table: str) -> list[dict[str, str]]:
    """Parse a Markdown table into a dict for each row."""
    header, _, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    return [dict(zip(header, line, strict=True)) for line in lines]


def test_differences_against_scipy_and_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)

    def table(noise: float) -> pd.DataFrame:
        p = np.clip(0.5 + 0.4 * (labels - 0.5) + rng.normal(0, noise, 400), 0.01, 0.99)
        return pd.DataFrame(
            {"label": labels, "predicted": (p > 0.5).astype(int), "probability_no": 1 - p, "probability_yes": p}
        )

    first, second = table(0.3), table(0.1)
    values = [single_label.paired_values(table, ["no", "yes"]) for table in (first, second)]
    compared = differences(*values)
    accuracy, loss = compared["accuracy"], compared["log_loss"]
    right = [(table["label"] == table["predicted"]) for table in (first, second)]
    assert accuracy["difference"] == pytest.approx(100 * (right[1].mean() - right[0].mean()))
    right_in_one = [(right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()]
    assert accuracy["p"] == pytest.approx(stats.binomtest(right_in_one[1], sum(right_in_one)).pvalue)
    gaps = 100.0 * right[1] - 100.0 * right[0]
    assert accuracy["high"] - accuracy["difference"] == pytest.approx(1.966 * gaps.sem(), rel=1e-3)
    assert loss["first"] == pytest.approx(log_loss(labels, first["probability_yes"]))
    assert loss["second"] == pytest.approx(log_loss(labels, second["probability_yes"]))
    assert loss["low"] < loss["difference"] < loss["high"] < 0
    losses = [
        -np.log(table[["probability_no", "probability_yes"]].to_numpy()[range(400), labels])
        for table in (first, second)
    ]
    assert loss["p"] == pytest.approx(stats.ttest_1samp(losses[1] - losses[0], 0).pvalue)
    for row in differences(values[0], values[0]).values():
        assert [row[name] for name in ("difference", "low", "high", "p")] == [0, 0, 0, 1]


def test_the_values_of_each_task():
    """A share of right answers has McNemar's p-value, and each other metric that of the paired t-test."""
    rng = np.random.default_rng(0)
    labels, number = rng.integers(0, 2, (50, 2)), rng.normal(size=50)
    tables = {
        "multi-label": [
            table_of({"label": labels, "predicted": p, "probability_a": p[:, 0] * 0.9, "probability_b": p[:, 1] * 0.9})
            for p in (rng.integers(0, 2, (50, 2)), labels)
        ],
        "regression": [pd.DataFrame({"label": number, "predicted": number + rng.normal(size=50)}) for _ in range(2)],
        "ordinal": [
            pd.DataFrame(
                {"label": labels[:, 0], "predicted": p, "probability_1": 1 - p * 0.9, "probability_2": p * 0.9}
            )
            for p in labels.T
        ],
    }
    for task, pair in tables.items():
        names = {"multi-label": ["a", "b"], "ordinal": ["1", "2"]}.get(task, ["price"])
        values = [MEASURES[task].paired_values(table, names) for table in pair]
        for name, row in differences(*values).items():
            first, second = (of_table[name].to_numpy() for of_table in values)
            is_share = first.dtype == bool
            assert row["difference"] == pytest.approx((100 if is_share else 1) * (second * 1.0 - first).mean())
            expected = stats.ttest_rel(1.0 * second, 1.0 * first).pvalue
            if is_share:
                only = (second & ~first).sum(), (first & ~second).sum()
                expected = stats.binomtest(only[0], sum(only)).pvalue
            assert row["p"] == pytest.approx(expected)
        pair = [table.assign(text="a") for table in pair]
        assert is_paired(*pair)
        assert not is_paired(pair[0], pair[1].assign(text="b"))
        assert not is_paired(pair[0], pair[1].assign(label=[*pair[1]["label"]][::-1]))


def test_revisions_of_a_project(finished, monkeypatch):
    """A revision's predictions come out of DVC's cache, even if the folder holds other predictions."""
    monkeypatch.chdir(finished)
    table, metadata = read_table(PREDICTIONS)
    wrong = table.index[table["predicted"] == table["label"]][:8]
    other = table.copy()
    other.loc[wrong, "predicted"] = 1 - other["label"]
    write_table(PREDICTIONS, other, **metadata)
    shown = rows(command("compare", "HEAD", "workspace"))
    assert [(row["split"], row["metric"]) for row in shown] == [
        *(("validation", name) for name in ("accuracy, points", "log loss")),
        *(("test", name) for name in ("accuracy, points", "log loss")),
    ]
    assert float(shown[0]["difference"]) == float(shown[1]["difference"]) == 0
    assert float(shown[2]["difference"]) == pytest.approx(-100 * 8 / len(table))
    assert float(shown[2]["p"]) == pytest.approx(2 * 0.5**8, rel=0.01)
    right = read_table(VALIDATION)[0]
    assert float(shown[0]["HEAD"]) == pytest.approx(100 * (right["label"] == right["predicted"]).mean(), abs=1e-3)

    write_table(PREDICTIONS, other.assign(text=other["text"] + "!"), **metadata)
    output = command("compare", "HEAD", "workspace")
    assert output.startswith("test: the two revisions have different texts")
    assert len(rows(output.split("\n\n")[1])) == 2
    yaml = YAML(typ="safe")
    lock = yaml.load(finished / "dvc.lock")
    (model,) = (out for out in lock["stages"]["train"]["outs"] if out["path"] == "models/adapter")
    model["md5"] = 32 * "0" + ".dir"  # as if only train had run
    yaml.dump(lock, finished / "dvc.lock")
    with pytest.raises(SystemExit, match="workspace: its model has not scored the test split"):
        revisions.compare("HEAD", "workspace")
    with pytest.raises(SystemExit, match="nowhere: unknown Git revision 'nowhere'"):
        revisions.compare("HEAD", "nowhere")


def test_spread_of_three_runs(finished):
    accuracies = []
    text = (finished / "metrics/evaluate.json").read_text()
    for number in range(3):
        accuracies.append(0.8 + number / 100)
        edited = re.sub(r'"accuracy": [\d.]+', f'"accuracy": {accuracies[-1]}', text, count=1)
        difference = f'"difference": 0.{number},\n' if number < 2 else ""  # the third revision has no baseline
        edited = re.sub(r'"difference": [-\d.]+,\n', difference, edited)
        (finished / "metrics/evaluate.json").write_text(edited)
        edit_params(finished, **{"train.seed": number})
        git("commit", "-qam", f"seed {number}")
        git("tag", f"seed-{number}")
    assert read("metrics/evaluate.json")["accuracy"] == accuracies[-1]
    (row,) = rows(command("spread", "seed-0", "seed-1", "seed-2"))
    assert row["metric"] == "accuracy"
    assert [float(row[name]) for name in ("mean", "sd", "min", "max")] == [0.81, 0.01, 0.8, 0.82]
    assert float(row["seed-1"]) == 0.81
    yaml = YAML(typ="safe")
    lock = yaml.load(finished / "dvc.lock")
    del lock["stages"]["evaluate"]  # as if evaluate had never run
    yaml.dump(lock, finished / "dvc.lock")
    training = read("metrics/training.json")
    (finished / "metrics/training.json").write_text(json.dumps(training | {"validation_loss": 9}))
    note, table = command("spread", "seed-0", "workspace").split("\n\n")
    not_scored = "workspace: its model has not scored the test split"
    assert note == f"{not_scored}, so the table has the metrics of training alone"
    (row,) = rows(table)
    assert row["metric"] == "validation_loss"
    with pytest.raises(SystemExit, match="two revisions or more"):
        revisions.spread(["seed-0"])
