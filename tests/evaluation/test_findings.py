"""Findings of the report, against cases worked by hand."""

import pandas as pd
import pytest

from classifier.evaluation.findings import (
    division,
    leading_pair,
    pairs_of_labels,
    rows_left_out,
    without_punctuation,
)
from classifier.evaluation.tasks.single_label import mistakes


def table_of(*pairs: tuple[str, str, int]) -> pd.DataFrame:
    """A table with each pair (label, predicted) as often as its number says, in this order."""
    rows = [pair[:2] for pair in pairs for _ in range(pair[2])]
    return pd.DataFrame(rows, columns=["label", "predicted"])


def test_the_most_confident_mistakes_come_first():
    table = pd.DataFrame(
        {
            "text": ["right", "unsure", "word " * 100, "a|b\n<br>"],
            "label": [0, 0, 1, 1],
            "predicted": [0, 1, 0, 0],
            "confidence": [0.99, 0.6, 0.8, 0.9],
        }
    )
    wrong = mistakes(table, ["bad", "good"])
    assert wrong["confidence"].tolist() == [0.9, 0.8, 0.6]
    assert wrong["row"].tolist() == [4, 3, 2]
    assert wrong[["label", "predicted"]].to_numpy().tolist() == [["good", "bad"], ["good", "bad"], ["bad", "good"]]


def test_pairs_of_the_first_ten_and_of_all():
    """The first ten rows have 7 and 3 of the two pairs; all 25 have 8 and 17."""
    table = table_of(("bad", "good", 7), ("good", "bad", 17), ("bad", "good", 1))
    first, second = pairs_of_labels(table)
    assert first == {"label": "bad", "predicted": "good", "first": 7, "all": 8}
    assert second == {"label": "good", "predicted": "bad", "first": 3, "all": 17}
    assert leading_pair(table) == ("bad", "good")
    sentence = division(table, "mistakes")
    for numbers in ("10 mistakes", "7 are labelled bad and predicted good (8 of all 25)", "3 are", "(17 of all 25)"):
        assert numbers in sentence


def test_pairs_without_a_leader():
    assert leading_pair(table_of(("a", "b", 5), ("b", "a", 5))) is None
    assert leading_pair(table_of()) is None
    assert leading_pair(table_of(("a", "b", 1))) == ("a", "b")


def test_pairs_of_many_labels():
    """Ten different pairs are not listed; of five pairs the three largest are."""
    different = [(f"a{number}", "b", 1) for number in range(12)]
    assert "10 different pairs" in division(table_of(*different), "mistakes")
    five = (("a", "b", 4), ("c*", "d", 2), ("e", "f", 2), ("g", "h", 1), ("i", "j", 1))
    sentence = division(table_of(*five), "mistakes")
    assert [number in sentence for number in ("4 are", "2 are labelled c\\* and", "2 have other pairs")] == [True] * 3
    assert "labelled g" not in sentence
    assert "1 is labelled a and predicted b (1 of all 1)" in division(table_of(("a", "b", 1)), "mistakes")
    assert "all are labelled a and predicted b (12 of all 12)" in division(table_of(("a", "b", 12)), "mistakes")


@pytest.mark.parametrize(
    ("summary", "shown"),
    [
        ("1995. +0.7, film, -0.5, FANTASTIC! +1.8", "1995 +0.7, film -0.5, FANTASTIC +1.8"),
        ("«très +0.1, (C++) -0.2, It's +1.1, 7/10. +0.7", "très +0.1, C++ -0.2, It's +1.1, 7/10 +0.7"),
        ("... -0.4, 100%! +0.2, #1 +0.1, 好。 +0.3", "... -0.4, 100% +0.2, #1 +0.1, 好 +0.3"),
        ("+1.0 +0.5, word", "+1.0 +0.5"),
        ("", ""),
    ],
)
def test_words_without_the_punctuation_around_them(summary, shown):
    assert without_punctuation(summary) == shown


def test_rows_that_the_entry_leaves_out():
    """Counts of other kinds are not named, and without any of these counts there is no sentence."""
    others = {"train": 10, "duplicates_dropped": 7}
    assert rows_left_out(others) == ""
    dropped = {"unlabelled_rows_dropped": 1200, "empty_rows_dropped": 0, "rows_dropped_by_label": 1}
    assert rows_left_out(others | dropped) == (
        "Rows of the source that were left out: 1,200 without a label, 0 without a text, 1 with a label that the data "
        "set's entry maps to null."
    )
    groups = {"groups": 3000, "train_rows_with_groups_in_test_dropped": 5}
    first, second = "The rows form 3,000 groups, and no group is in two splits.", "Rows that were left out for this: "
    assert rows_left_out(groups) == f"{first} {second}5 of train with a group of test."
    groups |= {
        "validation_rows_with_groups_in_test_dropped": 3,
        "train_rows_with_groups_in_validation_dropped": 4,
    }
    assert rows_left_out(groups) == (
        f"{first} {second}5 of train with a group of test, 4 of train with a group of validation, 3 of validation with "
        "a group of test."
    )
