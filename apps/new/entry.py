"""Write down a plan as an entry of `datasets:` in params.yaml."""

import typer

from apps.new.choices import Options
from apps.new.columns import MAX_VALUES
from apps.new.form import without_defaults
from apps.new.labels import label_setting
from apps.new.layout import ordered, source_names, split_of
from apps.new.plan import Plan
from classifier.dataset.labels import NO_LABEL
from classifier.errors import InputError
from classifier.files.places import LOCAL


def make_entry(plan: Plan, options: Options) -> dict:
    """Return the entry of params.yaml. Raises InputError if an option does not fit, or rows lack a label or a text."""
    drops = decide_drops(plan, options)
    values = [value for value in plan.found.labels if value not in plan.left_out]
    if len(values) < 2:
        found = f"the single value {values[0]!r:.40}" if values else "no values"
        fix = "but two labels are needed; name another column by --label"
        raise InputError(f"column {plan.label!r}: has {found}, {fix}")
    if len(values) > MAX_VALUES:
        problem = f"column {plan.label!r}: has {len(values):,} different values"
        raise InputError(f"{problem}, too many for labels; name another column by --label")
    form = without_defaults(plan.form, plan.layout.splits["train"][0]).model_dump(exclude_defaults=True)
    left_out = [value for value in plan.left_out if not ("unlabelled" in drops and value in NO_LABEL)]
    files = source(plan)
    entry = {
        "source": files,
        "format": form,
        "text": plan.text[0] if len(plan.text) == 1 else plan.text,
        "label": plan.label,
        "labels": label_setting(values, left_out, plan.names, options.labels),
        "drop": drops,
        "group": options.group,
        "train": None,
        "validation": number(options.validation),
        "test": None if "test" in files else number(options.test),
    }
    defaults = {"format": {}, "text": "text", "label": "label", "drop": [], "group": None}
    return {key: value for key, value in entry.items() if key not in defaults or value != defaults[key]}


def number(size: str | None) -> int | str | None:
    """Return a size as params.yaml has it: a number of rows, or a share such as 20%."""
    return int(size) if size and size.isdecimal() else size


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
