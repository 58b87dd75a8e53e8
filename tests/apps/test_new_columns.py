"""`apps.new`: the columns, questions about them, and what is refused."""

import subprocess
from pathlib import Path

import pandas as pd
import pytest
import typer
from new_command import FILE, FRAME, add, entry, refused, write

from apps.new.choices import choose
from apps.new.report import describe_lengths
from apps.new.survey import Survey


@pytest.mark.parametrize("title", ["Survey,,\n", "Survey,,\n\n"])
def test_a_title_above_the_header(place, title):
    Path(FILE).write_text(title + FRAME.assign(id=range(40)).to_csv(index=False))
    assert "row 1 has 'Survey' alone; remove the rows above the names of the columns" in refused(FILE)


def test_columns_without_a_name(place):
    frame = FRAME.assign(a=[*["x"] * 3, *[None] * 37], b=None).set_axis(["text", "label", "", " "], axis=1)
    assert "others: 'unnamed 3'" in add(write(frame))


def test_several_columns(place):
    frame = FRAME.assign(title=FRAME["text"].str.upper(), opinion=FRAME["label"], city=["Ulm", "Bonn"] * 20)
    write(frame.drop(columns="label").rename(columns={"text": "the body"}))
    options = "--text 'the body' --text title"
    assert f"'the body', 'title'; name one by --text, or join them by {options}" in refused(FILE)
    columns = "'opinion' (bad, good), 'city' (Bonn, Ulm)"
    assert f"several columns may have the labels: {columns}; name one by --label" in refused(FILE, "--text", "title")
    assert "no column 'nope'; its columns are 'the body', 'title', 'opinion', 'city'" in refused(
        FILE, "--text", "nope", "--label", "city"
    )
    add(FILE, "--text", "title", "--text", "the body", "--label", "opinion")
    assert (entry()["text"], entry()["label"]) == (["title", "the body"], "opinion")


def test_a_terminal_is_asked(monkeypatch):
    asked = []
    monkeypatch.setattr(typer, "prompt", lambda question, **_: asked.append(question) or "b")
    assert choose("texts", "--text", ["a"], {"a": None, "b": None}, may_ask=True) == "a"
    assert choose("texts", "--text", ["a", "b"], {"a": None, "b": None}, may_ask=True) == "b"
    assert asked == ["Which column has the texts: 'a', 'b'?"]


@pytest.mark.parametrize(
    ("content", "words", "error"),
    [
        ("", (), "is empty; save the table again"),
        ("text,label\n", (), "no rows; save the table again"),
        ("<!doctype html>\n<p>Sign in", (), "is an HTML page"),
        ("text,label\nA, B,good\nC,bad\n", (), "line 2 (3 fields): the header has 2"),
        ("text,label\nA,good\nB,good\n", (), "has the single value 'good', but two labels are needed"),
        ("text\nA\nB\n", (), "no column seems to have the labels"),
        ("text,label\nA,good\nB,bad\n", (), "has 1 different texts that are in no other split, but needs 3"),
        (None, ("--split-column", "label"), "its values 'bad', 'good' do not name train, validation and test"),
        (None, ("--encoding", "foo"), "--encoding 'foo': should be the name of a text encoding"),
        (None, ("--encoding", "ascii"), "not ASCII; set --encoding to the file's encoding"),
        (None, ("--kind", "json"), "not JSON"),
        (None, ("--test", "400"), "new: --test: 400 rows requested, 40 available; lower it"),
        (None, ("--name", "a.b"), "--name 'a.b': should be letters, digits, - and _"),
    ],
)
def test_refusals(place, content, words, error):
    write()
    if content is not None:
        Path(FILE).write_text(content)
    assert error in refused(FILE, *words)


def test_files_that_are_refused(place):
    assert "elsewhere/none.csv: no such file or folder" in refused("elsewhere/none.csv")
    assert "no table in this folder" in refused("elsewhere")
    for path in (".", "data", "data/local"):
        assert f"{path}: is not a data set of its own, because data/local/ is in it" in refused(path)
    write(path="elsewhere/train.csv")
    FRAME.to_json("elsewhere/test.jsonl", orient="records", lines=True)
    FRAME.to_json("elsewhere/train.jsonl", orient="records", lines=True)
    assert "elsewhere: has .csv and .jsonl files; name one file" in refused("elsewhere")
    subprocess.run(["tar", "czf", "elsewhere/a.tar.gz", "elsewhere/train.csv"], check=True)
    assert "is a tar archive; unpack it" in refused("elsewhere/a.tar.gz")


def test_lengths_in_tokens(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(2)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = Survey()
    found.add(pd.Series(["a b c d", "a", "a b"]), ["x", "y", None], ["train"] * 3)
    assert dict(describe_lengths(found, tmp_path / "tokenizer.json", max_length=3)) == {
        "words": "median 2; 5% have at most 1, 5% at least 3, the longest 4",
        "tokens": "median 2; 33% of the texts have more than tokenize.max_length, 3",
    }


def test_a_survey_counts_duplicates_without_regard_to_missing_labels():
    found = Survey()
    found.add(pd.Series(["A film", "a  film", "b", "b", "b", " "]), ["x", "y", "x", "x", None, "x"], ["train"] * 6)
    assert found.duplicates() == (3, 1)
    assert (found.no_label.count, found.no_text.count) == (1, 1)


@pytest.mark.parametrize("others", [["unused"], [None], ["unused", None]])
def test_rows_of_no_split_are_left_out_and_counted(place, others):
    """A column of splits can have other values and empty cells."""
    splits = [*others, *["train"] * (28 - len(others)), *["test"] * 12]
    shown = add(write(FRAME.assign(split=splits)))
    assert entry()["source"]["test"] == {"files": "reviews.csv", "where": {"split": "test"}}
    assert ("1 row with 'unused' in the column 'split': in no split" in shown) == ("unused" in others)
    assert ("1 row with an empty cell in the column 'split': in no split" in shown) == (None in others)
    assert f"rows        train {28 - len(others)}, test 12, by the column 'split'" in shown


def test_a_column_that_names_few_splits_is_none(place):
    add(write(FRAME.assign(set=["train", "test", *[f"group {number % 9}" for number in range(38)]])))
    assert "where" not in str(entry())


def test_a_column_of_splits_beside_files_of_splits(place):
    Path("elsewhere/both").mkdir()
    write(FRAME.assign(split=["train", "test"] * 20), "elsewhere/both/train.csv")
    write(FRAME.assign(text=FRAME["text"] + " again", split="test"), "elsewhere/both/test.csv")
    error = refused("elsewhere/both", "--split-column", "split")
    assert "--split-column: elsewhere/both has files for train, test; leave it out, or name one file" in error


def test_a_wide_table_is_not_listed_as_a_whole(place):
    columns = {f"c{number}": [f"words {letter} {number}" for letter in "abcdefgh" * 5] for number in range(60)}
    error = refused(write(pd.DataFrame(columns)))
    assert "'c18', 'c19' and 40 more" in error
    assert "c20" not in error


def test_ids_in_a_column_whose_name_suggests_texts(place):
    ids = [f"r{number}" for number in range(len(FRAME))]
    shown = add(write(FRAME.rename(columns={"text": "body_text"}).assign(review=ids)))
    assert "texts 'body_text'" in shown
    short = [f"bright film {number}" for number in range(len(FRAME))]
    write(FRAME.rename(columns={"text": "notes"}).assign(text=short), "elsewhere/short.csv")
    assert "texts 'text'" in add("elsewhere/short.csv")
