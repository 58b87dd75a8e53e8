"""Data sets in CSV and JSON files, with two and four labels, through the whole pipeline."""

import json
import random
from pathlib import Path

import pandas as pd
import pytest
from commands import dvc, git, read, run_stages
from local_data import write, write_csv
from tiny import NEGATIVE, NEUTRAL, POSITIVE, edit_params, reviews

from classifier.files.places import LOCAL
from classifier.runner.params import STAGES


@pytest.mark.parametrize("kind", ["csv", pytest.param("jsonl", marks=pytest.mark.scale)])
def test_other_data_sets_train_end_to_end(project, kind):
    if kind == "csv":
        write_csv("a.csv", [(text, ["bad", "good"][label]) for text, label in reviews(200)], ("body", "stars"))
        entry = {"text": "body", "label": "stars", "labels": ["bad", "good"]}
    else:
        groups, rng = [POSITIVE, NEGATIVE, NEUTRAL[:5], NEUTRAL[5:10]], random.Random(0)
        names = ["praise", "2", "NA", "True"]  # a reader of CSV might take them for other types
        rows = [{"text": " ".join(rng.choices(groups[n % 4], k=8)), "label": names[n % 4]} for n in range(280)]
        write("a.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
        entry = {"labels": names}
    entry |= {"source": {"train": f"a.{kind}"}, "train": None, "validation": 40, "test": 40}
    edit_params(
        project,
        **{
            "datasets.mine": entry,
            "dataset": "mine",
            "train.learning_rate": 0.001,  # at a higher rate, or with some seeds, the tiny random encoder learns little
            "train.seed": 1,
            "train.epochs": 12,
        },
    )
    if kind == "csv":  # another folder lacks the files that Git does not track
        assert "of its own, also needs -C data/local/a.csv" in dvc("exp", "run", "--temp", "data", ok=False)
        assert "Ran experiment" in dvc("exp", "run", "--temp", "-C", "data/local/a.csv", "data")
    dvc("add", f"data/local/a.{kind}")
    git("add", f"data/local/a.{kind}.dvc")  # not ignored
    run_stages(*STAGES)
    evaluation = read("metrics/evaluate.json")
    assert evaluation["n"] == 40
    assert evaluation["accuracy"] > 0.7  # guessing gives 0.5 or 0.25
    cells = pd.read_csv("metrics/confusion.csv")
    assert len(cells) == len(entry["labels"]) ** 2
    assert cells["count"].sum() == 40
    assert read("metrics/samples.json")[0]["label"] in entry["labels"]
    assert set(entry["labels"]) == set(read("models/adapter/config.json")["label2id"])
    write(f"a.{kind}", Path(LOCAL / f"a.{kind}").read_text() + ("last line,\n" if kind == "csv" else "{}\n"))
    output = dvc("repro", ok=False)
    assert "missing label" in output if kind == "csv" else "no text" in output
    assert f"data/local/a.{kind}: line" in output
    assert "Traceback" not in output
