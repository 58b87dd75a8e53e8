"""`apps.new`: tasks other than single-label, and pairs of texts."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from new_command import FILE, FRAME, NUMBERS, add, entry, refused, write

SETS = [["film"], ["film", "plot"], [], ["plot"], ["fun", "plot"]]
LISTS = [SETS[number % 5] for number in range(40)]
NAMES = ["film", "fun", "plot"]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("name", ["label", "words"])
def test_lists(place, suffix, name):
    path, frame = f"elsewhere/lists.{suffix}", FRAME.assign(label=LISTS).rename(columns={"label": name})
    frame.to_parquet(path) if suffix == "parquet" else frame.to_json(path, orient="records", lines=True)
    assert "film 16, fun 8, plot 24" in add(path)
    assert (entry()["task"], entry()["labels"], entry().get("label", "label")) == ("multi-label", NAMES, name)
    assert "label_separator" not in entry()


def test_lists_as_python_prints_them(place):
    """As pandas writes a column of lists into a .csv. One cell that only looks like a list is one name."""
    write(FRAME.assign(label=[str(names) if names else "[draft" for names in LISTS]))
    assert "film 16, fun 8, plot 24" in add(FILE, "--task", "multi-label")
    assert entry()["labels"] == ["[draft", *NAMES]


@pytest.mark.parametrize("old", [False, True])
def test_lists_of_numbers_that_the_file_names(place, old):
    """In both notations of `datasets`."""
    numbers = [[NAMES.index(name) for name in names] for names in LISTS]
    item = {"names": NAMES, "_type": "ClassLabel"}
    info = {"info": {"features": {"label": [item] if old else {"feature": item, "_type": "List"}}}}
    table = pa.table({"text": FRAME["text"], "label": numbers})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), "elsewhere/a.parquet")
    add("elsewhere/a.parquet")
    assert entry()["labels"] == {0: "film", 1: "fun", 2: "plot"}


@pytest.mark.parametrize("separator", [";", "|", ",", " / "])
def test_joined_names(place, separator):
    write(FRAME.assign(label=[separator.join(names) or "film" for names in LISTS]))
    options = ["--label-separator", separator] if separator == " / " else []
    if not options:
        hint = f"many labels are names joined by {separator!r}: --task multi-label would take them apart"
        assert hint in add(FILE, "--dry-run")
    add(FILE, "--task", "multi-label", *options)
    assert entry()["label_separator"] == separator
    assert entry()["labels"] == NAMES


def test_a_name_with_a_comma_is_one_name(place):
    write(FRAME.assign(label=["news, politics", "sports, football"] * 20))
    assert "joined" not in add(FILE)
    assert entry()["labels"] == ["news, politics", "sports, football"]


def test_several_columns_of_labels(place):
    marks = {name: [int(name in names) for names in LISTS] for name in NAMES}
    write(FRAME[["text"]].assign(**marks))
    options = [word for name in NAMES for word in ("--label", name)]
    assert "film 16, fun 8, plot 24" in add(FILE, *options)
    assert entry()["label"] == NAMES
    assert entry()["task"] == "multi-label"
    assert "labels" not in entry()
    write(FRAME[["text"]].assign(**marks | {"plot": 7}), "elsewhere/wrong.csv")
    assert "write 1 or true in the rows with the column's label" in refused("elsewhere/wrong.csv", *options)
    assert "label: `task: single-label` needs one column of labels" in refused(
        "elsewhere/wrong.csv", *options, "--task", "single-label"
    )


@pytest.mark.parametrize(
    ("values", "proposed"),
    [
        ([number + 0.5 for number in range(40)], "--task regression learns them as numbers, --task single-label"),
        ([2 * number for number in range(40)], "--task regression learns them as numbers, --task ordinal as ratings"),
        ([9 * number for number in range(40)], "--task regression learns them as numbers, --task single-label"),
    ],
)
def test_numbers(place, values, proposed):
    write(FRAME.assign(label=values))
    assert f"column 'label': has 40 different numbers; {proposed}" in refused(FILE, "--label", "label")
    add(FILE, "--task", "regression")
    assert entry()["task"] == "regression"
    assert "labels" not in entry()


def test_a_word_among_numbers(place):
    write(FRAME.assign(label=[*range(39), "high"]))
    assert "write a number" in refused(FILE, "--task", "regression", "--label", "label")


def test_many_labels_that_count_are_labels(place):
    frame = pd.concat([FRAME] * 4).reset_index(drop=True).assign(label=[number % 25 for number in range(160)])
    write(frame.assign(text=[f"{text} {number}" for number, text in enumerate(frame["text"])]))
    add(FILE)
    assert len(entry()["labels"]) == 25


def test_ratings(place):
    write(FRAME.assign(label=[1, 2, 4, 5] * 10))
    assert "--task ordinal would treat them as ratings from 1 to 5, whose order counts" in add(FILE)
    assert entry()["labels"] == {1: "1", 2: "2", 4: "4", 5: "5"}
    add(FILE, "--task", "ordinal", "--replace")
    assert (entry()["task"], entry()["range"]) == ("ordinal", [1, 5])
    write(FRAME, "elsewhere/words.csv")
    assert "has no whole numbers, but two labels are needed" in refused("elsewhere/words.csv", "--task", "ordinal")


def test_pairs(place):
    write(FRAME.assign(premise=FRAME["text"].str.upper()))
    both = ["--text", "premise", "--text", "text"]
    assert "--pair: name the two columns of a pair by --text FIRST --text SECOND" in refused(FILE, "--pair")
    add(FILE, "--pair", *both)
    assert (entry()["pair"], entry()["text"]) == (True, ["premise", "text"])


def test_one_joined_value_is_enough_for_multi_label(place):
    names = ["bug", "bill", "plea", "bug;bill"] * 10
    assert entry_of(names)["labels"] == ["bill", "bug", "bug;bill", "plea"]
    assert entry_of(names, "--task", "multi-label")["label_separator"] == ";"
    assert entry()["labels"] == ["bill", "bug", "plea"]


def test_an_empty_cell_of_joined_names_is_no_label(place):
    shown = add(write(FRAME.assign(label=["bug;bill", "bug", "bill", ""] * 10)), "--task", "multi-label")
    assert "10 texts have no label" in shown
    assert "drop" not in entry()


def test_lists_that_are_texts_are_several_labels(place):
    assert entry_of(["['bug', 'bill']", "['bug']", "['bill']", "[]"] * 10)["task"] == "multi-label"
    assert entry()["labels"] == ["bill", "bug"]


def test_numbers_with_a_decimal_comma(place):
    """The delimiter is the mark that divides the header, too. The stage `data` says how to write the numbers."""
    lines = [f"{row.text.replace(',', '').replace(';', '')};{row.Index},5" for row in FRAME.itertuples()]
    Path(FILE).write_text("\n".join(["text;score", *lines]), encoding="utf-8")
    assert "with a point in place of the comma" in refused(FILE, "--task", "regression")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--task", "ordinal", "--labels", "a,b"), "--labels: ordinal labels have no names; leave it out"),
        (("--label-separator", ";"), "--label-separator: only one column of several labels has it"),
        (("--sheet", "x"), "--sheet: a file of the kind csv does not have it; leave it out, or correct --kind"),
        (("--labels", "a=x,\nb=y"), "--labels 'a=x,\\nb=y': new-line character seen"),
    ],
)
def test_options_that_nothing_reads(place, words, error):
    assert error in refused(write(FRAME.assign(label=NUMBERS)), *words)


def entry_of(labels: list[str], *words: str) -> dict:
    """Return the entry of a table with these labels."""
    add(write(FRAME.assign(label=labels)), "--replace", *words)
    return entry()
