"""Write docs/reference/params.md and docs/reference/commands.md: `python -m docs.tools.reference`.

Most of the two pages is taken from params.yaml, dvc.yaml, the Makefile and the code. The template
docs/tools/reference.md.j2 has the remaining text and the tables of variables, which no other file lists.
"""

import inspect
import itertools
import re
from importlib import import_module
from typing import Any

import typer
from jinja2 import Environment, StrictUndefined

from docs.tools import reference_params as params
from docs.tools.pages import stage_rows
from docs.tools.reference_params import ROOT, prose, table

TEMPLATE = ROOT / "docs/tools/reference.md.j2"
# Commands beside the pipeline, and the function or the typer app that has their arguments; None: no arguments.
COMMANDS = {
    "apps.new": "main",
    "apps.infer": "main",
    "apps.revisions": "app",
    "apps.table": None,
    "apps.seal": "app",
    "apps.demo": None,
    "apps.serve": "main",
    "apps.push": None,
    "benchmarks.learning_curve": "app",
}
PACKAGES = ("apps.new", "apps.serve", "benchmarks.learning_curve")  # whose module `command` has the command


def params_page() -> str:
    """Return the page of all settings: the selections, the stages' sections and the catalogues."""
    rows, sections = [], []
    for key, value in params.VALUES.items():
        if isinstance(value, str):
            meaning = prose(params.comment(params.LINES, params.VALUES.lc.key(key)[0]))
            rows.append([f"`{key}`", "text", f"`{value}`", meaning, params.reruns(key)])
        elif key not in params.CATALOGUES:
            sections.append(params.section(key))
    return filled(
        "params",
        selections=table("key|type|default|meaning|stages that rerun", rows),
        sections="\n\n".join(sections),
        catalogues="\n\n".join(map(params.entries, params.CATALOGUES)),
    )


def commands_page() -> str:
    """Return the page of all commands and environment variables."""
    rows = [[*row.values()] for row in stage_rows("outs", "metrics", "plots")]
    return filled(
        "commands",
        targets=targets((ROOT / "Makefile").read_text()),
        stages=table("stage|what it does|writes", rows),
        commands="\n\n".join(command(module, name) for module, name in COMMANDS.items()),
    )


def filled(page: str, **parts: str) -> str:
    """Return a page of the template."""
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    return environment.from_string(TEMPLATE.read_text()).render(page=page, **parts)


def targets(makefile: str) -> str:
    """Return the targets that the comments at the head of the Makefile list, with a table for each heading there."""
    groups: dict[str, list[list[str]]] = {"": []}
    for line in re.match(r"(?:#.*\n|\n)*", makefile)[0].splitlines():
        if item := re.match(r"#\s+(make.*?)\s{2,}(.+)", line):
            [*groups.values()][-1].append([f"`{item[1]}`", prose([item[2]])])
        elif heading := re.match(r"# (\S.*):$", line):
            groups[heading[1]] = []
    parts = [
        (f"### {heading}" * bool(heading), table("target|what it does", rows))
        for heading, rows in groups.items()
        if rows
    ]
    return "\n\n".join(filter(None, itertools.chain.from_iterable(parts)))


def command(module: str, name: str | None) -> str:
    """Return a command's help, and a table of the arguments and options of each of its subcommands."""
    source = import_module(f"{module}.command" if module in PACKAGES else module)
    parts = [f"### {module}", f"```text\n{inspect.cleandoc(source.__doc__)}\n```"]
    for subcommand in subcommands(getattr(source, name)) if name else []:
        context = subcommand.make_context(module, [], resilient_parsing=True)
        hidden = [(f"{param.metavar}...", "see the text above") for param in subcommand.params if param.hidden]
        records = hidden + [param.get_help_record(context) for param in subcommand.params if not param.hidden]
        if name == "app":
            parts += [f"#### {subcommand.name}", prose([inspect.cleandoc(subcommand.help).splitlines()[0]])]
        parts.append(table("argument or option|meaning", [[f"`{words}`", prose([text])] for words, text in records]))
    return "\n\n".join(parts)


def subcommands(function: Any) -> list:
    """Return the commands of a typer app, or that of a function with typer's arguments."""
    if not isinstance(app := function, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command()(function)
    found = typer.main.get_command(app)
    return [*getattr(found, "commands", {"": found}).values()]


if __name__ == "__main__":
    for name, page in (("params", params_page()), ("commands", commands_page())):
        (ROOT / f"docs/reference/{name}.md").write_text(page)
