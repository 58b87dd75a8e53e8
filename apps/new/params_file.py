"""Write an entry into params.yaml without changing any other line."""

import io
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from classifier.errors import InputError
from classifier.runner.params import PARAMS
from classifier.runner.yaml import parse_yaml


def parsed(text: str) -> Any:
    """Return the content of YAML text, or None if it is not valid."""
    try:
        return parse_yaml(text)
    except YAMLError:
        return None


def entry_lines(name: str, entry: dict) -> str:
    """Return an entry as lines of YAML below `datasets:`, with lists in block style."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = False, 10_000, False
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump({name: entry}, stream)
    return "".join(f"  {line}\n" for line in stream.getvalue().splitlines())


def entry_place(lines: list[str], name: str) -> tuple[int, int]:
    """Return the numbers (first line, line after the last line) of an entry of `datasets:`.

    If there is no such entry, both are the number of the line after the last entry. Blank lines and comments after an
    entry do not belong to it.
    """
    first = next((number for number, line in enumerate(lines) if line.startswith("datasets:")), len(lines) - 1)
    start, indent, end = None, None, first + 1
    for number in range(first + 1, len(lines)):
        if re.match(r"[^\s#]", lines[number]):
            break
        if found := re.match(r"(\s+)[^\s#]", lines[number]):
            indent = indent or found[1]
            if found[1] == indent and start is not None:
                break
            if re.match(rf"{indent}(['\"]?){re.escape(name)}\1:\s", lines[number]):
                start = number
            end = number + 1
    return (end if start is None else start), end


def with_entry(text: str, name: str, entry: dict, replace: bool = False) -> str:
    """Add an entry to `datasets:` in the text of params.yaml, and select it by `dataset:`; return the text.

    A new entry is added at the end. An entry of the same name is replaced if `replace` is true.

    Raises:
        InputError: Another entry has this name and is not to be replaced, or the file is laid out so that lines cannot
            be added.
    """
    before = parsed(text)
    existing = before["datasets"].get(name)
    if existing is not None and existing != entry and not replace:
        fix = "choose a name by --name, or replace that entry by --replace"
        raise InputError(f"{PARAMS}: datasets.{name}: another entry has this name; {fix}")
    if existing != entry:
        lines = text.splitlines(keepends=True)
        start, end = entry_place(lines, name)
        lines[start - 1] = lines[start - 1].rstrip("\n") + "\n"
        text = "".join([*lines[:start], entry_lines(name, entry), *lines[end:]])
    text = re.sub(r"^(dataset:[ \t]*)[^\s#]+", rf"\g<1>{name}", text, count=1, flags=re.MULTILINE)
    if parsed(text) != before | {"dataset": name, "datasets": before["datasets"] | {name: entry}}:
        fix = "write it there by hand; --dry-run shows it"
        raise InputError(f"{PARAMS}: no place found for the entry {name} below `datasets:`; {fix}")
    return text
