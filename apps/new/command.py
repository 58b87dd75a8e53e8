"""Add a data set of your own: look at its files, and write its entry into params.yaml.

  python -m apps.new reviews.csv
  make new FILE=reviews.csv

The file is read as a whole. It can be CSV with any delimiter, quoting and
encoding, JSON, Parquet, Arrow, Excel or fastText lines, compressed or not. A
folder can have a file or a folder for each split (train, dev or validation,
test), parts of one table, or a folder of texts for each label.

The command shows the form, the columns, the labels and the splits that it
found. Then it reads the file as the stage `data` does, copies it into
data/local/, runs `dvc add`, adds the entry to params.yaml and selects it. Start
the training with `dvc repro`.

Each option replaces a guess of the command. If a guess is unsure, the command
asks at a terminal; elsewhere it ends with an error that names the option to
give. --dry-run writes nothing.

After an error, the command prints one line to stderr, exits with status 1, and
leaves data/local/ and params.yaml as they were. If the command line itself
cannot be read, the exit status is 2.
"""

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ValidationError
from typer import Argument, Option

from apps.new.choices import Options
from apps.new.entry import make_entry
from apps.new.params_file import entry_lines, with_entry
from apps.new.plan import make_plan
from apps.new.report import describe, show
from apps.new.store import refuse_other, stored, trial_project
from classifier.dataset.selection import read_source
from classifier.dataset.splitting import draw_splits
from classifier.errors import InputError
from classifier.files.places import BASE
from classifier.files.writing import replace_file
from classifier.params.format import Format
from classifier.params.labels import LABEL_KEYS
from classifier.runner.command import exit_on_user_error, run_command
from classifier.runner.params import PARAMS, load_params, problem_of, select
from classifier.runner.yaml import parse_yaml


class Drop(StrEnum):
    """The kinds of rows that `drop` of an entry can leave out. typer accepts lists of enums, but not of Literals."""

    UNLABELLED = "unlabelled"
    EMPTY = "empty"


Task = Literal[*LABEL_KEYS]
Kind = Literal["csv", "json", "fasttext", "folders", "parquet", "arrow", "xlsx"]
LABELS = "Names of the labels: bad,good in their order, or 0=negative,4=positive; VALUE= leaves rows out."
DROP = "Rows to leave out: those without a label, or with an empty text; may be repeated."
TASK = "Kind of classification or regression. [default: single-label, or multi-label for lists and several columns]"
LABEL = "Column of labels; for multi-label, repeat it for several columns of 0 and 1."
SEPARATOR = "Text between the labels of a row, for the task multi-label. [default: as found]"
PAIR = "Read the two columns of texts as pairs, such as a premise and a hypothesis."
QUOTING = "How a quoted field holds a quote: doubled, or after a backslash; none: quotes are part of the texts."
TEXT = "Column of texts; repeat it to join several."


def main(
    path: Annotated[Path, Argument(metavar="PATH", help="File or folder.")],
    name: Annotated[str | None, Option(metavar="NAME", help="Name of the entry. [default: that of the file]")] = None,
    text: Annotated[list[str] | None, Option(metavar="NAME", help=TEXT)] = None,
    pair: Annotated[bool, Option("--pair", help=PAIR)] = False,
    task: Annotated[Task | None, Option(help=TASK)] = None,
    label: Annotated[list[str] | None, Option(metavar="NAME", help=LABEL)] = None,
    label_separator: Annotated[str | None, Option(metavar="TEXT", help=SEPARATOR)] = None,
    labels: Annotated[str | None, Option(metavar="NAMES", help=LABELS)] = None,
    split_column: Annotated[str | None, Option(metavar="NAME", help="Column that says the split of a row.")] = None,
    delimiter: Annotated[
        str | None, Option(metavar="MARK", help='Character between fields, such as ";" or "\\t".')
    ] = None,
    encoding: Annotated[str | None, Option(metavar="NAME", help="Encoding, such as cp1252.")] = None,
    header: Annotated[bool | None, Option("--header/--no-header", help="Whether row 1 has the columns' names.")] = None,
    quoting: Annotated[Literal["double", "backslash", "none"] | None, Option(help=QUOTING)] = None,
    kind: Annotated[Kind | None, Option(help="Kind of the file.")] = None,
    sheet: Annotated[str | None, Option(metavar="NAME", help="Sheet of an Excel file.")] = None,
    test: Annotated[str | None, Option(metavar="SIZE", help="Size of the test split. [default: 20%]")] = None,
    validation: Annotated[str | None, Option(metavar="SIZE", help="Size of validation.")] = None,
    drop: Annotated[list[Drop] | None, Option(metavar="unlabelled|empty", help=DROP)] = None,
    group: Annotated[str | None, Option(metavar="NAME", help="Column whose rows stay together in a split.")] = None,
    link: Annotated[bool, Option("--link", help="Link to the file in place of a copy; DVC keeps none.")] = False,
    replace: Annotated[bool, Option("--replace", help="Replace the entry of the same name.")] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Show the entry, and write nothing.")] = False,
) -> None:
    """Look at a file or folder, and add it as a data set. The module's docstring is the help text."""
    sys.stdout.reconfigure(errors="backslashreplace")
    with exit_on_user_error("new"):
        settings = {"kind": kind, "delimiter": delimiter, "encoding": encoding, "quoting": quoting, "sheet": sheet}
        form = known_form({key: value for key, value in settings.items() if value is not None})
        options = Options(
            *(text or [], label or [], labels, split_column, header, list(map(str, drop or []))),
            *(group, test, validation, form, task, label_separator, pair),
        )
        options.may_ask = sys.stdin.isatty() and sys.stderr.isatty()
        add(path, name or entry_name(path), options, link, replace, dry_run)


def known_form(settings: dict) -> Format:
    """Return the settings of the options as a form. Raises InputError for a faulty value."""
    if settings.get("delimiter") == "\\t":
        settings["delimiter"] = "\t"
    try:
        return Format(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--{first['loc'][0]} {first['input']!r:.40}: {problem_of(error)}") from None


def entry_name(path: Path) -> str:
    """Return the name of a file without its suffixes, as DVC takes names: letters, digits, - and _."""
    name = re.sub(r"[^\w-]+", "-", path.absolute().resolve().name.lstrip(".").partition(".")[0]).strip("-")
    return name if name[:1].isalpha() else f"data-{name}"


def add(path: Path, name: str, options: Options, link: bool, replace: bool, dry_run: bool) -> None:
    """Look at a file or folder, show it, try its entry, and write it unless this is a dry run."""
    if not re.fullmatch(r"[^\W\d_][\w-]*", name):
        raise InputError(f"--name {name!r:.60}: should be letters, digits, - and _, with a letter first")
    if not isinstance(parse_yaml(name), str):
        raise InputError(f"--name {name!r}: YAML does not read it as a text; choose another name by --name")
    params, tokenizer = load_params(), (BASE / "tokenizer.json").absolute()
    with PARAMS.open(encoding="utf-8", newline="") as file:
        before = file.read()
    with trial_project(path) as place:
        plan = make_plan(place, options)
        show(path, describe(plan, options, tokenizer, params.tokenize.max_length))
        entry = make_entry(plan, options)
        after = with_entry(before, name, entry, replace)
        sizes = try_entry(after)
    print(f"  {'sizes':10}  {sizes}", f"\n{PARAMS}, below datasets:\n{entry_lines(name, entry)}", sep="\n")
    refuse_other(path, place)
    if dry_run:
        print("Nothing was written (--dry-run).")
        return
    with stored(path, place, link), replace_file(PARAMS) as part:
        part.write_bytes(after.encode())
    kept = "is a link, of which DVC keeps no copy" if place.is_symlink() else f"is tracked by DVC, in {place}.dvc"
    print(f"{place} {kept}.\n{PARAMS}: `dataset: {name}` is selected. Next: dvc repro")


def try_entry(params_text: str) -> str:
    """Read and split the selected data set in the trial project as the stage `data` does; return the splits' sizes."""
    PARAMS.write_text(params_text, encoding="utf-8")
    params = load_params()
    dataset = select(params, "dataset")
    splits = draw_splits(read_source(dataset).splits, dataset, params.data.seed)
    sizes, batch_size = {split: len(rows) for split, rows in splits.items()}, params.train.batch_size
    few = f"; the training needs {batch_size} texts in train: add some, or lower train.batch_size in params.yaml"
    return ", ".join(f"{split} {size:,}" for split, size in sizes.items()) + few * (sizes["train"] < batch_size)


def run() -> None:
    """Run the command line."""
    run_command(main, "apps.new", __doc__)
