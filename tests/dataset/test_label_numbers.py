"""How the labels of a file become numbers: names, numbers, true and false, and a Parquet file's own names."""

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from local_data import local, write, write_csv
from tiny import reviews

from classifier.dataset.checking import read_split
from classifier.dataset.selected_rows import read_selected_rows
from classifier.errors import InputError
from classifier.files.places import LOCAL


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def texts(path, dataset) -> list[str]:
    return list(pd.concat(read_selected_rows(path, dataset))["text"])


@pytest.mark.parametrize("label", ["{0}", "{0}.0", " {0} "])
def test_labels_are_names_or_numbers(label):
    path = write_csv("a.csv", [(text, label.format(number)) for text, number in reviews(10)])
    assert list(read_split([path], local())[0]["label"]) == [0, 1] * 5
    path = write_csv("a.csv", [(text, label.format(["bad", "good"][number])) for text, number in reviews(10)])
    if ".0" not in label:
        assert list(read_split([path], local(labels=["bad", "good"]))[0]["label"]) == [0, 1] * 5
    else:
        with pytest.raises(
            InputError, match=r"lines 2, 4, 6, 8, 10, column 'label': unknown label 'bad\.0'; lines 3, "
        ):
            read_split([path], local(labels=["bad", "good"]))


def test_names_that_look_like_numbers_are_names():
    path = write_csv("a.csv", [("poor", 1), ("fair", 2), ("fine", 3)])
    assert list(read_split([path], local(labels=["1", "2", "3"]))[0]["label"]) == [0, 1, 2]
    path = write_csv("a.csv", [("poor", 0), ("fair", 1), ("fine", 2)])
    with pytest.raises(
        InputError, match=r"line 2, column 'label': unknown label '0'; use the names 1, 2, 3, or change"
    ):
        read_split([path], local(labels=["1", "2", "3"]))


def test_a_file_whose_only_label_is_another_number_than_the_names_is_refused():
    path = write_csv("a.csv", [("poor", 0)])
    with pytest.raises(InputError, match=r"line 2, column 'label': unknown label '0'; use the names 1, 2, or change"):
        read_split([path], local(labels=["1", "2"]), "test")


@pytest.mark.parametrize("labels", [["negative", "positive"], ["false", "true"], ["False", "True"]])
def test_true_and_false_are_labels(labels):
    path = write("a.jsonl", "".join(json.dumps({"text": f"{n}", "label": n % 2 == 1}) + "\n" for n in range(4)))
    assert list(read_split([path], local(labels=labels))[0]["label"]) == [0, 1, 0, 1]
    path = write("a.csv", "text,label\na,TRUE\nb,false\n")
    assert list(read_split([path], local(labels=labels))[0]["label"]) == [1, 0]
    pd.DataFrame({"text": ["a", "b"], "label": [True, False]}).to_parquet(LOCAL / "a.parquet")
    assert list(read_split([LOCAL / "a.parquet"], local(labels=labels))[0]["label"]) == [1, 0]


def named_parquet(names: list[str], labels: list):
    """Write a file whose metadata name the labels, as datasets does."""
    LOCAL.mkdir(parents=True, exist_ok=True)
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    texts_ = [f"text {number}" for number in range(len(labels))]
    Dataset.from_dict({"text": texts_, "label": labels}, features=features).to_parquet(LOCAL / "a.parquet")
    return LOCAL / "a.parquet"


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["negative", "positive"], ["positive", "negative"]),
        (["Negative", "Positive"], ["positive", "negative"]),
        (["neg", "neutral", "pos"], ["neutral", "negative", "positive"]),  # the only common name has another place
        (["a", "b", "c"], ["a", "c", "b"]),
        (["1", "0"], ["0", "1"]),
        (["0", "1", "10", "2"], ["0", "1", "2", "10"]),
    ],
)
def test_labels_in_another_order_than_the_files_own_are_refused(names, labels):
    path = named_parquet(names, list(range(len(names))))
    numbers = ", ".join(f"{number} {name}" for number, name in enumerate(names))
    with pytest.raises(InputError, match=f"^{path}: column 'label': the file's own metadata .* {numbers}; write"):
        read_split([path], local(labels=labels))


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["neg", "pos"], ["negative", "positive"]),  # new names are no other order
        (["negative", "positive"], ["negative", "positive"]),
        (["NEGATIVE", " positive"], ["negative", "positive"]),
        (["a", "b", "c"], ["a", "x", "c"]),
        (["POS", "pos"], ["POS", "pos"]),
        (["0", "1", "10", "2"], ["0", "1", "10", "2"]),  # the names look like numbers
        (["1", "2", "3"], ["1", "2", "3"]),
        (["-1", "1"], ["-1", "1"]),
    ],
)
def test_labels_in_the_files_own_order_may_have_other_names(names, labels):
    path = named_parquet(names, list(range(len(names))))
    assert list(read_split([path], local(labels=labels))[0]["label"]) == list(range(len(names)))


def test_labels_that_are_names_have_no_order(tmp_path):
    """The metadata name numbers, but the column has names. pandas writes such files."""
    path = named_parquet(["negative", "positive"], [0, 1])
    table = pq.read_table(path)
    table = table.set_column(1, "label", [["negative", "positive"]])
    pq.write_table(table.replace_schema_metadata(pq.read_schema(path).metadata), path)
    assert list(read_split([path], local(labels=["positive", "negative"]))[0]["label"]) == [1, 0]


def test_numbers_of_a_float_column_are_the_labels_names():
    LOCAL.mkdir(parents=True)
    pd.DataFrame({"text": ["good", "bad"], "label": [1.0, 0.0]}).to_parquet(LOCAL / "a.parquet")
    assert list(read_split([LOCAL / "a.parquet"], local(labels=["1", "0"]))[0]["label"]) == [0, 1]
    assert list(read_split([LOCAL / "a.parquet"], local(labels=["0", "1"]))[0]["label"]) == [1, 0]
    assert list(read_split([LOCAL / "a.parquet"], local(labels=["1.0", "0.0"]))[0]["label"]) == [0, 1]
    pd.DataFrame({"text": ["good", "bad"], "label": [1.0, -1.0]}).to_parquet(LOCAL / "a.parquet")
    assert list(read_split([LOCAL / "a.parquet"], local(labels=["-1", "1"]))[0]["label"]) == [1, 0]
