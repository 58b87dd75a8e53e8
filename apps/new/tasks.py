"""The parts of the entry and of the report that depend on the task: its keys, the counts of the labels, and hints.

PROPOSALS has the functions of each task. The tasks themselves are in classifier/tasks/.
"""

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from apps.new.choices import Options
from apps.new.columns import MAX_VALUES
from apps.new.labels import are_numbers, in_order, label_setting, same_but_for_case
from apps.new.plan import Plan
from apps.new.prodigy import ANSWER
from classifier.errors import InputError
from classifier.params.datasets import MOST_RATINGS
from classifier.tasks.label_sets import listed
from classifier.tasks.labels import KNOWN, NO_LABEL
from classifier.tasks.regression import read_labels as read_numbers

SEPARATORS = (";", "|", ",")  # between the names of several labels in one value
SHOWN_LABELS = 12
MANY_NUMBERS = 20  # whole numbers; more of them are labels only if they count from 0 or 1


def single_label(plan: Plan, options: Options, drops: list[str]) -> dict:
    """Return `labels`. Raises InputError if the values are not labels."""
    values = two_or_more(plan, [value for value in plan.found.labels if value not in plan.left_out])
    if not options.task and not plan.names and seem_measured(values):
        fix = "--task regression learns them as numbers"
        fix += ", --task ordinal as ratings" * are_ratings(values) + ", --task single-label as names of labels"
        raise InputError(f"column {plan.label[0]!r}: has {len(values):,} different numbers; {fix}")
    if len(values) > MAX_VALUES:
        problem = f"column {plan.label[0]!r}: has {len(values):,} different values"
        raise InputError(f"{problem}, too many for labels; name another column by --label")
    left_out = [value for value in plan.left_out if not ("unlabelled" in drops and value in NO_LABEL)]
    return {"labels": label_setting(values, left_out, plan.names, options.labels)}


def multi_label(plan: Plan, options: Options, drops: list[str]) -> dict:
    """Return `labels`, and `label_separator` if values are joined names. Several columns name the labels themselves."""
    if len(plan.label) > 1:
        return {}
    values = two_or_more(plan, list(multi_label_counts(plan, options)))
    separator = options.label_separator or separator_in(plan.found.labels, bool(options.task))
    return {"label_separator": separator, "labels": label_setting(values, [], plan.names, options.labels)}


def multi_label_counts(plan: Plan, options: Options) -> Counter:
    """Return the number of rows of each label."""
    separator = options.label_separator or separator_in(plan.found.labels, bool(options.task))
    return count_names(plan.found.labels, separator)


def multi_label_hints(plan: Plan, options: Options) -> list[str]:
    """Return a note on the texts without a label."""
    count = plan.found.labels[""]
    return [f"{count:,} text{'s have' if count > 1 else ' has'} no label"] if count else []


def regression(plan: Plan, options: Options, drops: list[str]) -> dict:
    """Return no key."""
    two_or_more(plan, list(plan.found.labels))
    return {}


def ordinal(plan: Plan, options: Options, drops: list[str]) -> dict:
    """Return `range`, from the lowest rating to the highest."""
    values = [value for value in plan.found.labels if value not in plan.left_out]
    values = two_or_more(plan, [value for value in values if are_numbers([value])], "whole numbers")
    return {"range": [min(map(int, values)), max(map(int, values))]}


def two_or_more(plan: Plan, values: list[str], what: str = "values") -> list[str]:
    """Return values. Raises InputError if they are fewer than two."""
    if len(values) < 2:
        found = f"the single value {values[0]!r:.40}" if values else f"no {what}"
        fix = "but two labels are needed; name another column by --label"
        fix += f", such as {ANSWER}" * (ANSWER in plan.where)  # Prodigy asked whether a text has this label
        raise InputError(f"column {plan.label[0]!r}: has {found}, {fix}")
    return values


def are_ratings(values: list[str]) -> bool:
    """Return whether all values are whole numbers, in a range that `range` of an entry can have."""
    return are_numbers(values) and max(map(int, values)) - min(map(int, values)) < MOST_RATINGS


def seem_measured(values: list[str]) -> bool:
    """Return whether values are numbers that seem to be no labels: fractions, or many that do not count up from 0 or 1.

    >>> seem_measured(["1.5", "2"]), seem_measured(["1", "2"]), seem_measured([str(n) for n in range(50)])
    (True, False, False)
    >>> seem_measured([str(10 * n) for n in range(50)])
    True
    """
    if (read_numbers(values, None)[1] != KNOWN).any() or any(re.match(r"-?0\d", value) for value in values):
        return False  # names, or codes such as 04
    if not are_numbers(values):
        return True
    counted = len(values) - 1 + min(map(int, values)) == max(map(int, values)) and min(map(int, values)) in (0, 1)
    return len(values) > MANY_NUMBERS and not counted


def separator_in(values: Counter, are_sets: bool = False) -> str | None:
    """Return the mark that joins names of labels in at least half of the values, or None.

    Args:
        values: The number of rows of each value.
        are_sets: Whether the values are known to be sets of labels; then a single joined value is enough.


    >>> separator_in(Counter({"film;plot": 3, "film": 2, "plot": 2, "film;fun": 1, "plot;fun": 1}))
    ';'
    >>> separator_in(Counter({"news, politics": 5, "sports, football": 5}))
    """
    values = Counter({value: count for value, count in values.items() if value})
    for separator in SEPARATORS:
        joined = [value for value in values if separator in value and not value.startswith("[")]
        enough = len(joined) > 0 if are_sets else 2 * len(joined) >= len(values)
        if enough and len(values) > len(count_names(values, separator)):
            return separator
    return None


def count_names(values: Counter, separator: str | None) -> Counter:
    """Return the number of rows of each label. `values` has the rows of each value: a list, or joined names."""
    counts = Counter()
    for value, count in values.items():
        names = {*json.loads(listed(value, separator) or "[]")}
        counts.update({name: count for name in names if name})
    return counts


def naming_hint(values: list[str]) -> str | None:
    """Return how --labels would name labels that are numbers or differ in capital letters alone; None for others.

    Args:
        values: The values of the labels, the commonest first.

    >>> naming_hint(["1", "3", "2"])
    'the labels are numbers: --labels 1=NAME,2=NAME,3=NAME would name them; values may share a name, 1= leaves rows out'
    """
    if not values or len(values) > SHOWN_LABELS:
        return None
    if are_numbers(values) and len(values) <= 2:
        return "the labels are numbers: --labels bad,good would name them in this order"
    if are_numbers(values):
        pairs = ",".join(f"{value}=NAME" for value in in_order(values))
        fix = f"values may share a name, {in_order(values)[0]}= leaves rows out"
        return f"the labels are numbers: --labels {pairs} would name them; {fix}"
    if names := same_but_for_case(values):
        pairs = shlex.quote(",".join(f"{value}={names[value]}" for value in in_order(values)))
        return f"some labels differ in capital letters alone: --labels {pairs} would join them"
    return None


def single_label_hints(plan: Plan, options: Options) -> list[str]:
    """Return hints on options that would name the labels or choose another task."""
    values = [value for value, _ in plan.found.labels.most_common() if value not in plan.left_out]
    hints = [] if plan.names else [naming_hint(values)]
    if options.task:
        return [hint for hint in hints if hint]
    if are_numbers(values) and not plan.names and 2 < len(values) <= MANY_NUMBERS:
        low, high = min(map(int, values)), max(map(int, values))
        hints.append(f"--task ordinal would treat them as ratings from {low} to {high}, whose order counts")
    if separator := separator_in(plan.found.labels):
        hints.append(f"many labels are names joined by {separator!r}: --task multi-label would take them apart")
    return [hint for hint in hints if hint]


class Proposal(NamedTuple):
    """The functions of a task. Each takes (plan, options), and `keys` also takes the entry's `drop`."""

    keys: Callable[[Plan, Options, list[str]], dict]  # the keys of the entry that the task adds
    counts: Callable[[Plan, Options], Counter] = lambda plan, options: plan.found.labels  # rows of each label
    hints: Callable[[Plan, Options], list[str]] = lambda plan, options: []


PROPOSALS = {
    "single-label": Proposal(single_label, hints=single_label_hints),
    "multi-label": Proposal(multi_label, counts=multi_label_counts, hints=multi_label_hints),
    "regression": Proposal(regression),
    "ordinal": Proposal(ordinal),
}
