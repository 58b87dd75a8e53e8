"""Exports of the annotation program Prodigy: the column `answer` says whether the annotator accepted a row's label."""

from collections import Counter

from apps.new.columns import Column

ANSWER, ACCEPT, IGNORE = "answer", "accept", "ignore"
ANSWERS = {ACCEPT, "reject", IGNORE}


def is_export(columns: dict[str, Column]) -> bool:
    """Return whether a table with these columns is an export of Prodigy."""
    values = columns[ANSWER].values if ANSWER in columns else None
    return "_input_hash" in columns and bool(values) and set(values) <= ANSWERS


def notes_on_others(answers: Counter) -> list[str]:
    """Return notes on the rows that were not accepted.

    answers: The number of rows with each answer; None stands for an empty cell.
    """
    return [
        f"left out: {count:,} row{'s' * (count > 1)} with {'no answer' if answer is None else repr(answer)} of Prodigy"
        for answer, count in answers.items()
        if answer != ACCEPT
    ]
