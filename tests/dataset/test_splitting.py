"""The sizes of the splits, and the rows that are drawn for them."""

import re

import numpy as np
import pandas as pd
import pytest
from commands import read
from local_data import local, run_data, splits, write_csv
from pydantic import ValidationError
from tiny import reviews

from classifier.dataset.splitting import merge_single, stratified_sample
from classifier.errors import InputError
from classifier.files.places import RAW
from classifier.tasks.task import TASKS


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_stratified_sample_keeps_the_balance_and_every_row():
    frame = pd.DataFrame({"text": [str(n) for n in range(100)], "label": [0] * 80 + [1] * 20})
    part, rest = stratified_sample(frame, 10, 1, "test", TASKS["single-label"])
    assert part["label"].sum() == 2
    assert sorted([*part["text"], *rest["text"]], key=int) == list(frame["text"])
    assert stratified_sample(frame, 10, 1, "test", TASKS["single-label"])[0].equals(part)
    assert not stratified_sample(frame, 10, 2, "test", TASKS["single-label"])[0].equals(part)
    everything, nothing = stratified_sample(frame, None, 1, "train", TASKS["single-label"])
    assert sorted(everything["text"], key=int) == list(frame["text"])
    assert nothing.empty
    with pytest.raises(InputError, match="test: 101 rows requested, 100 available"):
        stratified_sample(frame, 101, 1, "test", TASKS["single-label"])


def test_a_size_may_be_a_share_of_the_source():
    write_csv("a.csv", [*reviews(100), reviews(1)[0]])  # 100 different texts
    run_data(dataset=local(train=0.5, validation=0.1, test=0.2), seed=1)
    assert {name: len(part) for name, part in splits().items()} == {"train": 50, "validation": 10, "test": 20}
    by_share = {name: part["text"].tolist() for name, part in splits().items()}
    run_data(dataset=local(train=50, validation=10, test=20), seed=1)
    assert {name: part["text"].tolist() for name, part in splits().items()} == by_share
    for count in range(20, 30):  # shares with the sum 1 fit, however they are rounded
        write_csv("a.csv", reviews(count))
        run_data(dataset=local(train=0.8, validation=0.1, test=0.1), seed=1)


@pytest.mark.parametrize(
    ("rows", "train", "test", "expected"),
    [
        (300, None, 100, (160, 40, 100)),  # a fifth of 200
        (300, None, 0.8, (40, 20, 240)),  # at least 20
        (60, None, 0.5, (15, 15, 30)),  # but not more than half
        (300, 80, 100, (80, 20, 100)),  # a fifth of train and validation together
        (300, 0.5, 50, (150, 37, 50)),
        (7000, None, 1000, (5000, 1000, 1000)),  # at most 1,000
    ],
)
def test_a_validation_split_without_a_size_is_a_fifth(rows, train, test, expected):
    write_csv("a.csv", reviews(rows))
    run_data(dataset=local(train=train, validation=None, test=test), seed=1)
    summary = read("metrics/data.json")
    assert (summary["train"], summary["validation"], summary["test"]) == expected


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"validation": 2.5}, "should be a number of rows, such as 500, a share, such as 20%"),
        ({"test": None}, "test must be a number of rows or a share, since the source has no test split"),
        ({"train": 0}, "should be a number of rows"),
    ],
)
def test_invalid_sizes(changes, problem):
    with pytest.raises(ValidationError, match=problem):
        local(**changes)


@pytest.mark.parametrize(
    ("sizes", "problem"),
    [
        ({"test": 101}, "test: 101 rows requested, 100 available; lower it"),
        ({"validation": 90}, "validation: 90 rows requested, 80 available; lower it"),
        ({"validation": 80}, "train: no rows are left for train; lower test or validation"),
        ({"train": 61}, "train: 61 rows requested, 60 available; lower it"),
        ({"validation": 1}, "validation: a sample of 1 cannot have each of 2 labels; raise it"),
    ],
)
def test_sizes_that_do_not_fit(sizes, problem):
    write_csv("a.csv", reviews(100))
    with pytest.raises(InputError, match=re.escape(problem)):
        run_data(dataset=local(**sizes), seed=1)
    assert not RAW.exists()


def test_a_label_needs_a_row_for_each_split():
    write_csv("a.csv", [*reviews(40), ("odd", "x"), ("Odd", "x"), ("strange", "x")])
    names = ["0", "1", "x"]
    problem = "a.csv: column 'label': the label 'x' has 2 different texts that are in no other split, but needs 3; add"
    with pytest.raises(InputError, match=re.escape(problem)):
        run_data(dataset=local(labels=names), seed=1)
    write_csv("b.csv", [("fine", 1), ("poor", 0), ("queer", "x")])
    run_data(dataset=local(labels=names, source={"train": "a.csv", "test": "b.csv"}, test=None, validation=0.5), seed=1)
    both = {"train": "a.csv", "validation": "b.csv", "test": "b.csv"}
    with pytest.raises(InputError, match=re.escape("b.csv: column 'label': the label '0' has 0 different texts")):
        run_data(dataset=local(labels=names, source=both, test=None, validation=None), seed=1)


def test_a_label_with_one_row_in_a_published_split():
    """A part of the split lacks the label or has it, by chance. A part without it is refused by the label's name."""
    write_csv("a.csv", [*reviews(40), ("odd", "x"), ("queer", "x"), ("strange", "x")])
    write_csv("b.csv", [("rare", "x"), *(tuple(row) for row in reviews(60)[40:])])
    settings = {"labels": ["0", "1", "x"], "source": {"train": "a.csv", "test": "b.csv"}, "validation": 10}
    problem = "test: none of its 10 rows has the label 'x'; give test more rows, or add rows with this label"
    outcomes = set()
    for seed in range(8):
        try:
            run_data(dataset=local(**settings, test=10), seed=seed)
            outcomes.add(f"{splits()['test']['label'].tolist().count(2)} drawn")
        except InputError as error:
            outcomes.add(str(error))
    drawn, refused = sorted(outcomes)
    assert drawn == "1 drawn"
    assert refused.endswith(problem)
    run_data(dataset=local(**settings, test=None), seed=1)
    assert read("metrics/data.json")["test"] == 21


def test_a_row_that_is_alone_in_its_stratum_joins_the_largest():
    assert merge_single(np.array([3, 1, 1, 2, 2, 2])).tolist() == [2, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(("size", "rows"), [("20%", 20), (0.2, 20), (20, 20), ("12.5 %", 12)])
def test_a_share_is_a_percentage(size, rows):
    write_csv("a.csv", reviews(100))
    run_data(dataset=local(test=size), seed=1)
    assert read("metrics/data.json")["test"] == rows


@pytest.mark.parametrize("size", [1.0, "100%", "0%", 2.5, -1, True, "20", "many", "1.2.5%", ".%"])
def test_sizes_that_could_be_mistaken_are_refused(size):
    with pytest.raises(ValidationError, match="should be a number of rows, such as 500, a share, such as 20%, or null"):
        local(train=size)


def test_a_share_of_no_row_is_refused():
    write_csv("a.csv", reviews(100))
    with pytest.raises(InputError, match=r"test: the share is less than one of 100 rows; raise it"):
        run_data(dataset=local(test="0.5%"), seed=1)
