"""`labels` as a mapping of the column's values to names, and `drop`."""

import json
import re

import pytest
from commands import read
from local_data import local, run_data, write, write_csv
from pydantic import ValidationError
from tiny import reviews

from classifier.dataset.checking import read_split
from classifier.errors import InputError
from classifier.files.formats import read_table
from classifier.files.places import RAW


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ("0404", {0: "negative", 4: "positive"}),
        (["0.0", "4.0", "0.0", "4.0"], {0: "negative", 4: "positive"}),
        (["TRUE", "FALSE", "true", "false"], {True: "negative", False: "positive"}),
        (["0.00", "4.00", "0.00", "4.00"], {0: "negative", 4: "positive"}),
        (["bad", " good", "poor ", "good"], {"bad": "negative", "poor": "negative", "good": "positive"}),
    ],
)
def test_values_have_names(values, labels):
    path = write_csv("a.csv", [(f"text {n}", value) for n, value in enumerate(values)])
    dataset = local(labels=labels)
    assert dataset.label_names == ["negative", "positive"]
    assert read_split([path], dataset)[0]["label"].tolist() == [0, 1, 0, 1]


def test_numbers_of_json_have_names():
    path = write("a.jsonl", "".join(json.dumps({"text": f"text {n}", "label": n % 5 + 1.0}) + "\n" for n in range(10)))
    stars = {1: "bad", 2: "bad", 3: None, 4: "good", 5: "good"}
    rows, counts = read_split([path], local(labels=stars))
    assert rows["label"].tolist() == [0, 0, 1, 1] * 2
    assert rows.index.tolist() == [0, 1, 3, 4, 5, 6, 8, 9]  # the numbers of the rows that are left
    assert counts == {"rows_dropped_by_label": 2}


def test_names_may_be_numbers():
    path = write_csv("a.csv", [("poor", 1), ("fair", 2), ("fine", 3)])
    dataset = local(labels=[1, 2, 3])
    assert dataset.label_names == ["1", "2", "3"]
    assert read_split([path], dataset)[0]["label"].tolist() == [0, 1, 2]


def test_an_unknown_number_is_refused_with_the_mapping_to_write():
    path = write_csv("a.csv", [("good", 4), ("bad", 0), ("poor", 0)])
    fix = "numbers count from 0 in the order of `labels`; for others write a mapping in params.yaml: "
    with pytest.raises(InputError, match=re.escape(f"{fix}{{0: negative, 4: positive}}")):
        read_split([path], local())
    with pytest.raises(InputError, match=r"line 2, column 'label': unknown label '4'; use 0, 2, or name the value in"):
        read_split([path], local(labels={0: "negative", 2: "positive"}))


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([True, False], "write true and false in quotes"),
        ([1.5, 2], "should be text or a whole number"),
        ({"a": 1, "b": 2}, "should map each value of the column to a name, or to null to leave its rows out"),
        ({"a": None, "b": "good"}, "at least two names are needed"),
        ("good", "should be a list of names, or a mapping"),
        (["good", "good "], "the label names must differ from each other"),
        (["", "good"], "the label names must not be empty"),
        ({"a": " ", "b": "good", "c": "bad"}, "the label names must not be empty"),
        ({1: "a", "1": "b", 0: "c"}, "the values must differ from each other"),
        ({0.5: "a", 1.5: "b"}, "should be text or a whole number; write other values in quotes"),
    ],
)
def test_labels_that_cannot_be(labels, problem):
    with pytest.raises(ValidationError, match=problem):
        local(labels=labels)


ROWS = [("good", "positive"), ("bad", "negative"), ("", "positive"), ("<br />", "-"), ("fine", ""), ("dull", "-1")]


@pytest.mark.parametrize(
    ("drop", "kept", "counts"),
    [
        (["unlabelled", "empty"], [0, 1], {"unlabelled_rows_dropped": 3, "empty_rows_dropped": 1}),
        (["unlabelled"], None, "line 4, column 'text': empty text, .*leave such rows out with `drop: [empty]`$"),
        (
            ["empty"],
            None,
            "line 6, column 'label': missing label.*. Also line 7, column 'label': unknown.*drop",
        ),
        ([], None, "lines 4, 5, column 'text': empty text.*. Also line 6.*. Also line 7.*`drop: [unlabelled]`$"),
    ],
)
def test_rows_without_label_or_text_are_left_out_on_request(drop, kept, counts):
    path = write_csv("a.csv", ROWS)
    if kept is None:
        with pytest.raises(InputError, match=counts.replace("[", r"\[").replace("]", r"\]")):
            read_split([path], local(drop=drop))
    else:
        rows, found = read_split([path], local(drop=drop))
        assert (rows.index.tolist(), found) == (kept, counts)


def test_rows_without_a_label_beside_true_and_false_and_floats():
    """pandas writes a column of true and false, or of whole numbers, with missing values in this way."""
    for values in (["True", "False", "", "-1"], ["1.0", "0.0", "", "-1.0"]):
        path = write_csv("a.csv", [(f"text {n}", value) for n, value in enumerate(values)])
        rows, counts = read_split([path], local(drop=["unlabelled"]))
        assert (rows["label"].tolist(), counts) == ([1, 0], {"unlabelled_rows_dropped": 2})
    path = write_csv("a.csv", [("good", "True"), ("bad", "False"), ("fine", "")])
    with pytest.raises(InputError, match=r"a.csv: line 4, column 'label': missing label; fill it in or [^.]*$"):
        read_split([path], local())


def test_a_setting_that_leaves_nothing_out_counts_0():
    """So `dvc metrics diff` compares the count with that of another version of the file."""
    path = write_csv("a.csv", ROWS[:2])
    labels = {"negative": "negative", "positive": "positive", "mixed": None}
    _, counts = read_split([path, path], local(drop=["unlabelled", "empty"], labels=labels))
    assert counts == {"rows_dropped_by_label": 0, "unlabelled_rows_dropped": 0, "empty_rows_dropped": 0}
    assert len(counts) == 3


def test_labels_with_these_names_are_labels():
    """A data set whose labels are called - and -1 has no unlabelled rows by these names."""
    path = write_csv("a.csv", [("good", "-"), ("bad", "-1"), ("fine", "")])
    assert read_split([path], local(labels=["-", "-1"], drop=["unlabelled"]))[0]["label"].tolist() == [0, 1]


def test_rows_that_are_left_out_are_counted_and_their_texts_are_not_written():
    rows = [(text, {0: 1, 1: 5}[label]) for text, label in reviews(60)]
    some = [*rows[:20], ("neither", 3), (None, 5), ("no label", None), *rows[20:], ("so so", 3)]
    write_csv("a.csv", some)
    stars = {1: "negative", 3: None, 5: "positive"}
    run_data(dataset=local(labels=stars, drop=["unlabelled", "empty"], validation=10, test=10), seed=1)
    summary = read("metrics/data.json")
    assert summary["rows_dropped_by_label"] == 2
    assert summary["unlabelled_rows_dropped"] == summary["empty_rows_dropped"] == 1
    splits = [read_table(path) for path in RAW.iterdir()]
    written = {text: label for table, _ in splits for text, label in table[["text", "label"]].to_numpy()}
    assert written == dict(reviews(60))
    assert all(metadata["labels"] == ["negative", "positive"] for _, metadata in splits)
