"""From a file or folder to its entry in params.yaml: find the form, the columns, the splits and the labels."""

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import typer

from apps.new import columns as guess
from apps.new.columns import Column, profile
from apps.new.form import find_form, without_defaults
from apps.new.labels import label_setting, names_in_metadata, unlabelled_values
from apps.new.layout import Layout, find_layout, ordered, source_names, split_of
from apps.new.survey import Survey, survey
from classifier.errors import InputError
from classifier.files.places import LOCAL
from classifier.params.format import Format
from classifier.tables.reading import column_values, read_rows


@dataclass
class Options:
    """The choices of the command line. None and [] leave a choice to the program."""

    text: list[str] = field(default_factory=list)
    label: str | None = None
    labels: str | None = None
    split_column: str | None = None
    header: bool | None = None
    drop: list[str] = field(default_factory=list)
    group: str | None = None
    test: str = "20%"
    validation: str | None = None
    form: Format = field(default_factory=Format)
    may_ask: bool = False


@dataclass
class Plan:
    """What is known of a data set.

    Attributes:
        layout: The files of each split.
        form: How they are written.
        rows: The number of rows of train's files.
        columns: The columns of train's files.
        text: The columns with the texts.
        label: The column with the labels.
        split: The column that says the split of each row, or None.
        found: The texts and labels of all rows.
        names: The names of the numbers 0, 1, ... in the files' metadata.
        notes: What was left out, and why.
    """

    layout: Layout
    form: Format
    rows: int
    columns: dict[str, Column]
    text: list[str]
    label: str
    split: str | None
    found: Survey
    names: list[str] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def left_out(self) -> list[str]:
        """The values of the column of labels that stand for a missing label."""
        return unlabelled_values(self.found.labels, self.names)


def make_plan(place: Path, options: Options) -> Plan:
    """Return what is known of a file or folder. Raises InputError if it cannot be read, or a choice is unsure."""
    layout = find_layout(place, options.form.kind)
    given = options.form.model_copy(update={"kind": layout.kind} if layout.kind else {})
    given.model_fields_set.update({"kind"} if layout.kind else ())
    form = find_form(first_file(layout), given, options.header)
    rows, columns = profile(table for _, table in tables({"train": layout.splits["train"]}, form))
    if not rows:
        raise InputError(f"{place}: no rows; save the table again")
    split = options.split_column or (guess.likely_split(columns) if len(layout.splits) == 1 else None)
    text, label = choose_columns(columns, split, bool(form.header), options)
    for name in [*text, label, *filter(None, [split, options.group])]:
        if name not in columns:
            raise InputError(f"{place}: no column {name!r:.60}; its columns are {', '.join(map(repr, columns))}")
    notes = [f"not used: {', '.join(layout.unused[:5])}"] if layout.unused else []
    notes += leave_out_splits(layout, form, label)
    found = survey(tables(layout.splits, form), text, label, split)
    names = names_in_metadata(layout.splits["train"][0], form.kind, label)
    plan = Plan(layout, form, rows, columns, text, label, split, found, names, notes)
    leave_out_unlabelled(plan)
    return with_names(plan) if form.header and not options.form.header else plan


def first_file(layout: Layout) -> Path:
    """Return a file by whose content the form of all is found; a folder of labels is returned itself."""
    return layout.splits["train"][0]


def tables(splits: dict[str, list[Path]], form: Format) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield (split, rows) of all files."""
    for split, paths in splits.items():
        for path in paths:
            yield from zip(itertools.repeat(split), read_rows(path, form))


def choose_columns(
    columns: dict[str, Column], split: str | None, is_headerless: bool, options: Options
) -> tuple[list[str], str]:
    """Return the columns with the texts and the column with the labels."""
    free = {name: column for name, column in columns.items() if name != split}
    label = options.label
    texts = guess.likely_texts({name: column for name, column in free.items() if name != label})
    text = options.text or [choose("texts", "--text", texts, columns, options.may_ask)]
    rest = {name: column for name, column in free.items() if name not in text}
    label = label or choose("labels", "--label", guess.likely_labels(rest, is_headerless), columns, options.may_ask)
    return text, label


def choose(what: str, option: str, likely: list[str], columns: dict[str, Column], may_ask: bool) -> str:
    """Return the only likely column, or the column that the user names. Raises InputError if nobody can be asked."""
    if len(likely) == 1:
        return likely[0]
    listed = ", ".join(map(repr, likely or columns))
    if may_ask:
        return typer.prompt(f"Which column has the {what}: {listed}?", default=likely[0] if likely else None, err=True)
    if not likely:
        raise InputError(f"no column seems to have the {what}; name it by {option}: {listed}")
    several = "; repeat --text to join several" if option == "--text" else ""
    raise InputError(f"several columns may have the {what}; name one by {option}: {listed}{several}")


def leave_out_splits(layout: Layout, form: Format, label: str) -> list[str]:
    """Remove the splits without a column of labels, such as the test split of a competition; return notes on them."""
    notes = []
    for split in [split for split in layout.splits if split != "train"]:
        first = next(table for _, table in tables({split: layout.splits[split]}, form))
        if column_values(first, label) is None:
            notes.append(f"{split} is not used: no column {label!r}")
            del layout.splits[split]
    return notes


def leave_out_unlabelled(plan: Plan) -> None:
    """Remove the splits of which no row has a label."""
    for split in list(plan.found.rows):
        role = split_of(split) if plan.split else split
        if role != "train" and not set(plan.found.rows[split]) - {None, *plan.left_out}:
            del plan.found.rows[split]
            plan.layout.splits.pop(split, None)
            plan.notes.append(f"{split} is not used: no row has a label")


def with_names(plan: Plan) -> Plan:
    """Return a plan of a table without a header, with the names text and label for its columns."""
    names = {plan.label: "label"} | ({plan.text[0]: "text"} if len(plan.text) == 1 else {})
    form = plan.form.model_copy(update={"header": [names.get(name, name) for name in plan.form.header]})
    columns = {names.get(name, name): column for name, column in plan.columns.items()}
    text = [names.get(name, name) for name in plan.text]
    return replace(plan, form=form, columns=columns, text=text, label="label")


def source(plan: Plan) -> dict:
    """Return `source` of the entry."""
    if not plan.split:
        return {split: source_names(paths, LOCAL) for split, paths in plan.layout.splits.items()}
    files = source_names(plan.layout.splits["train"], LOCAL)
    values = {split_of(value): value for value in plan.found.rows}
    return ordered({split: {"files": files, "where": {plan.split: value}} for split, value in values.items()})


def decide_drops(plan: Plan, options: Options) -> list[str]:
    """Return `drop` of the entry. Raises InputError if rows would have to be dropped and nobody agreed."""
    no_label = plan.found.no_label.count + sum(plan.found.labels[value] for value in plan.left_out)
    places = str(plan.found.no_label) if plan.found.no_label.count else f"label {', '.join(plan.left_out)}"
    drops = list(options.drop)
    for name, what, count, where in (
        ("unlabelled", "label", 0 if options.labels and "=" in options.labels else no_label, places),
        ("empty", "text", plan.found.no_text.count, str(plan.found.no_text)),
    ):
        if not count or name in drops:
            continue
        problem = f"{count:,} rows have no {what} ({where})"
        if not (options.may_ask and typer.confirm(f"{problem}. Leave them out?", err=True)):
            raise InputError(f"{problem}; leave them out by --drop {name}, or fill them in")
        drops.append(name)
    return drops


def make_entry(plan: Plan, options: Options) -> dict:
    """Return the entry of params.yaml. Raises InputError if an option does not fit, or rows lack a label or a text."""
    drops = decide_drops(plan, options)
    values = [value for value in plan.found.labels if value not in plan.left_out]
    if len(values) < 2:
        raise InputError(f"column {plan.label!r}: has {len(values)} label(s), two are needed; name another by --label")
    if len(values) > guess.MAX_VALUES:
        problem = f"column {plan.label!r}: has {len(values):,} different values"
        raise InputError(f"{problem}, too many for labels; name another by --label")
    form = without_defaults(plan.form, first_file(plan.layout)).model_dump(exclude_defaults=True)
    sizes = {split: source(plan).get(split) for split in ("validation", "test")}
    entry = {
        "source": source(plan),
        "format": form,
        "text": plan.text[0] if len(plan.text) == 1 else plan.text,
        "label": plan.label,
        "labels": label_setting(values, plan.left_out, plan.names, options.labels),
        "drop": drops,
        "group": options.group,
        "train": None,
        "validation": number(options.validation),
        "test": None if sizes["test"] else number(options.test),
    }
    defaults = {"format": {}, "text": "text", "label": "label", "drop": [], "group": None}
    return {key: value for key, value in entry.items() if key not in defaults or value != defaults[key]}


def number(size: str | None) -> int | str | None:
    """Return a size as params.yaml has it: a number of rows, or a share such as 20%."""
    return int(size) if size and size.isdecimal() else size


def is_terminal() -> bool:
    """Return whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()
