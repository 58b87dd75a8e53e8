"""The report of apps.new: lines about the form, the columns, the labels, the rows and the texts of a data set."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from apps.new.choices import Options
from apps.new.columns import likely_groups
from apps.new.labels import in_order
from apps.new.plan import Plan
from apps.new.survey import Survey, tokens
from apps.new.tasks import PROPOSALS, SHOWN_LABELS
from classifier.params.format import Format
from classifier.tables.hints import DELIMITERS

LINE = 100  # characters of a text
KINDS = {
    "csv": "fields between {delimiter}",
    "json": "JSON objects",
    "fasttext": "fastText lines",
    "folders": "a folder for each label",
    "parquet": "Parquet",
    "arrow": "Arrow",
    "xlsx": "Excel",
}
QUOTING = {"double": "", "backslash": ', quotes written as \\"', "none": ", quotes belong to the texts"}


def describe(plan: Plan, options: Options, tokenizer: Path, max_length: int) -> Iterator[tuple[str, str]]:
    """Yield the lines about a data set: a name and what to say."""
    yield "form", describe_form(plan.form)
    others = [repr(name) for name in plan.columns if name not in (*plan.text, *plan.label, plan.split, *plan.where)]
    texts, labels = (" and ".join(map(repr, names)) for names in (plan.text, plan.label))
    yield "columns", f"texts {texts}, labels {labels}" + f"; others: {', '.join(others[:10])}" * bool(others)
    proposal = PROPOSALS[plan.task]
    yield "labels", counted(proposal.counts(plan, options))
    for hint in proposal.hints(plan, options):
        yield "", hint
    if plan.names:
        yield "", "named in the file: " + ", ".join(f"{number} {name}" for number, name in enumerate(plan.names[:20]))
    rows = [f"{split} {counts.total():,}" for split, counts in plan.found.rows.items()]
    yield "rows", ", ".join(rows) + f", by the column {plan.split!r}" * bool(plan.split)
    for note in plan.notes:
        yield "", note
    for name in likely_groups(plan.columns, plan.rows)[:1]:
        yield "groups", f"rows share values of {name!r}; --group {name} would keep such rows in the same split"
    yield from describe_texts(plan.found)
    yield from describe_lengths(plan.found, tokenizer, max_length)


def describe_form(form: Format) -> str:
    """Return how a table is written, in words."""
    if form.kind in ("parquet", "arrow"):
        return KINDS[form.kind]
    delimiter = form.delimiter or ","
    words = KINDS[form.kind].format(delimiter=DELIMITERS.get(delimiter, repr(delimiter)))
    if form.kind == "csv":
        words += QUOTING[form.quoting]
    if form.kind in ("csv", "xlsx"):
        words += ", no header" if form.header else ", with a header"
    if form.comment:
        words += f", without lines that begin with {form.comment}"
    return words if form.kind == "xlsx" else f"{words}, {form.encoding.upper()}"


def counted(counts: Counter, shown: int = SHOWN_LABELS) -> str:
    """Return values with their counts: in their order if they are few, or else the most frequent first.

    >>> counted(Counter({"2": 7, "10": 8})), counted(Counter(bad=2, good=3), shown=1)
    ('2 7, 10 8', 'good 3, and 1 more')
    """
    values = in_order(counts) if len(counts) <= shown else [value for value, _ in counts.most_common(shown)]
    words = [f"{one_line(value, 30)} {counts[value]:,}" for value in values]
    return ", ".join(words) + (f", and {len(counts) - shown:,} more" if len(counts) > shown else "")


def one_line(text: str, length: int = LINE) -> str:
    r"""Return the beginning of a text in one line, with control characters escaped.

    >>> one_line("a\nb \u202e é")
    'a\\nb \\u202e é'
    """
    line = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text[: length + 1])
    return line if len(line) <= length and len(text) <= length else f"{line[: length - 1]}…"


def describe_lengths(found: Survey, tokenizer: Path, max_length: int) -> Iterator[tuple[str, str]]:
    """Yield the lines about the lengths of the texts: in words, and in tokens if the encoder is there."""
    if not found.words:
        return
    words = np.array(found.words)
    low, middle, high = (int(np.quantile(words, share)) for share in (0.05, 0.5, 0.95))
    yield "words", f"median {middle:,}; 5% have at most {low:,}, 5% at least {high:,}, the longest {words.max():,}"
    if tokenizer.exists():
        counts = np.array(tokens(found.sample, tokenizer))
        share = f"{np.mean(counts > max_length):.0%} of the texts have more than tokenize.max_length, {max_length}"
        yield "tokens", f"median {int(np.median(counts)):,}; {share}"


def describe_texts(found: Survey) -> Iterator[tuple[str, str]]:
    """Yield the lines about missing and repeated texts and labels, and the shortest and longest texts."""
    for name, missing in (("no label", found.no_label), ("no text", found.no_text), ("not text", found.not_text)):
        if missing.count:
            yield name, f"{missing.count:,} row{'s' * (missing.count > 1)}: {missing}"
    repeated, several = found.duplicates()
    yield "duplicates", f"rows with the text of an earlier row: {repeated:,}; texts with several labels: {several:,}"
    for name, texts in (("shortest", found.shortest), ("longest", found.longest)):
        for number, (_, text) in enumerate(texts):
            yield name if number == 0 else "", one_line(text)


def show(path: Path, lines: Iterator[tuple[str, str]]) -> None:
    """Print the lines."""
    print(path)
    for name, words in lines:
        print(f"  {name:10}  {words}")
