"""Turn a plan into an entry of `datasets:` in params.yaml."""

import typer

from apps.new.choices import Options
from apps.new.form import without_defaults
from apps.new.layout import ordered, source_names, split_of
from apps.new.plan import Plan
from apps.new.tasks import PROPOSALS
from classifier.errors import InputError
from classifier.files.places import LOCAL
from classifier.params.labels import LABEL_KEYS

TEST = "20%"  # size of the test split
# The options of the form that files of a kind have; files of the other kinds have an encoding alone.
READ_BY_KIND = {"csv": {"delimiter", "encoding", "quoting"}, "xlsx": {"sheet"}, "parquet": set(), "arrow": set()}


def make_entry(plan: Plan, options: Options) -> dict:
    """Return the entry of params.yaml. Raises InputError if an option does not fit, or rows lack a label or a text."""
    refuse_unread_options(plan, options)
    drops = decide_drops(plan, options)
    form = without_defaults(plan.form, plan.layout.splits["train"][0]).model_dump(exclude_defaults=True)
    files = source(plan)
    entry = {
        "source": files,
        "format": form,
        "text": plan.text[0] if len(plan.text) == 1 else plan.text,
        "pair": options.pair,
        "label": plan.label[0] if len(plan.label) == 1 else plan.label,
        "task": plan.task,
        **PROPOSALS[plan.task].keys(plan, options, drops),
        "drop": drops,
        "group": options.group,
        "train": None,
        "validation": number(options.validation),
        "test": number(options.test) if options.test or "test" in files else TEST,
    }
    defaults = {"format": {}, "text": "text", "pair": False, "label": "label", "drop": [], "group": None}
    defaults |= {"task": "single-label", "label_separator": None}
    return {key: value for key, value in entry.items() if key not in defaults or value != defaults[key]}


def refuse_unread_options(plan: Plan, options: Options) -> None:
    """Raise InputError for an option that this task, or files of this kind, do not read."""
    several, keys = len(plan.label) > 1, {LABEL_KEYS[plan.task].needed, *LABEL_KEYS[plan.task].allowed}
    if options.labels and (several or "labels" not in keys):
        why = "several columns name the labels themselves" if several else f"{plan.task} labels have no names"
        raise InputError(f"--labels: {why}; leave it out")
    if options.label_separator and (several or "label_separator" not in keys):
        raise InputError("--label-separator: only one column of several labels has it; give --task multi-label")
    kind = plan.form.kind or "csv"
    read = READ_BY_KIND.get(kind, {"encoding"})
    if unread := [name for name in options.form.model_fields_set - {"kind"} if name not in read]:
        raise InputError(f"--{unread[0]}: a file of the kind {kind} does not have it; leave it out, or correct --kind")


def number(size: str | None) -> int | str | None:
    """Return a size as params.yaml has it: a number of rows, or a share such as 20%."""
    return int(size) if size and size.isdecimal() else size


def source(plan: Plan) -> dict:
    """Return `source` of the entry."""
    where = {"where": plan.where} if plan.where else {}
    if not plan.split:
        return {split: source_names(paths, LOCAL) for split, paths in plan.layout.splits.items()} | where
    files = source_names(plan.layout.splits["train"], LOCAL)
    values = {split_of(value): value for value in plan.found.rows}
    return ordered({split: {"files": files, "where": {plan.split: value}} for split, value in values.items()}) | where


def decide_drops(plan: Plan, options: Options) -> list[str]:
    """Return `drop` of the entry. Raises InputError if rows would have to be dropped and nobody agreed."""
    no_label = plan.found.no_label.count + sum(plan.found.labels[value] for value in plan.left_out)
    places = [str(plan.found.no_label)] if plan.found.no_label.count else []
    places += [f"label {', '.join(plan.left_out)}"] if plan.left_out else []
    drops, problems = list(options.drop), {}
    for name, what, count, where in (
        ("unlabelled", "label", 0 if options.labels and "=" in options.labels else no_label, "; ".join(places)),
        ("empty", "text", plan.found.no_text.count, str(plan.found.no_text)),
    ):
        if not count or name in drops:
            continue
        problems[name] = f"{f'{count:,} rows have' if count > 1 else 'a row has'} no {what} ({where})"
        if options.may_ask and typer.confirm(f"{problems[name]}. Leave them out?", err=True):
            drops.append(problems.popitem()[0])
    if problems:
        found, reasons = ", ".join(problems.values()), " --drop ".join(problems)
        raise InputError(f"{found}; leave them out by --drop {reasons}, or fill them in")
    return drops
