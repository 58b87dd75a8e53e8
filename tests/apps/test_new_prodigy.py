"""`python -m apps.new` on exports of the annotation program Prodigy."""

from pathlib import Path

import pytest
from new_command import FILE, FRAME, add, entry, refused, rows_read, write

ANSWERS = ["accept"] * 20 + ["reject"] * 10 + ["ignore"] * 10
EXPORT = FRAME.assign(_input_hash=range(40), answer=ANSWERS)
ACCEPTED = {"answer": "accept"}


def test_accepted_rows_are_taken_and_the_others_are_counted(place):
    shown = add(write(EXPORT.assign(answer=[None, *ANSWERS[1:]])))
    assert entry()["source"] == {"train": "reviews.csv", "where": ACCEPTED}
    for note in ("10 rows with 'reject'", "10 rows with 'ignore'", "1 row with no answer"):
        assert f"left out: {note} of Prodigy" in shown
    assert "rows        train 19\n" in shown
    assert "others: '_input_hash'\n" in shown
    assert rows_read() == [*FRAME[1:20].itertuples(index=False, name=None)]


def test_all_files_of_a_folder_are_asked(place):
    Path("elsewhere/both").mkdir()
    write(EXPORT.assign(answer="accept"), "elsewhere/both/train.csv")
    write(EXPORT.assign(text=FRAME["text"] + " again"), "elsewhere/both/test.csv")
    shown = add("elsewhere/both")
    assert entry()["source"] == {"train": "both/train.csv", "test": "both/test.csv", "where": ACCEPTED}
    assert "left out: 10 rows with 'reject' of Prodigy" in shown
    assert "rows        train 40, test 20\n" in shown
    assert len(rows_read("test")) == 20


def test_a_column_of_splits_keeps_its_meaning(place):
    shown = add(write(EXPORT.assign(split=["train", "train", "train", "test"] * 10)))
    assert "rows        train 15, test 5, by the column 'split'\n" in shown
    assert entry()["source"]["where"] == ACCEPTED
    assert [len(rows_read(split)) for split in ("train", "test")] == [15, 5]


def test_the_answer_can_be_the_label(place):
    one = write(EXPORT.assign(label="insult"))
    assert (
        "has the single value 'insult', but two labels are needed; name another column by --label, such as answer"
        in (refused(one))
    )
    assert "10 rows have no label (label ignore); leave them out by --drop unlabelled" in refused(
        one, "--label", "answer"
    )
    add(one, "--label", "answer", "--drop", "unlabelled")
    assert entry()["source"] == {"train": "reviews.csv"}
    assert entry()["labels"] == {"accept": "accept", "reject": "reject", "ignore": None}


@pytest.mark.parametrize("answers", [["yes", "no, it was fine"] * 20, ["accept", "maybe"] * 20])
def test_another_column_named_answer(place, answers):
    add(write(EXPORT.assign(answer=answers)), "--label", "label")
    assert entry()["source"] == {"train": "reviews.csv"}


def test_no_accepted_row(place):
    write(EXPORT.assign(answer="reject"))
    assert "no row of this export of Prodigy has the answer 'accept'; name another file" in refused(FILE)
