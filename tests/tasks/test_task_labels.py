"""How the labels of each task are read in every form of file, and which ones are refused, with place and fix."""

import json
import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from local_data import local, write, write_csv, write_frame
from pyarrow import parquet
from pydantic import ValidationError

from classifier.dataset.checking import read_split
from classifier.errors import InputError
from classifier.files.places import LOCAL
from classifier.params.datasets import Dataset
from classifier.runner.params import problem_of

SEVERAL = {"task": "multi-label", "labels": ["a", "b", "c"]}
JOINED = SEVERAL | {"label_separator": ","}
COLUMNS = {"task": "multi-label", "label": ["a", "b"], "labels": None}
NUMBER = {"task": "regression", "labels": None}
RATING = {"task": "ordinal", "labels": None, "range": [1, 5]}
DROP = {"drop": ["unlabelled"]}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def values_of(path: Path, entry: dict) -> list:
    """The values of the rows of a file. A test split may lack a label."""
    return read_split([path], local(source={"train": path.name}, **entry), "test")[0]["label"].tolist()


def refusal_of(path: Path, entry: dict) -> str:
    with pytest.raises(InputError) as error:
        values_of(path, entry)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def json_lines(labels: list) -> Path:
    lines = [json.dumps({"text": f"text {row}", "label": label}) for row, label in enumerate(labels)]
    return write("a.jsonl", "\n".join(lines) + "\n")


def csv_file(labels: list[str]) -> Path:
    return write_csv("a.csv", [(f"text {row}", label) for row, label in enumerate(labels)])


def parquet_file(labels: list) -> Path:
    return write_frame("a.parquet", pd.DataFrame({"text": [f"text {row}" for row in range(len(labels))],
                                                  "label": labels}))  # fmt: skip


LISTS = [["c", "a"], [], ["b"]]


@pytest.mark.parametrize(
    ("make", "labels", "entry"),
    [
        (json_lines, LISTS, SEVERAL),
        (parquet_file, LISTS, SEVERAL),
        (json_lines, [["c", " a ", "a"], [], ["b"]], SEVERAL),
        (json_lines, [[2, 0], [], [1]], SEVERAL),
        (json_lines, [[2.0, "0"], [], 1], SEVERAL),
        (parquet_file, [[2, 0], [], [1]], SEVERAL),
        (csv_file, ['["c", "a"]', "[]", '["b"]'], SEVERAL),
        (csv_file, ["[2, 0]", " [] ", "b"], SEVERAL | {"labels": ["0", "b", "2"]}),
        (csv_file, ["c,a", "", "b"], JOINED),
        (csv_file, [" c , a,", ",", "b"], JOINED),
        (csv_file, ['["c", "a"]', "[]", "b"], JOINED),
        (csv_file, ["c | a", " ", "b"], JOINED | {"label_separator": " | "}),
        (json_lines, [["z", "x"], ["w"], ["y", "w"]], SEVERAL | {"labels": {"x": "a", "y": "b", "z": "c", "w": None}}),
        (json_lines, [[3, 1], [], [2]], SEVERAL | {"labels": {1: "a", 2: "b", 3: "c"}}),
    ],
)
def test_several_labels_in_one_column(make, labels, entry):
    assert values_of(make(labels), entry) == ["0 2", "", "1"]


@pytest.mark.parametrize(
    ("yes", "no"), [("1", "0"), ("true", "false"), ("TRUE", "False"), ("1.0", "0.0"), (" 1", "0 ")]
)
def test_several_columns_of_labels(yes, no):
    rows = [("first", yes, no), ("second", no, no), ("third", yes, yes)]
    path = write_csv("a.csv", rows, ("text", "a", "b"))
    assert values_of(path, COLUMNS) == ["0", "", "0 1"]
    assert values_of(path, COLUMNS | {"label": ["b", "a"]}) == ["1", "", "0 1"]
    assert values_of(path, COLUMNS | {"labels": {"b": "rude", "a": "mild"}}) == ["1", "", "0 1"]


@pytest.mark.parametrize("kind", [bool, int, float])
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_several_columns_of_labels_with_types(suffix, kind):
    frame = pd.DataFrame({"text": ["x", "y", "z"], "a": [1, 0, 1], "b": [0, 0, 1]}).astype({"a": kind, "b": kind})
    assert values_of(write_frame(f"a.{suffix}", frame), COLUMNS) == ["0", "", "0 1"]


def test_columns_of_labels_inside_of_objects():
    lines = [{"text": "x", "has": {"a": 1, "b": False}}, {"text": "y", "has": {"a": 0, "b": True}}]
    path = write("a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    assert values_of(path, COLUMNS | {"label": ["has.a", "has.b"]}) == ["0", "1"]


def test_marks_of_two_labels_are_refused():
    """[0, 1] alone is a list of numbers, but with [1, 0] beside it each list marks one label."""
    two = SEVERAL | {"labels": ["a", "b"]}
    assert values_of(json_lines([[0, 1], [0], []]), two) == ["0 1", "0", ""]
    assert values_of(json_lines([[0, 1], [1, 0], [2]]), SEVERAL) == ["0 1", "0 1", "2"]  # marks of three labels have 3
    with pytest.raises(
        InputError, match=re.escape("lines 1, 3, column 'label': unknown label '[\"0\", \"1\"]'")
    ) as error:
        values_of(json_lines([[0, 1], [1, 0], [0, 1]]), two)
    assert str(error.value).endswith(f"line 2, column 'label': unknown label '[\"1\", \"0\"]'; {LISTED}")


def test_numbers_and_ratings():
    assert values_of(json_lines([1, -2.5, "3e2", " .5 ", "-1"]), NUMBER) == [1, -2.5, 300, 0.5, -1]
    assert values_of(csv_file(["1", "-2.5", "+7"]), NUMBER) == [1, -2.5, 7]
    assert values_of(parquet_file([1.25, 2.0]), NUMBER) == [1.25, 2]
    assert values_of(json_lines([1, 5.0, "3", " 2.0 "]), RATING) == [0, 4, 2, 1]
    assert values_of(csv_file(["-1", "0", "1"]), RATING | {"range": [-1, 1]}) == [0, 1, 2]


NAMES = "use the names a, b, c, or in all rows their numbers 0 to 2, or change `labels` in params.yaml"
MARKS = "write 1 or true in the rows with the column's label, and 0 or false in other rows"
MISSING = "missing label; fill it in or remove the row, or leave such rows out with `drop: [unlabelled]`"
LISTED = "list the names of the text's labels; marks of 0 and 1 need a column for each label"
IN_RANGE = "write a whole number from 1 to 5, or change `range` in params.yaml"


@pytest.mark.parametrize(
    ("label", "entry", "problem"),
    [
        (["a", "d"], SEVERAL, f'unknown label \'["a", "d"]\'; {NAMES}'),
        ("a,b", SEVERAL, f"unknown label '[\"a,b\"]'; {NAMES}; if names are joined, set `label_separator`"),
        ("a;d", JOINED, f"unknown label '[\"a;d\"]'; {NAMES}"),
        ([3], SEVERAL, f"unknown label '[\"3\"]'; {NAMES}"),
        ([0.5], SEVERAL, f"unknown label '[\"0.5\"]'; {NAMES}"),
        (["a", None], SEVERAL, f'unknown label \'["a", "None"]\'; {NAMES}'),
        ([["a"], {"b": 1}], SEVERAL, "unknown label"),
        ({"a": 1}, SEVERAL, "unknown label"),
        ("[" * 100_000, SEVERAL, "unknown label"),
        ("[1, ", SEVERAL, "unknown label"),
        ([1, 0, 0], SEVERAL, f'unknown label \'["1", "0", "0"]\'; {LISTED}'),
        ([True, False, True], SEVERAL, f'unknown label \'["True", "False", "True"]\'; {LISTED}'),
        (None, SEVERAL, MISSING),
        (-1, SEVERAL, MISSING),
        (["a"], {}, "unknown label \"['a']\"; use the names negative, positive"),
        ("1" * 5000, {}, "unknown label '1111"),
        ("n/a", NUMBER, "unknown label 'n/a'; write a number"),
        ("inf", NUMBER, "unknown label 'inf'; write a number"),
        ("nan", NUMBER, "unknown label 'nan'; write a number"),
        (True, NUMBER, "unknown label 'True'; write a number"),
        ([1.0], NUMBER, "unknown label '[1.0]'; write a number"),
        ("1_000", NUMBER, "unknown label '1_000'; write a number"),
        ("٣", NUMBER, "unknown label '٣'; write a number"),
        ("1,5", NUMBER, "unknown label '1,5'; write a number, with a point in place of the comma"),
        (1e300, NUMBER, "unknown label '1e+300'; write a number up to 1e+30"),
        (None, NUMBER, MISSING),
        (" ", NUMBER, MISSING),
        (0, RATING, f"unknown label '0'; {IN_RANGE}"),
        (6, RATING, f"unknown label '6'; {IN_RANGE}"),
        (3.5, RATING, f"unknown label '3.5'; {IN_RANGE}"),
        ("good", RATING, f"unknown label 'good'; {IN_RANGE}"),
        ([3], RATING, f"unknown label '[3]'; {IN_RANGE}"),
        (None, RATING, MISSING),
    ],
)
def test_a_bad_label_is_refused_with_its_place_and_a_fix(label, entry, problem):
    good = {"multi-label": ["a"], "single-label": 1}.get(entry.get("task", "single-label"), 2)
    message = refusal_of(json_lines([good, label, good]), entry)
    assert message.startswith(f"line 2, column 'label': {problem}")


@pytest.mark.parametrize(
    ("mark", "problem"),
    [
        ("2", f'unknown label \'["a", "b=2"]\'; {MARKS}'),
        ("0.5", f'unknown label \'["a", "b=0.5"]\'; {MARKS}'),
        ("yes", f'unknown label \'["a", "b=yes"]\'; {MARKS}'),
        ("", MISSING),
        ("-1", MISSING),
    ],
)
def test_a_bad_mark_in_a_column_of_a_label_is_refused(mark, problem):
    path = write_csv("a.csv", [("x", "0", "1"), ("y", "1", mark)], ("text", "a", "b"))
    assert refusal_of(path, COLUMNS) == f"line 3, column 'a' and 'b': {problem}"


def test_a_missing_column_of_a_label_is_refused():
    path = write_csv("a.csv", [("x", "0", "1")], ("text", "a", "b"))
    message = refusal_of(path, COLUMNS | {"label": ["a", "c"]})
    assert message == "no column 'c'; set `label` in params.yaml to a column of the file: 'text', 'a', 'b'"


@pytest.mark.parametrize(
    ("entry", "labels", "left"),
    [
        (SEVERAL, [["a"], None, "-", -1, [-1], "", []], ["0", ""]),
        (JOINED, ["a", "", "-1", "b,"], ["0", "", "1"]),
        (SEVERAL | {"labels": ["a", "-", "-1"]}, [["-"], "-1", None], ["1", "2"]),
        (NUMBER, [2, None, "", "-", -1], [2, -1]),
        (RATING, [2, None, "", "-", -1], [1]),
        (RATING | {"range": [-1, 2]}, [2, None, "", "-", -1], [3, 0]),
    ],
)
def test_rows_without_a_label_can_be_left_out(entry, labels, left):
    rows, counts = read_split([json_lines(labels)], local(source={"train": "a.jsonl"}, **entry, **DROP), "test")
    assert rows["label"].tolist() == left
    assert counts["unlabelled_rows_dropped"] == len(labels) - len(left)


def test_rows_of_marks_without_a_label_can_be_left_out():
    rows = [("x", "0", "1"), ("y", "-1", "-1"), ("z", "", ""), ("v", "1", "")]
    assert values_of(write_csv("a.csv", rows, ("text", "a", "b")), COLUMNS | DROP) == ["1"]


def test_a_stray_quote_is_found_beside_labels_of_each_task():
    for entry, labels in ((NUMBER, ("1.5", "2.5", "3.5")), (RATING, "123"), (JOINED, ("a,b", "c", "a"))):
        rows = "".join(f'"{label}",text {number}\n' for number, label in enumerate(labels))
        path = write("a.csv", f'label,text\n1,"swallows\n{rows}2,it\n'.replace("1,", f'"{labels[0]}",', 1))
        assert "line 2" in refusal_of(path, entry)


@pytest.mark.parametrize("names", [["a", "b", "c"], ["b", "a", "c"]])
def test_names_of_numbers_in_lists_are_compared_with_the_metadata_of_the_file(names):
    """As `datasets` writes a list of ClassLabel."""
    item = {"names": ["a", "b", "c"], "_type": "ClassLabel"}
    table = pa.table({"text": ["x", "y"], "label": [[2, 0], [1]]})
    LOCAL.mkdir(parents=True)
    for feature in ({"feature": item, "_type": "List"}, [item]):
        info = {"info": {"features": {"label": feature}}}
        with_names = table.replace_schema_metadata({"huggingface": json.dumps(info)})
        parquet.write_table(with_names, LOCAL / "a.parquet")
        if names[0] == "a":
            assert values_of(LOCAL / "a.parquet", SEVERAL) == ["0 2", "1"]
        else:
            message = refusal_of(LOCAL / "a.parquet", SEVERAL | {"labels": names})
            assert message.startswith("column 'label': the file's own metadata name the labels 0 a, 1 b, 2 c;")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"task": "tagging"}, "task: input should be 'single-label', 'multi-label', 'regression' or 'ordinal'"),
        ({"task": "ordinal"}, "range: missing key; `task: ordinal` needs it"),
        ({}, "labels: missing key; `task: single-label` needs it"),
        ({"task": "ordinal", "range": [5, 1]}, "range: should be the lowest and the highest of 2 to 100 ratings"),
        ({"task": "ordinal", "range": [1, 1]}, "range: should be the lowest and the highest of 2 to 100 ratings"),
        ({"task": "ordinal", "range": [0, 100]}, "range: should be the lowest and the highest of 2 to 100 ratings"),
        ({"task": "ordinal", "range": [1.5, 3]}, "range.0: "),
        ({"task": "ordinal", "range": [1]}, "range: "),
        ({"task": "ordinal", "range": [1, 5], "labels": ["1", "2"]}, "labels: not used by `task: ordinal`; remove it"),
        ({"task": "regression", "labels": ["1", "2"]}, "labels: not used by `task: regression`; remove it"),
        ({"task": "regression", "range": [1, 5]}, "range: not used by `task: regression`; remove it"),
        ({"task": "regression", "label": ["a", "b"]}, "label: `task: regression` needs one column of labels"),
        ({"task": "single-label", "labels": ["a", "b"], "label": []}, "label"),
        ({"task": "single-label", "labels": ["a", "b"], "label_separator": ","}, "label_separator: not used by"),
        ({"task": "multi-label"}, "labels: at least two names are needed"),
        ({"task": "multi-label", "labels": ["a"]}, "labels: at least two names are needed"),
        ({"task": "multi-label", "label": ["a", "a", "b"]}, "label: the columns must differ from each other"),
        ({"task": "multi-label", "label": ["a", "b"], "label_separator": ","}, "label_separator: several columns"),
        (
            {"task": "multi-label", "label": ["a", "b"], "labels": ["x", "y"]},
            "labels: the columns name the labels",
        ),
        ({"task": "multi-label", "label": ["a", "b"], "labels": {"a": "x"}}, "labels: should map each column"),
        ({"task": "multi-label", "label": ["a", "b"], "labels": {"a": "x", "b": "x"}}, "labels: at least two names"),
    ],
)
def test_an_entry_whose_keys_do_not_fit_its_task_is_refused(keys, problem):
    with pytest.raises(ValidationError) as error:
        Dataset(source={"train": "a.csv"}, test=20, **keys)
    place = ".".join(map(str, error.value.errors()[0]["loc"]))
    message = f"{place}: {problem_of(error.value)}".removeprefix(": ")
    assert message.startswith(problem)
    assert "\n" not in message


def test_a_list_as_pandas_writes_it_into_a_csv():
    assert values_of(csv_file([str(labels) for labels in LISTS]), SEVERAL) == ["0 2", "", "1"]
