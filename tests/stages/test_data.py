"""The stage `data`: duplicates and splits; and other data sets through the whole pipeline."""

import json
import os
import random
import re
import sys
from pathlib import Path

import datasets
import pandas as pd
import pyarrow.parquet as pq
import pytest
from commands import dvc, git, peak_memory, read, run_stages
from local_data import local, run_data, write, write_csv, write_frame
from pydantic import ValidationError
from sklearn.model_selection import train_test_split
from tiny import NEGATIVE, NEUTRAL, POSITIVE, ROOT, edit_params, reviews

from classifier.dataset import gathering
from classifier.dataset.splitting import stratified_sample
from classifier.errors import InputError
from classifier.files.formats import read_table
from classifier.files.places import LOCAL, RAW
from classifier.runner.params import STAGES
from classifier.tables import rows as table_rows
from classifier.text.duplicates import normalize, text_hash


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def splits() -> dict[str, pd.DataFrame]:
    return {path.stem: read_table(path)[0] for path in RAW.iterdir()}


def test_normalize():
    assert [normalize(text) for text in ("A  Film\n", "a film")] == ["a film"] * 2
    assert [normalize(text) for text in ("STRASSE", "straße")] == ["strasse"] * 2
    assert [normalize(text) for text in ("Café", "Cafe\u0301", "CAFÉ", "CAFE\u0301")] == ["café"] * 4
    for text in ("\u039c\u03b1\u0390\u03bf\u03c5", "\u1fb7"):  # their capitals have other marks
        assert normalize(text.upper()) == normalize(text)


def test_stratified_sample_keeps_the_balance_and_every_row():
    frame = pd.DataFrame({"text": [str(n) for n in range(100)], "label": [0] * 80 + [1] * 20})
    part, rest = stratified_sample(frame, 10, 1, "test")
    assert part["label"].sum() == 2
    assert sorted([*part["text"], *rest["text"]], key=int) == list(frame["text"])
    assert stratified_sample(frame, 10, 1, "test")[0].equals(part)
    assert not stratified_sample(frame, 10, 2, "test")[0].equals(part)
    everything, nothing = stratified_sample(frame, None, 1, "train")
    assert sorted(everything["text"], key=int) == list(frame["text"])
    assert nothing.empty
    with pytest.raises(InputError, match="test: 101 rows requested, 100 available"):
        stratified_sample(frame, 101, 1, "test")


def test_splits_are_held_out_of_train():
    rows = reviews(100)
    write_csv("a.csv", [*rows, (rows[0][0].upper(), rows[0][1]), (f" {rows[1][0]}\n", rows[1][1])])
    run_data(dataset=local(), seed=1)
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


def test_texts_with_several_labels():
    """They are counted, and the first row is kept or none."""
    rows = reviews(100)
    other = [(text.upper(), 1 - label) for text, label in rows[:10]]
    write_csv("a.csv", [*rows, *other, *other[:3], rows[50], ("Cafe\u0301 film", 0), ("Caf\u00e9 film", 1)])
    run_data(dataset=local(), seed=1)
    summary = read("metrics/data.json")
    assert summary["conflicting_texts"] == 11
    assert summary["duplicates_dropped"] == 15
    assert "conflicting_rows_dropped" not in summary
    kept = pd.concat(splits().values())
    assert len(kept) == 101
    assert dict(kept[["text", "label"]].to_numpy())["Cafe\u0301 film"] == 0  # the first label
    write_csv("b.csv", [*rows[:20], *((text, 1 - label) for text, label in rows[:20])])
    with pytest.raises(InputError, match=r"but needs 3 \(20 texts have several labels\); add rows"):
        run_data(dataset=local(source={"train": "b.csv"}, conflicts="drop"), seed=1)
    run_data(dataset=local(conflicts="drop"), seed=1)
    summary = read("metrics/data.json")
    assert (summary["conflicting_texts"], summary["conflicting_rows_dropped"]) == (11, 25)
    assert summary["duplicates_dropped"] == 1  # a duplicate of rows[50]
    kept = pd.concat(splits().values())
    assert sorted(kept["text"]) == sorted(text for text, _ in rows[10:])


def test_a_text_with_several_labels_stays_if_it_is_corrected_by_hand():
    rows = reviews(60)
    write_csv("a.csv", [*rows, *((text, 1 - label) for text, label in rows[:10])])
    settled = "".join(f"{text_hash(text)},positive\n" for text, _ in rows[:4])
    write("corrections.csv", f"hash,label\n{settled}")
    run_data(dataset=local(conflicts="drop", corrections="corrections.csv", validation=4, test=4), seed=1)
    summary, parts = read("metrics/data.json"), splits()
    assert (summary["conflicting_texts"], summary["conflicting_rows_dropped"]) == (10, 12)
    kept = pd.concat(parts.values())
    assert len(kept) == 54
    of_train = parts["train"].set_index("text")["label"]
    assert all(of_train[text] == 1 for text, _ in rows[:4] if text in of_train)
    assert summary["labels_corrected"] + summary["corrections_of_texts_not_in_train"] > 0


def test_texts_with_several_labels_beside_an_official_test_split():
    """The test split keeps its rows. A text of train that is also in test is dropped in any case."""
    rows = reviews(100)
    turned = [(text, 1 - label) for text, label in rows]
    write_csv("a.csv", [*rows[:80], turned[0], turned[90]])
    write_csv("b.csv", [*rows[80:], turned[80], turned[1]])
    source = {"train": "a.csv", "test": "b.csv"}
    for conflicts, count in (("first", 79), ("drop", 78)):
        run_data(dataset=local(source=source, test=None, validation=10, conflicts=conflicts), seed=1)
        summary = read("metrics/data.json")
        assert (summary["conflicting_texts"], summary["conflicting_texts_in_test"]) == (4, 3)
        assert summary.get("conflicting_rows_dropped") == (2 if conflicts == "drop" else None)
        assert summary["train_texts_in_test_dropped"] == 2
        assert summary["test"] == 22
        assert summary["train"] + summary["validation"] == count


def test_official_test_split():
    rows = reviews(100)
    # train has 80 texts, one of them twice, and a text of test twice. test has 23 texts, two of them from train.
    write_csv("a.csv", [*rows[:80], rows[5], (rows[2][0].upper(), rows[2][1])])
    write_csv("b.csv", [*rows[80:], rows[2], (rows[3][0].title(), rows[3][1]), rows[90]])
    both = {"train": "a.csv", "test": "b.csv"}
    run_data(dataset=local(source=both, test=None), seed=1)
    parts = splits()
    summary = read("metrics/data.json")
    assert summary["official_test"] is True
    assert summary["duplicates_dropped"] == 1  # a duplicate of rows[5]
    assert summary["train_texts_in_test_dropped"] == 3  # rows[2] twice and rows[3]
    assert summary["test_texts_in_train"] == 2
    assert summary["test"] == summary["test_available"] == 23
    assert len(parts["test"]) == 23  # nothing is dropped from test, not even a duplicate
    assert set(parts["test"].loc[parts["test"]["in_train"], "text"]) == {rows[2][0], rows[3][0].title()}
    learned = pd.concat([parts["train"], parts["validation"]])
    assert len(learned) == 78
    assert not set(map(normalize, learned["text"])) & set(map(normalize, parts["test"]["text"]))
    run_data(dataset=local(source=both, test=10), seed=1)  # a sample of the source's test split
    assert len(read_table(RAW / "test.parquet")[0]) == 10
    summary = read("metrics/data.json")
    assert (summary["test"], summary["test_available"]) == (10, 23)
    assert summary["train_texts_in_test_dropped"] == 3


def test_validation_and_test_splits_of_the_source():
    """A text in several splits stays in test, or else in validation."""
    rows = reviews(100)
    write_csv("a.csv", rows[:60])
    write_csv("b.csv", [*rows[55:80], rows[79]])  # five texts of train, and one text twice
    write_csv("c.csv", [*rows[75:], rows[0]])  # five texts of validation and one of train
    source = {"train": "a.csv", "validation": "b.csv", "test": "c.csv"}
    run_data(dataset=local(source=source, validation=None, test=None), seed=1)
    parts, summary = splits(), read("metrics/data.json")
    assert set(parts["test"]["text"]) == {text for text, _ in [*rows[75:], rows[0]]}
    assert sorted(parts["validation"]["text"]) == sorted(text for text, _ in rows[55:75])
    # Shuffled, since training validates on the first ones.
    assert list(parts["validation"]["text"]) != [text for text, _ in rows[55:75]]
    assert set(parts["train"]["text"]) == {text for text, _ in rows[1:55]}
    assert summary["validation_texts_in_test_dropped"] == 6
    assert summary["train_texts_in_validation_dropped"] == 5
    assert summary["train_texts_in_test_dropped"] == summary["test_texts_in_train"] == 1
    assert summary["duplicates_dropped"] == 0
    run_data(dataset=local(source={"train": "a.csv", "validation": "b.csv"}, validation=10, test=20), seed=1)
    parts = splits()
    assert {name: len(part) for name, part in parts.items()} == {"train": 35, "validation": 10, "test": 20}
    assert set(parts["validation"]["text"]) <= {text for text, _ in rows[55:80]}


def with_duplicates(rows: list[tuple]) -> pd.DataFrame:
    """Return the rows, shuffled, with 40 of them repeated in other case and white space."""
    rng = random.Random(3)
    again = [(f" {text.upper()}  ", label) for text, label in rng.choices(rows, k=40)]
    mixed = [*rows, *again]
    rng.shuffle(mixed)
    return pd.DataFrame(mixed, columns=["text", "label"])


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("official", [False, True])
def test_the_splits_are_those_of_a_table_in_memory(suffix, official, monkeypatch):
    """The stage reads and writes a few rows at a time. Here, pandas makes the splits in memory."""
    monkeypatch.setattr(table_rows, "ROWS_PER_TABLE", 7)
    monkeypatch.setattr(gathering, "ROWS_PER_GROUP", 50)
    frames = {"train": with_duplicates(reviews(400))}
    if official:
        frames["test"] = pd.concat([with_duplicates(reviews(50, seed=9)), frames["train"][:30]], ignore_index=True)
    for name, frame in frames.items():
        write_frame(f"{name}.{suffix}", frame)
    source = {name: f"{name}.{suffix}" for name in frames}
    run_data(dataset=local(source=source, validation=60, test=None if official else 0.25, train=150), seed=5)

    keys = {name: frame["text"].map(lambda text: " ".join(text.casefold().split())) for name, frame in frames.items()}
    kept, expected = ~keys["train"].duplicated(), {}
    if official:
        kept &= ~keys["train"].isin(keys["test"])
        expected["test"] = frames["test"].assign(in_train=keys["test"].isin(keys["train"]))
    rest = frames["train"][kept]
    sizes = {} if official else {"test": len(rest) // 4}
    for name, size in (sizes | {"validation": 60, "train": 150}).items():
        expected[name], rest = train_test_split(rest, train_size=size, random_state=5, stratify=rest["label"])
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(splits()[name], frame.reset_index(drop=True))
        assert pq.read_metadata(RAW / f"{name}.parquet").num_row_groups == -(-len(frame) // 50)
    words = pd.concat([frame["text"] for frame in expected.values()]).str.split().str.len()
    assert read("metrics/data.json")["words_p50"] == int(words.median())
    assert [path.name for path in Path("data").iterdir() if path.name not in ("raw", "local")] == []


@pytest.mark.parametrize(
    ("moment", "change"),
    [
        ("read_chosen_texts", lambda path, _: path.write_text("text,label\n")),  # fewer rows than were chosen
        ("write_split", lambda path, _: os.utime(path, (0, 0))),
        ("write_split", lambda _, corrections: os.utime(corrections, (0, 0))),
    ],
)
def test_a_file_that_changes_while_it_is_read_is_refused(monkeypatch, moment, change):
    paths = write_csv("a.csv", reviews(100)), write_csv("corrections.csv", [], columns=("hash", "label"))
    run_data(dataset=local(), seed=1)
    last, do = splits(), getattr(gathering, moment)

    def change_and_do(*args):
        change(*paths)
        return do(*args)

    monkeypatch.setattr(gathering, moment, change_and_do)
    with pytest.raises(InputError, match="data/local: a file changed while it was read"):
        run_data(dataset=local(corrections="corrections.csv"), seed=2)
    assert all(splits()[name].equals(frame) for name, frame in last.items())


@pytest.mark.parametrize(
    "suffix", ["csv", *(pytest.param(name, marks=pytest.mark.scale) for name in ("jsonl", "parquet"))]
)
def test_memory_does_not_grow_with_the_texts(suffix):
    """Six times as many rows of 2 kB need no more memory. All are read and written."""
    code = """if True:
        import sys
        from local_data import local, run_data
        from classifier.dataset import gathering
        gathering.BYTES_PER_GROUP = 2**22  # small files will do
        run_data(dataset=local(source={"train": sys.argv[1]}, validation=100, test=100), seed=1)
    """
    peaks = []
    for rows in (10_000, 60_000):
        rng = random.Random(rows)
        frame = pd.DataFrame({"text": [rng.randbytes(1000).hex() for _ in range(rows)], "label": [0, 1] * (rows // 2)})
        path = write_frame(f"a.{suffix}", frame)
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
        command = [sys.executable, "-c", code, path.name]
        peaks.append(peak_memory(command, env=environment))
        assert sum(pq.read_metadata(file).num_rows for file in RAW.iterdir()) == rows
    assert path.stat().st_size > 120e6
    assert peaks[1] - peaks[0] < 40e6


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


@pytest.mark.parametrize(
    ("sizes", "problem"),
    [
        ({"test": 101}, "test: 101 rows requested, 100 available; lower it"),
        ({"validation": 90}, "validation: 90 rows requested, 80 available; lower it"),
        ({"validation": 80}, "train: no rows are left for train; lower test or validation"),
        ({"train": 61}, "train: 61 rows requested, 60 available; lower it"),
        ({"validation": 1}, "validation: a sample of 1 cannot have each label: "),
    ],
)
def test_sizes_that_do_not_fit(sizes, problem):
    write_csv("a.csv", reviews(100))
    with pytest.raises(InputError, match=re.escape(problem)):
        run_data(dataset=local(**sizes), seed=1)
    assert not RAW.exists()


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


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
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
