"""Labels corrected by hand."""

import pandas as pd
import pytest
from commands import read
from local_data import local, run_data, write, write_csv
from tiny import reviews

from classifier.errors import InputError
from classifier.files.places import RAW
from classifier.text.duplicates import text_hash

NAMES = ["negative", "positive"]
BASELINE = {"max_rows": 1000, "ngram_max": 1, "min_count": 1, "c": 1.0, "strip_markup": True}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def split(name: str) -> pd.DataFrame:
    return pd.read_parquet(RAW / f"{name}.parquet")


def correct(rows: list[tuple[str, str]], seed: int = 1, **changes) -> dict:
    """Run the stage `data` with (hash, label) rows as corrections, and return metrics/data.json."""
    write_csv("corrections.csv", rows, columns=("hash", "label"))
    run_data(dataset=local(corrections="corrections.csv", **changes), seed=seed)
    return read("metrics/data.json")


def test_only_train_is_corrected():
    write_csv("a.csv", reviews(100))
    run_data(dataset=local(), seed=1)
    train, validation, test = split("train"), split("validation"), split("test")
    wrong, right, gone = train["text"][3], train["text"][4], train["text"][5]
    rows = [
        (text_hash(wrong), NAMES[1 - train["label"][3]]),
        (text_hash(right), NAMES[train["label"][4]]),  # the label that it has already
        (text_hash(gone.upper() + "\n"), "drop"),  # the hash of a duplicate
        (text_hash(test["text"][0]), "drop"),
        (text_hash(validation["text"][0]), NAMES[1 - validation["label"][0]]),
    ]
    counts = correct(rows)
    assert counts["labels_corrected"] == counts["texts_dropped_by_hand"] == 1
    assert counts["corrections_of_texts_not_in_train"] == 2
    assert counts["train"] == len(train) - 1
    pd.testing.assert_frame_equal(split("test"), test)
    pd.testing.assert_frame_equal(split("validation"), validation)
    train.loc[3, "label"] = 1 - train["label"][3]
    pd.testing.assert_frame_equal(split("train"), train.drop(5).reset_index(drop=True))


def test_a_correction_of_a_duplicate_applies_to_the_kept_row():
    rows = reviews(100)
    write_csv("a.csv", [*rows, *[(text, 1 - label) for text, label in rows[:50]]])
    run_data(dataset=local(), seed=1)
    text, label = split("train").loc[0, ["text", "label"]]
    counts = correct([(text_hash(text), NAMES[1 - label])])
    assert (counts["labels_corrected"], counts["corrections_of_texts_not_in_train"]) == (1, 0)
    assert split("train")["label"][0] == 1 - label


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("hash,label\n{0},postive\n", "line 2: unknown label 'postive'; use drop, negative, positive"),
        ("hash,label\n{0},\n", "line 2: unknown label ''"),
        ("hash,label\n{0},drop\n{0},positive\n", "line 3: the hash {0} occurs twice"),
        ("hash,label\nabc,drop\n", "line 2: 'abc' is not 32 hexadecimal digits; copy"),
        ("hash,label\n,drop\n", "line 2: '' is not 32 hexadecimal digits; copy"),
        ("hash,text\n{0},a\n", "no column 'label'; add it: the columns are hash and label"),
        ("hash,label\n{0},drop\n" + "0" * 32 + ",drop\n", f"no text of train has the hash {'0' * 32}; remove its row"),
        (None, "no such file"),
    ],
)
def test_faulty_corrections_are_refused(content, problem):
    write_csv("a.csv", rows := reviews(100))
    name = text_hash(rows[0][0])
    if content is not None:
        write("corrections.csv", content.format(name))
    with pytest.raises(InputError) as error:
        run_data(dataset=local(corrections="corrections.csv"), seed=1)
    assert str(error.value).startswith("data/local/corrections.csv: ")
    assert problem.format(name) in str(error.value)
    assert not RAW.exists()


def test_a_label_must_not_lose_all_its_texts():
    write_csv("a.csv", rows := reviews(100))
    with pytest.raises(InputError, match=r"the label 'negative' has 0 different texts"):
        correct([(text_hash(text), "drop") for text, label in rows if label == 0])


def test_an_empty_table_changes_nothing():
    write_csv("a.csv", reviews(100))
    run_data(dataset=local(), seed=1)
    train = split("train")
    assert correct([])["labels_corrected"] == 0
    pd.testing.assert_frame_equal(split("train"), train)


def test_unusable_labels_are_refused():
    write_csv("a.csv", rows := reviews(100))
    write("corrections.jsonl", f'{{"hash": "{text_hash(rows[0][0])}", "label": ["drop"]}}\n')
    with pytest.raises(InputError, match=r"line 1: unknown label \['drop'\]; use"):
        run_data(dataset=local(corrections="corrections.jsonl"), seed=1)
    write_csv("a.csv", [(text, ("drop", "keep")[label]) for text, label in rows])
    write_csv("corrections.csv", [], columns=("hash", "label"))
    with pytest.raises(InputError, match="'drop' is a label of the data set"):
        run_data(dataset=local(corrections="corrections.csv", labels=["drop", "keep"]), seed=1)
