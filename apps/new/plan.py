"""Look at a file or folder: find the form, the columns, the splits and the labels."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from apps.new.choices import Options, choose_columns, choose_task, enumerated
from apps.new.columns import Column, likely_split, profile, spelled
from apps.new.form import find_form
from apps.new.labels import names_in_metadata, unlabelled_values
from apps.new.layout import Layout, find_layout, split_of
from apps.new.prodigy import ACCEPT, ANSWER, IGNORE, is_export, notes_on_others
from apps.new.survey import Survey, survey
from classifier.errors import InputError
from classifier.params.format import Format
from classifier.params.labels import LABEL_KEYS
from classifier.params.sources import Where
from classifier.tables.reading import column_values, read_rows


@dataclass
class Plan:
    """What is known of a data set.

    Attributes:
        layout: The files of each split.
        form: How the files are written.
        rows: The number of rows of train's files.
        columns: The columns of train's files.
        text: The columns with the texts.
        task: The task: single-label, multi-label, regression or ordinal.
        label: The column with the labels, or several columns, one for each label.
        split: The column that says the split of each row, or None.
        found: The texts and labels of all rows.
        names: The names of the numbers 0, 1, ... in the files' metadata.
        where: Columns, and the values that a row must have in them to be taken.
        notes: What was left out, and why.
    """

    layout: Layout
    form: Format
    rows: int
    columns: dict[str, Column]
    text: list[str]
    task: str
    label: list[str]
    split: str | None
    found: Survey
    names: list[str] | None = None
    where: Where = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def left_out(self) -> list[str]:
        """The values of the column of labels that stand for a missing label; none for multi-label and regression."""
        if not LABEL_KEYS[self.task].needed:
            return []
        ignored = self.label == [ANSWER] and is_export(self.columns) and IGNORE in self.found.labels
        return unlabelled_values(self.found.labels, self.names) + [IGNORE] * ignored


def make_plan(place: Path, options: Options) -> Plan:
    """Return what is known of a file or folder. Raises InputError if it cannot be read, or a choice is unsure."""
    layout = find_layout(place, options.form.kind)
    form = find_form([*itertools.chain(*layout.splits.values())], options.form, options.header)
    rows, columns, where, left_out = look_at_train(place, layout, form, options)
    if not form.header and is_title(columns, rows):
        title = next(iter(columns))
        raise InputError(f"{place}: row 1 has {title!r:.60} alone; remove the rows above the names of the columns")
    if options.split_column and len(layout.splits) > 1:
        found = ", ".join(layout.splits)
        raise InputError(f"--split-column: {place} has files for {found}; leave it out, or name one file")
    split = options.split_column or (likely_split(columns) if len(layout.splits) == 1 else None)
    for name in filter(None, [*options.text, *options.label, split, options.group]):
        if name not in columns:
            raise InputError(f"{place}: no column {name!r:.60}; its columns are {enumerated(map(repr, columns))}")
    if split:
        check_split_column(split, columns[split])
    text, label = choose_columns(columns, split, bool(form.header), options)
    task = choose_task(columns, label, options)
    are_sets = "label_separator" in LABEL_KEYS[task].allowed
    if options.pair and len(text) != 2:
        raise InputError("--pair: name the two columns of a pair by --text FIRST --text SECOND")
    notes = [f"not used: {', '.join(layout.unused[:5])}"] if layout.unused else []
    notes += left_out + leave_out_splits(layout, form, [*label, *where])
    without = [None, *(value for value in columns[split].values if not split_of(value))] if split else []
    notes += [note for value in without if (note := rows_left_out(split, value, columns[split], rows))]
    names = names_in_metadata(layout.splits["train"][0], form.kind, label[0])
    found = survey(tables(layout.splits, form, where), text, label, split, are_sets, without)
    if empty := unlabelled_splits(found, split, names):
        notes += [f"{name} is not used: no row has a label" for name in empty]
        layout.splits = {name: paths for name, paths in layout.splits.items() if name not in empty}
        found = survey(tables(layout.splits, form, where), text, label, split, are_sets, [*without, *empty])
    plan = Plan(layout, form, rows, columns, text, task, label, split, found, names, where, notes)
    return with_names(plan) if form.header else plan


def look_at_train(
    place: Path, layout: Layout, form: Format, options: Options
) -> tuple[int, dict[str, Column], Where, list[str]]:
    """Return the number of train's rows, its columns, `where` of the plan, and notes on the rows that are left out."""
    train = {"train": layout.splits["train"]}
    rows, columns = profile(table for _, table in tables(train, form))
    if not rows:
        raise InputError(f"{place}: no rows; save the table again")
    if ANSWER in options.label or not is_export(columns):
        return rows, columns, {}, []
    answers = Counter(spelled(cell) for _, table in tables(layout.splits, form) for cell in table.get(ANSWER, []))
    if ACCEPT not in columns[ANSWER].values:
        raise InputError(f"{place}: no row of this export of Prodigy has the answer {ACCEPT!r}; name another file")
    where = {ANSWER: ACCEPT}
    return *profile(table for _, table in tables(train, form, where)), where, notes_on_others(answers)


def is_title(columns: dict[str, Column], rows: int) -> bool:
    """Return whether row 1 is a title: it names only the first column, although most rows fill another column."""
    others = list(columns)[1:]
    nameless = [columns[name] for number, name in enumerate(others, start=2) if name == f"unnamed {number}"]
    return len(nameless) == len(others) and any(column.filled > rows / 2 for column in nameless)


def check_split_column(name: str, column: Column) -> None:
    """Raise InputError unless a value of a column names train, and no two values name the same split."""
    splits = [split for value in column.values or () if (split := split_of(value))]
    if "train" not in splits or len(set(splits)) < len(splits):
        values = ", ".join(map(repr, list(column.values or ())[:5]))
        problem = f"column {name!r}: its values {values} do not name train, validation and test once each"
        raise InputError(f"{problem}; correct them, or name another column")


def rows_left_out(name: str, value: str | None, column: Column, rows: int) -> str:
    """Return a note on the rows that a column of splits puts into no split, "" if there are none.

    Args:
        name: The name of the column.
        value: The value of the rows, which names no split; None for an empty cell.
        column: The column.
        rows: The number of all rows.
    """
    count = rows - column.filled if value is None else column.values[value]
    cell = f"{value!r:.40} in the column {name!r}" if value is not None else f"an empty cell in the column {name!r}"
    return f"{count:,} row{'s' * (count > 1)} with {cell}: in no split" if count else ""


def tables(
    splits: dict[str, list[Path]], form: Format, where: Where | None = None
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield (split, rows) of all files: the rows that have the values of `where` in its columns."""
    for split, paths in splits.items():
        for table in itertools.chain.from_iterable(read_rows(path, form) for path in paths):
            for column, value in (where or {}).items():
                table = table[[spelled(cell) == value for cell in table.get(column, [None] * len(table))]]
            yield split, table


def leave_out_splits(layout: Layout, form: Format, label: list[str]) -> list[str]:
    """Remove the splits that lack a column of labels, such as the test of a competition; return notes on them."""
    notes = []
    for split in [split for split in layout.splits if split != "train"]:
        first = next(table for _, table in tables({split: layout.splits[split]}, form))
        if missing := [name for name in label if column_values(first, name) is None]:
            notes.append(f"{split} is not used: no column {missing[0]!r}")
            del layout.splits[split]
    return notes


def unlabelled_splits(found: Survey, split: str | None, names: list[str] | None) -> list[str]:
    """Return the splits other than train in which no row has a label.

    If a column says the split of each row, the splits are named by the values of this column.
    """
    no_label = {None, *unlabelled_values(found.labels, names)}
    others = [name for name in found.rows if (split_of(name or "") if split else name) != "train"]
    return [name for name in others if set(found.rows[name]) <= no_label]


def with_names(plan: Plan) -> Plan:
    """Name the columns of a table without a header; return the plan with these names.

    The column of texts is named text if it is the only one, and the column of labels is named label likewise.
    """
    names = {columns[0]: name for columns, name in ((plan.label, "label"), (plan.text, "text")) if len(columns) == 1}
    form = plan.form.model_copy(update={"header": [names.get(name, name) for name in plan.form.header]})
    columns = {names.get(name, name): column for name, column in plan.columns.items()}
    text, label = ([names.get(name, name) for name in of_plan] for of_plan in (plan.text, plan.label))
    return replace(plan, form=form, columns=columns, text=text, label=label)
