"""The options of the command line, and the choice of columns and task where the options leave it open."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

import typer

from apps.new.columns import Column, likely_labels, likely_numbers, likely_texts
from apps.new.labels import in_order
from classifier.errors import InputError
from classifier.params.format import Format

LIKELY = {"regression": likely_numbers}  # task -> function that finds its columns of labels; default: likely_labels
SHOWN_VALUES = 5  # values of a column in a question
SHOWN_COLUMNS = 20  # columns in a message


@dataclass
class Options:
    """The choices of the command line. None and [] leave a choice to the program."""

    text: list[str] = field(default_factory=list)
    label: list[str] = field(default_factory=list)
    labels: str | None = None
    split_column: str | None = None
    header: bool | None = None
    drop: list[str] = field(default_factory=list)
    group: str | None = None
    test: str | None = None
    validation: str | None = None
    form: Format = field(default_factory=Format)
    task: str | None = None
    label_separator: str | None = None
    pair: bool = False
    may_ask: bool = False


def choose_columns(
    columns: dict[str, Column], split: str | None, is_headerless: bool, options: Options
) -> tuple[list[str], list[str]]:
    """Return the columns with the texts and the columns with the labels."""
    free = {name: column for name, column in columns.items() if name != split}
    label = options.label
    texts = likely_texts({name: column for name, column in free.items() if name not in label})
    text = options.text or [choose("texts", "--text", texts, columns, options.may_ask)]
    rest = {name: column for name, column in free.items() if name not in text}
    likely = LIKELY.get(options.task, likely_labels)(rest, is_headerless)
    label = label or [choose("labels", "--label", likely, columns, options.may_ask)]
    for name in label:
        if (value := columns[name].nested) and not columns[name].has_lists:
            problem = f"column {name!r}: has objects or mixed lists, such as {value:.40}"
            raise InputError(f"{problem}; write labels as text into each row, or name another column by --label")
    return text, label


def choose_task(columns: dict[str, Column], label: list[str], options: Options) -> str:
    """Return the task of the options, or else multi-label for several columns or lists of labels, or single-label."""
    has_several = len(label) > 1 or columns[label[0]].has_lists
    return options.task or ("multi-label" if has_several else "single-label")


def name_and_values(name: str, column: Column) -> str:
    """Return the name of a column with its values, or with their number if they are many.

    >>> name_and_values("opinion", Column(values=dict(bad=2, good=3)))
    "'opinion' (bad, good)"
    """
    values = in_order(column.values)
    shown = ", ".join(value[:20] for value in values) if len(values) <= SHOWN_VALUES else f"{len(values)} values"
    return f"{name!r} ({shown})"


def enumerated(names: Iterable[str]) -> str:
    """Return names in one line, the first SHOWN_COLUMNS of them."""
    names = list(names)
    more = f" and {len(names) - SHOWN_COLUMNS:,} more" * (len(names) > SHOWN_COLUMNS)
    return ", ".join(names[:SHOWN_COLUMNS]) + more


def choose(what: str, option: str, likely: list[str], columns: dict[str, Column], may_ask: bool) -> str:
    """Return the only likely column, or the column that the user names at the terminal.

    Raises InputError if the user cannot be asked, or names a column that the table lacks.
    """
    if len(likely) == 1:
        return likely[0]
    shown = [name_and_values(name, columns[name]) if what == "labels" else repr(name) for name in likely]
    listed = enumerated(shown or [*map(repr, columns)])
    if may_ask:
        name = typer.prompt(f"Which column has the {what}: {listed}?", default=likely[0] if likely else None, err=True)
        if name not in columns:
            raise InputError(f"no column {name!r:.60}; its columns are {enumerated(map(repr, columns))}")
        return name
    if not likely:
        raise InputError(f"no column seems to have the {what}: {listed}; name it by {option}")
    all_of_them = " ".join(f"{option} {shlex.quote(name)}" for name in likely)
    join = f", or join them by {all_of_them}" if option == "--text" and len(likely) <= SHOWN_COLUMNS else ""
    raise InputError(f"several columns may have the {what}: {listed}; name one by {option}{join}")
