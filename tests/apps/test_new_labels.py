"""`apps.new`: the labels, their names, and rows without one."""

import pytest
from new_command import FILE, FRAME, NUMBERS, add, entry, refused, rows_read, write


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        ((), {0: "0", 4: "4"}),
        (("--labels", "bad,good"), {0: "bad", 4: "good"}),
        (("--labels", "4=good,0=bad"), {4: "good", 0: "bad"}),
    ],
)
def test_labels_that_are_numbers(place, words, labels):
    shown = add(write(FRAME.assign(label=NUMBERS)), *words)
    assert entry()["labels"] == labels
    assert "--labels bad,good would name them" in shown


def test_labels_that_get_other_names(place):
    frame = FRAME.assign(label=["bad", "good", "fair", "meh"] * 10)
    assert "no name for the value 'fair'; add fair=NAME" in refused(write(frame), "--labels", "bad=0,good=1,meh=")
    assert "does not fit the values bad, fair, good, meh" in refused(FILE, "--labels", "bad,good")
    add(FILE, "--labels", "bad=negative,good=positive,fair=positive,meh=")
    assert entry()["labels"] == {"bad": "negative", "good": "positive", "fair": "positive", "meh": None}


def test_rows_without_a_label_or_a_text(place):
    frame = FRAME.copy()
    frame.loc[[3, 5], "label"] = None
    frame.loc[8, "text"] = " <br /> "
    both = "2 rows have no label (lines 5, 7), a row has no text (line 10)"
    assert f"{both}; leave them out by --drop unlabelled --drop empty" in refused(write(frame))
    assert "no text" not in refused(FILE, "--drop", "empty")
    assert "a row has no text (line 10); leave them out by --drop empty" in refused(FILE, "--drop", "unlabelled")
    add(FILE, "--drop", "unlabelled", "--drop", "empty")
    assert entry()["drop"] == ["unlabelled", "empty"]


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("-", ["bad", "good"]),
        ("unsup", {"bad": "bad", "good": "good", "unsup": None}),
        ("N/A", {"bad": "bad", "good": "good", "N/A": None}),
    ],
)
def test_values_that_stand_for_no_label(place, value, labels):
    write(FRAME.assign(label=[*FRAME["label"][:30], *[value] * 10]))
    assert f"10 rows have no label (label {value})" in refused(FILE)
    add(FILE, "--drop", "unlabelled")
    assert entry()["labels"] == labels


def test_rows_with_and_without_a_value_for_no_label(place):
    frame = FRAME.assign(label=[None, "?", *FRAME["label"][2:]])
    assert "2 rows have no label (line 2; label ?); leave them out" in refused(write(frame))


def test_labels_that_differ_in_case(place):
    frame = FRAME.assign(label=["Good", "bad", "good", "good"] * 10)
    pairs = "Good=good,bad=bad,good=good"
    hint = f"some labels differ in capital letters alone: --labels {pairs} would join them"
    assert hint in add(write(frame), "--dry-run")
    add(FILE, "--labels", pairs)
    assert entry()["labels"] == {"Good": "good", "bad": "bad", "good": "good"}


@pytest.mark.parametrize("content", [[["good"], "bad"], [{"name": "good"}, {"name": "bad", "by": ["me"]}]])
def test_labels_that_are_objects(place, content):
    frame = FRAME.assign(label=[content[number % len(content)] for number in range(40)])
    frame.to_json("elsewhere/lists.jsonl", orient="records", lines=True)
    if isinstance(content[0], dict):
        add("elsewhere/lists.jsonl", "--label", "label.name")
    else:
        error = refused("elsewhere/lists.jsonl")
        assert "column 'label': has objects or mixed lists, such as [\"good\"]; write labels as text" in error


def test_codes_with_leading_zeros_are_names(place):
    shown = add(write(FRAME.assign(label=["01", "02"] * 20)))
    assert entry()["labels"] == ["01", "02"]
    assert "the labels are numbers" not in shown
    assert {label for _, label in rows_read()} == {"01", "02"}
    add(FILE, "--labels", "01=bad,02=good", "--replace")
    assert entry()["labels"] == {"01": "bad", "02": "good"}
