"""Texts that occur twice, with several labels, or in several splits of the source."""

import pandas as pd
import pytest
from commands import read
from local_data import local, run_data, splits, write, write_csv
from tiny import reviews

from classifier.errors import InputError
from classifier.files.formats import read_table
from classifier.files.places import RAW
from classifier.text.duplicates import normalize, text_hash


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


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
