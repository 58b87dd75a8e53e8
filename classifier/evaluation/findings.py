"""What the report says about mistakes, doubtful labels and slices: numbers of the data, and sentences with them."""

import re
import unicodedata
from types import ModuleType

import pandas as pd

from classifier.evaluation import tables
from classifier.evaluation.markdown import Markdown, verbatim

FIRST = 10  # the first mistakes or doubtful labels, whose pairs of labels are counted
PAIRS_NAMED = 3
LEVEL = 0.05  # a p-value below it is hardly chance
# How metrics that are not shares are written. Where a slice has such a metric, a higher value is worse.
NO_SHARES = dict.fromkeys(["absolute_error", "squared_error", "rmse", "quadratic_kappa"], "{:.4g}")
NO_SHARES |= {"log_loss": "{:.4f}", "ece": "{:.4f}"}
# Keys of metrics/data.json that count rows which were left out, each with its words for the report. A key is there
# only if the data set's entry leaves such rows out.
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


def shown(metric: str, value: float) -> str:
    """Return the value of a metric of slices as the report shows it: a share as a percentage.

    >>> shown("accuracy", 0.907), shown("log_loss", 0.2325)
    ('90.7%', '0.2325')
    """
    return NO_SHARES.get(metric, "{:.1%}").format(value)


def metric_cell(values: dict[str, float], metric: str) -> str:
    """Return a metric of a slice's value with its interval, or an ECE with the one by chance, as a cell of a table."""
    if metric == "ece":
        return f"{shown('ece', values['ece'])} (chance {shown('ece', values['ece_by_chance'])})"
    mean, low, high = (shown(metric, values[f"{metric}{end}"]) for end in tables.ENDS)
    return f"{mean} ({low} to {high})"


def slice_tables(evaluate: dict, measures: ModuleType) -> list[dict]:
    """Return, for each slice, its name, the head and the rows of its table, and left_out, its entry in slices_left_out.

    Args:
        evaluate: metrics/evaluate.json.
        measures: The module of the task in classifier/evaluation/tasks/.
    """
    found, words = [], {measures.ROW_QUALITY: measures.QUALITY, "ece": "ECE"}
    for name, by_value in evaluate["slices"].items():
        first = next(iter(by_value.values()), {})
        keys = [key for key in first if key == "ece" or f"{key}_low" in first]
        head = tables.head([name, "texts", *(words.get(key, key.replace("_", " ")) for key in keys)])
        rows = [[value, f"{row['n']:,}", *(metric_cell(row, key) for key in keys)] for value, row in by_value.items()]
        left_out = evaluate.get("slices_left_out", {}).get(name)
        found.append({"name": name, "head": head, "rows": rows, "left_out": left_out})
    return found


def slice_rows(evaluate: dict, metric: str) -> list[list[str]]:
    """Return one table of all slices: slice, value, number of texts, and a metric with its interval.

    Of more than LABELS_IN_TABLE rows, the worst ones by the metric are returned.
    """
    found = [(name, *item) for name, by_value in evaluate["slices"].items() for item in by_value.items()]
    if len(found) > tables.LABELS_IN_TABLE:
        found = sorted(found, key=lambda row: row[2][metric], reverse=metric in NO_SHARES)[: tables.LABELS_IN_TABLE]
    return [[name, value, f"{row['n']:,}", metric_cell(row, metric)] for name, value, row in found]


def worst_slice(evaluate: dict, measures: ModuleType) -> Markdown | None:
    """Return what metrics/evaluate.json has about the worst slice, in sentences; None if nothing was tested."""
    if "worst_slice" not in evaluate:
        return None
    worst, metric = evaluate["worst_slice"], measures.ROW_QUALITY
    name, value, count = worst["slice"], worst["value"], worst["looked_at"]
    values = evaluate["slices"][name][value]
    mean, low, high = (shown(metric, values[f"{metric}{end}"]) for end in tables.ENDS)
    others, is_error = worst[f"{metric}_of_others"], metric in NO_SHARES
    if values[metric] <= others if is_error else values[metric] >= others:
        return Markdown("No group of texts is worse than all other texts.")
    test = "Welch's t-test" if is_error else "Fisher's exact test"
    verdict = "Chance alone can" if worst["p"] >= LEVEL else "Chance alone can hardly"
    return Markdown(
        f"The group of texts that is most clearly worse: where {verbatim(name)} is {verbatim(value)}, the "
        f"{measures.QUALITY} is {mean} (95% interval {low} to {high}), against {shown(metric, others)} of all other "
        f"texts. {verdict} explain this: p = {worst['p']} by a one-sided {test}, multiplied by the {count} groups that "
        "were looked at."
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
