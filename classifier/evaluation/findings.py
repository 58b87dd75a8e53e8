"""What the report says about mistakes, doubtful labels and lengths: numbers of the data, and sentences with them."""

import itertools
import re
import unicodedata
from collections.abc import Callable

import pandas as pd

from classifier.evaluation.intervals import mean_interval, wilson_interval
from classifier.evaluation.markdown import Markdown, verbatim

LENGTHS = [0, 100, 200, 300, 500]  # the lowest number of words of each group
FIRST = 10  # the first mistakes or doubtful labels, whose pairs of labels are counted
PAIRS_NAMED = 3
# Counts of metrics/data.json that are there if the data set's entry asks for them, with their words.
LEFT_OUT = {
    "unlabelled_rows_dropped": "without a label",
    "empty_rows_dropped": "without a text",
    "rows_dropped_by_label": "with a label that the data set's entry maps to null",
}
LEFT_OUT_BY_GROUP = {
    "train_rows_with_groups_in_test_dropped": "of train with a group of test",
    "train_rows_with_groups_in_validation_dropped": "of train with a group of validation",
    "validation_rows_with_groups_in_test_dropped": "of validation with a group of test",
}


def pairs_of_labels(table: pd.DataFrame) -> list[dict]:
    """Return how often each pair of labels occurs in the first FIRST rows of a table, and in all of its rows.

    Args:
        table: Columns label and predicted, with names.

    Returns:
        A dictionary for each pair in the first rows, the most frequent first: label, predicted, first (the count in the
        first rows) and all (the count in all rows).
    """
    columns = ["label", "predicted"]
    of_all, of_first = table.value_counts(columns), table[:FIRST].value_counts(columns)
    of_first = of_first.sort_index().sort_values(ascending=False, kind="stable")  # the same order in every run
    return [
        {"label": pair[0], "predicted": pair[1], "first": int(count), "all": int(of_all[pair])}
        for pair, count in of_first.items()
    ]


def division(table: pd.DataFrame, rows: str) -> Markdown:
    """Return a sentence about how the first FIRST rows of a table divide over the pairs of labels.

    Args:
        table: Columns label and predicted, with names; not empty.
        rows: The name of the first rows, such as "most confident mistakes".
    """
    pairs, first = pairs_of_labels(table), min(FIRST, len(table))
    if len(pairs) == first > 1:
        return Markdown(f"The {first} {rows} have {first} different pairs of labels.")
    parts = [
        f"{'all' if pair['first'] == first > 1 else pair['first']} {'is' if pair['first'] == 1 else 'are'} labelled "
        f"{verbatim(pair['label'])} and predicted {verbatim(pair['predicted'])} ({pair['all']:,} of all {len(table):,})"
        for pair in pairs[:PAIRS_NAMED]
    ]
    if others := first - sum(pair["first"] for pair in pairs[:PAIRS_NAMED]):
        parts.append(f"{others} {'has' if others == 1 else 'have'} other pairs of labels")
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return Markdown(f"Of the {first} {rows}, {listed}.")


def leading_pair(table: pd.DataFrame) -> tuple[str, str] | None:
    """Return the pair (label, predicted) that is more frequent than all others in the first FIRST rows of a table.

    Return None if there is no such pair.
    """
    pairs = pairs_of_labels(table)
    if not pairs or (len(pairs) > 1 and pairs[0]["first"] == pairs[1]["first"]):
        return None
    return pairs[0]["label"], pairs[0]["predicted"]


def quality_by_length(predictions: pd.DataFrame, quality: pd.Series) -> pd.DataFrame:
    """Return the mean quality and its 95% interval for each group of text lengths that has texts.

    Args:
        predictions: The table with the column text, and text_pair if the texts are pairs.
        quality: Whether each answer is right, or its error. The interval of a share is Wilson's, and that of a mean
            error is by the t distribution; that of a single error is the error.

    Returns:
        Columns words (the name of the group, such as "0-99"), mean, count, low, high and is_share.
    """
    words = sum(predictions[name].str.split().str.len() for name in ("text", "text_pair") if name in predictions)
    names = [f"{low}-{high - 1}" for low, high in itertools.pairwise(LENGTHS)] + [f"{LENGTHS[-1]}+"]
    group = pd.cut(words, [*LENGTHS, float("inf")], right=False, labels=names)
    is_share = quality.dtype == bool
    table = quality.groupby(group, observed=True).agg(["mean", "count"]).reset_index(names="words")
    by_group = [rows for _, rows in quality.groupby(group, observed=True)]
    bounds = [wilson_interval(rows.sum(), len(rows)) if is_share else mean_interval(rows) for rows in by_group]
    table[["low", "high"]] = bounds
    return table.assign(is_share=is_share)


def shown_as(lengths: pd.DataFrame) -> Callable[[float], str]:
    """Return the function that writes the numbers of a table of `quality_by_length`: shares as percentages."""
    return "{:.1%}".format if lengths["is_share"].all() else "{:.4g}".format


def worst_length(lengths: pd.DataFrame, quality: str = "accuracy") -> Markdown | None:
    """Return what the table of `quality_by_length` shows about its worst group; None for one group.

    quality: what the mean is called. The worst share is the lowest, and the worst error the highest.
    """
    if len(lengths) < 2:
        return None
    shown, is_share = shown_as(lengths), lengths["is_share"].all()
    worst = lengths.loc[lengths["mean"].idxmin() if is_share else lengths["mean"].idxmax()]
    overall = (lengths["mean"] * lengths["count"]).sum() / lengths["count"].sum()
    extreme, of_all = "lowest" if is_share else "highest", f"{quality} of all texts, {shown(overall)}."
    start = f"The {quality} is {extreme} for texts of {worst['words']} words, {shown(worst['mean'])}."
    if worst["low"] <= overall <= worst["high"]:
        return Markdown(f"{start} The 95% interval includes the {of_all}")
    by_chance = 1 - 0.95 ** len(lengths)
    return Markdown(
        f"{start} The 95% interval excludes the {of_all} Of {len(lengths)} such intervals, at least one does so by "
        f"chance with a probability of up to {by_chance:.0%}."
    )


def rows_left_out(data: dict) -> Markdown:
    """Return sentences about the rows that the data set's entry leaves out and its groups; empty if it has neither.

    Args:
        data: metrics/data.json.

    >>> rows_left_out({"empty_rows_dropped": 3, "groups": 40})
    'Rows of the source that were left out: 3 without a text. The rows form 40 groups, and no group is in two splits.'
    """
    first, second = (
        ", ".join(f"{data[key]:,} {words}" for key, words in counts.items() if key in data)
        for counts in (LEFT_OUT, LEFT_OUT_BY_GROUP)
    )
    sentences = [f"Rows of the source that were left out: {first}."] if first else []
    if "groups" in data:
        sentences.append(f"The rows form {data['groups']:,} groups, and no group is in two splits.")
    if second:
        sentences.append(f"Rows that were left out for this: {second}.")
    return Markdown(" ".join(sentences))


def without_punctuation(summary: str) -> str:
    """Return the deciding words of `Explanation.summary` without the punctuation marks around each word.

    A word of punctuation marks alone stays as it is, and so do signs that belong to a number or a name, such as "%".

    >>> without_punctuation("wonderful +0.6, 'masterpiece'. +0.5, film, -0.5, !!! +0.1, 100%. +0.036")
    'wonderful +0.6, masterpiece +0.5, film -0.5, !!! +0.1, 100% +0.036'
    """
    words = re.findall(r"(\S+) ([+-]\d+\.\d+(?:e-\d+)?)(?:, |$)", summary)
    return ", ".join(f"{bare(word) or word} {attribution}" for word, attribution in words)


def bare(word: str) -> str:
    """Return a word without the punctuation marks at its beginning and its end."""
    return word.strip("".join(c for c in word if unicodedata.category(c).startswith("P") and c not in "%#@&‰") or " ")
