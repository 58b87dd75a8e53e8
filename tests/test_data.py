"""The data stage: rows checked, duplicates dropped, splits; and other data sets end to end, by params alone."""

import json
import random
import re
import subprocess
from pathlib import Path

import datasets
import pandas as pd
import pytest
from conftest import NEGATIVE, NEUTRAL, POSITIVE, dvc, edit_params, read, reviews
from pydantic import ValidationError

from stages.catalogue import Dataset
from stages.data import carve, data, fold, read_split
from stages.files import RAW, read_table
from stages.params import InputError
from stages.tables import LOCAL


def local(**changes) -> Dataset:
    entry = {"source": {"train": "a.csv"}, "labels": ["negative", "positive"], "train": None, "validation": 20}
    return Dataset(**entry | {"test": 20} | changes)


def write(name: str, content: str) -> Path:
    LOCAL.mkdir(parents=True, exist_ok=True)
    (LOCAL / name).write_text(content)
    return LOCAL / name


def write_csv(name: str, rows, columns=("text", "label")) -> Path:
    return write(name, pd.DataFrame(rows, columns=columns).to_csv(index=False))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def splits() -> dict[str, pd.DataFrame]:
    return {path.stem: read_table(path)[0] for path in RAW.iterdir()}


def test_fold():
    assert list(fold(pd.Series(["A  Film\n", "a film", "STRASSE", "straße"]))) == ["a film"] * 2 + ["strasse"] * 2


def test_carve_keeps_the_balance_and_every_row():
    frame = pd.DataFrame({"text": [str(n) for n in range(100)], "label": [0] * 80 + [1] * 20})
    part, rest = carve(frame, 10, 1, "test")
    assert part["label"].sum() == 2
    assert sorted([*part["text"], *rest["text"]], key=int) == list(frame["text"])
    assert carve(frame, 10, 1, "test")[0].equals(part)
    assert not carve(frame, 10, 2, "test")[0].equals(part)
    everything, nothing = carve(frame, None, 1, "train")
    assert sorted(everything["text"], key=int) == list(frame["text"])
    assert nothing.empty
    with pytest.raises(InputError, match="test of 101 rows asked for, but only 100 are left"):
        carve(frame, 101, 1, "test")


def test_hold_out():
    rows = reviews(100)
    write_csv("a.csv", [*rows, (rows[0][0].upper(), rows[0][1]), (f" {rows[1][0]}\n", rows[1][1])])
    data(dataset=local(), seed=1)
    parts = splits()
    assert {name: len(part) for name, part in parts.items()} == {"train": 60, "validation": 20, "test": 20}
    assert {name: part["label"].sum() for name, part in parts.items()} == {"train": 30, "validation": 10, "test": 10}
    assert sorted(text for part in parts.values() for text in part["text"]) == sorted(text for text, _ in rows)
    assert list(parts["test"].columns) == ["text", "label"]
    summary = read("metrics/data.json")
    assert summary["duplicates_dropped"] == 2
    assert summary["official_test"] is False
    assert read_table(RAW / "test.parquet")[1]["labels"] == ["negative", "positive"]
    files = {name: str(RAW / f"{name}.parquet") for name in parts}
    known = datasets.load_dataset("parquet", data_files=files, cache_dir="cache")
    assert known["test"].features["label"].names == ["negative", "positive"]
    assert known["train"]["text"][:] == list(parts["train"]["text"])
    labels = dict(rows)
    assert all(labels[text] == label for part in parts.values() for text, label in part.to_numpy())


def test_official_test_split():
    rows = reviews(100)
    # In train: 80 texts, one of them twice, and one of the test texts twice. In test: 23 texts, two of train's.
    write_csv("a.csv", [*rows[:80], rows[5], (rows[2][0].upper(), rows[2][1])])
    write_csv("b.csv", [*rows[80:], rows[2], (rows[3][0].title(), rows[3][1]), rows[90]])
    both = {"train": "a.csv", "test": "b.csv"}
    data(dataset=local(source=both, test=None), seed=1)
    parts = splits()
    summary = read("metrics/data.json")
    assert summary["official_test"] is True
    assert summary["duplicates_dropped"] == 1  # of rows[5]
    assert summary["train_texts_in_test_dropped"] == 3  # rows[2] twice and rows[3]
    assert summary["test_texts_in_train"] == 2
    assert len(parts["test"]) == 23  # never dropped from, its own duplicate neither
    assert set(parts["test"].loc[parts["test"]["in_train"], "text"]) == {rows[2][0], rows[3][0].title()}
    learned = pd.concat([parts["train"], parts["validation"]])
    assert len(learned) == 78
    assert not set(fold(learned["text"])) & set(fold(parts["test"]["text"]))
    data(dataset=local(source=both, test=10), seed=1)  # a sample of the official split
    assert len(read_table(RAW / "test.parquet")[0]) == 10
    assert read("metrics/data.json")["train_texts_in_test_dropped"] == 3


@pytest.mark.parametrize("label", ["{0}", "{0}.0", " {0} "])
def test_labels_are_names_or_numbers(label):
    path = write_csv("a.csv", [(text, label.format(number)) for text, number in reviews(10)])
    assert list(read_split([path], local())["label"]) == [0, 1] * 5
    path = write_csv("a.csv", [(text, label.format(["bad", "good"][number])) for text, number in reviews(10)])
    if ".0" not in label:
        assert list(read_split([path], local(labels=["bad", "good"]))["label"]) == [0, 1] * 5


def test_names_that_look_like_numbers_are_names():
    path = write_csv("a.csv", [("poor", 1), ("fair", 2), ("fine", 3)])
    assert list(read_split([path], local(labels=["1", "2", "3"]))["label"]) == [0, 1, 2]
    path = write_csv("a.csv", [("poor", 0), ("fair", 1), ("fine", 2)])
    with pytest.raises(InputError, match="line 2, column 'label': unknown label '0'; the labels are 1, 2, 3"):
        read_split([path], local(labels=["1", "2", "3"]))


def test_na_is_a_text_and_a_label():
    path = write("a.csv", "text,label\nNA,null\nnull,NA\nNaN,null\n")
    rows = read_split([path], local(labels=["null", "NA"]))
    assert rows.to_dict("list") == {"text": ["NA", "null", "NaN"], "label": [0, 1, 0]}


def test_where_selects_and_rows_elsewhere_are_not_looked_at():
    path = write_csv("a.csv", [("good", 1, "x"), ("", 7, "y"), ("bad", 0, "x")], ("text", "label", "kind"))
    wheel = {"wheel": "a==1", "file": "a.csv", "sha256": "0" * 64, "where": {"kind": "x"}}
    assert list(read_split([path], local(source=wheel))["text"]) == ["good", "bad"]
    wheel["where"] = {"kind": "z"}
    with pytest.raises(InputError, match=r"a.csv: no rows"):
        read_split([path], local(source=wheel))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", 'text,label\n"two\nlines",1\n ,0\n', "line 4, column 'text': empty text"),
        ("a.csv", "text,label\ngood,1\nbad,\n", "line 3, column 'label': missing label"),
        ("a.csv", "text,label\ngood,1\n\nbad,2\n", "line 4, column 'label': unknown label '2'; the labels are"),
        ("a.csv", "text,label\ngood,positive\nbad,0\n", "line 3, column 'label': unknown label '0'"),
        ("a.csv", "review,label\ngood,1\n", "no column 'text'; it has 'review', 'label'"),
        ("a.csv", "text,label\n", "no rows"),
        ("a.csv", "text,label\ngood,1\nfine,1\n", "column 'label': no row has the label 'negative'"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"text": null, "label": 0}\n', "line 2, column 'text': no text"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"label": 0}\n', "line 2, column 'text': no text"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"text": 5, "label": 0}\n', "line 2, column 'text': not a text"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"text": ["a"], "label": 0}\n', "line 2, column 'text': not a text"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"text": "bad"}\n', "line 2, column 'label': missing label"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"text": "a", "label": 1.5}\n', "line 2, column 'label': unknown"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"text": "a", "label": [0]}\n', "line 2, column 'label': unknown"),
    ],
)  # fmt: skip
def test_bad_rows_are_refused(name, content, problem):
    path = write(name, content)
    with pytest.raises(InputError, match=re.escape(f"{path}: {problem}")) as error:
        read_split([path], local())
    assert "\n" not in str(error.value)


def test_numbers_of_a_float_column_are_the_labels_names():
    LOCAL.mkdir(parents=True)
    pd.DataFrame({"text": ["good", "bad"], "label": [1.0, 0.0]}).to_parquet(LOCAL / "a.parquet")
    assert list(read_split([LOCAL / "a.parquet"], local(labels=["1", "0"]))["label"]) == [0, 1]
    assert list(read_split([LOCAL / "a.parquet"], local(labels=["0", "1"]))["label"]) == [1, 0]
    assert list(read_split([LOCAL / "a.parquet"], local(labels=["1.0", "0.0"]))["label"]) == [0, 1]


def test_bad_rows_of_parquet():
    LOCAL.mkdir(parents=True)
    pd.DataFrame({"text": ["good", "bad", None], "label": [1, 0, 0]}).to_parquet(LOCAL / "a.parquet")
    with pytest.raises(InputError, match=re.escape("a.parquet: row 3, column 'text': no text")):
        read_split([LOCAL / "a.parquet"], local())


@pytest.mark.parametrize(
    ("sizes", "problem"),
    [
        ({"test": 101}, "test of 101 rows asked for, but only 100 are left; lower it"),
        ({"validation": 90}, "validation of 90 rows asked for, but only 80 are left; lower it"),
        ({"validation": 80}, "no rows are left for train; lower test or validation"),
        ({"train": 61}, "train of 61 rows asked for, but only 60 are left; lower it"),
        ({"validation": 1}, "validation of 1 rows: "),
    ],
)
def test_sizes_that_do_not_fit(sizes, problem):
    write_csv("a.csv", reviews(100))
    with pytest.raises(InputError, match=re.escape(f"params.yaml: {problem}")):
        data(dataset=local(**sizes), seed=1)
    assert not RAW.exists()


@pytest.mark.parametrize(
    ("source", "key", "problem"),
    [
        ({"hub": "a/b", "revision": "0" * 40, "train": "x", "tset": "y"}, "tset", "extra_forbidden"),
        ({"hub": "a/b", "train": "x"}, "revision", "missing"),
        ({"hub": "a/b", "revision": "main", "train": "x"}, "revision", "string_pattern_mismatch"),
        ({"revision": "0" * 40, "train": "x"}, "hub", "missing"),
        ({"wheel": "a==1", "file": "x"}, "sha256", "missing"),
        ({"wheel": "a==1", "file": "x", "sha256": "0" * 64, "test": "y"}, "test", "extra_forbidden"),
        ({"train": "x.csv", "tset": "y.csv"}, "tset", "extra_forbidden"),
        ({"train": "../x.csv"}, "train", "value_error"),
        ({"train": "/x.csv"}, "train", "value_error"),
        ("x.csv", None, "value_error"),
    ],
)
def test_an_error_in_a_source_speaks_of_the_source_that_was_meant(source, key, problem):
    with pytest.raises(ValidationError) as error:
        local(source=source)
    (only,) = error.value.errors()
    assert (only["loc"], only["type"]) == (("source", key) if key else ("source",), problem)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_other_data_sets_train_end_to_end(project, kind):
    if kind == "csv":
        write_csv("a.csv", [(text, ["bad", "good"][label]) for text, label in reviews(200)], ("body", "stars"))
        entry = {"text": "body", "label": "stars", "labels": ["bad", "good"]}
    else:
        groups, rng = [POSITIVE, NEGATIVE, NEUTRAL[:5], NEUTRAL[5:10]], random.Random(0)
        names = ["praise", "2", "NA", "True"]  # texts, whatever else a reader of CSV might take them for
        rows = [{"text": " ".join(rng.choices(groups[n % 4], k=8)), "label": names[n % 4]} for n in range(280)]
        write("a.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
        entry = {"labels": names}
    entry |= {"source": {"train": f"a.{kind}"}, "train": None, "validation": 40, "test": 40}
    edit_params(
        project,
        **{
            "datasets.mine": entry,
            "dataset": "mine",
            "train.learning_rate": 0.001,  # at a higher one, and at some seeds, the tiny random encoder learns little
            "train.seed": 1,
            "train.epochs": 12,
        },
    )
    dvc("add", f"data/local/a.{kind}")
    subprocess.run(["git", "add", f"data/local/a.{kind}.dvc"], check=True)  # not ignored
    dvc("repro")
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
