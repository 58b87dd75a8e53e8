"""The keys of params.yaml as tables: docs/reference/params.md, which `python -m docs.tools.reference` writes.

The meaning of a key is the comment above the key in params.yaml. The type of a key is the one that the code checks, in
the stage or in the model of the catalogue's entry. A stage reruns if its params in dvc.yaml have the key.
"""

import inspect
import itertools
import json
import re
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from ruamel.yaml import YAML

from classifier.params import catalogue, datasets, format, sources
from classifier.runner.params import STAGES, schema

ROOT = Path(__file__).parents[2]
CATALOGUES = {"datasets": datasets.Dataset, "models": catalogue.Model, "methods": catalogue.Method}
# The types of values in an entry or in its source.
MORE_TYPES = {"datasets": (sources.Files, sources.Rows, format.Format), "models": (), "methods": ()}
TYPES = [name for module in (catalogue, datasets, sources) for name in vars(module)]
LIMITS = {"minimum": "of at least", "exclusiveMinimum": "above", "maximum": "up to", "exclusiveMaximum": "below"}
WORDS = {"boolean": "`true` or `false`", "null": "`null`", "string": "text", "object": "mapping"}
LINES = (ROOT / "params.yaml").read_text().splitlines()
VALUES = YAML().load("\n".join(LINES))
# The keys of a source that have no comment in the code, since most of them are clear there.
SOURCE_KEYS = {
    **{"hub": "the repository", "revision": "the commit", "wheel": "the package", "folder": "below site-packages"},
    **{"sha256": "the digest of the file", "train": "the files of the split", "files": "the files"},
    **{"where": "columns and the values that rows must have in them"},
    **dict.fromkeys(("validation", "test"), "likewise; `null`: the source has no such split"),
}
PIPELINE = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]


class WithDescriptions(GenerateJsonSchema):
    """JSON schemas in which a string that `catalogue.must_match` checks has the description of the check."""

    def function_after_schema(self, schema: dict) -> dict:
        description = inspect.getclosurevars(schema["function"]["function"]).nonlocals.get("description")
        return super().function_after_schema(schema) | ({"description": description} if description else {})


def block(lines: list[str], end: int) -> list[str]:
    """Return the lines of the comment directly above line number `end`, without their indentation and their signs."""
    start = end
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return [re.sub(r"^\s*# ?", "", line).rstrip() for line in lines[start:end]]


def comment(lines: list[str], number: int) -> list[str]:
    """Return the lines of a key's comment: the comment directly above the key's line, and the one at the line's end."""
    return block(lines, number) + re.findall(r"\s#\s+(.+)$", lines[number])


def prose(lines: list[str]) -> str:
    """Return the lines of a comment as one paragraph in which no HTML tag takes effect."""
    pieces = " ".join(line.strip() for line in lines).split("`")
    return "`".join(piece if number % 2 else piece.replace("<", "&lt;") for number, piece in enumerate(pieces))


def table(header: str, rows: list[list[str]]) -> str:
    """Return a table in Markdown. header: the names of the columns, parted by |."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    columns = header.split("|")
    return "\n".join(f"| {' | '.join(row)} |" for row in [columns, ["---"] * len(columns), *cells])


def kind(part: dict[str, Any]) -> str:
    """Return the type that a JSON schema states, in words."""
    if "anyOf" in part:
        return " or ".join(map(kind, part["anyOf"]))
    if name := part.get("$ref", "").rpartition("/")[2]:
        if name == "Files":
            return "text, list of text, or [Files](#files)"
        return f"[{name}](#{name.lower()})" if name in TYPES else "text or mapping"
    if "enum" in part or "const" in part:
        *others, last = [f"`{choice}`" for choice in part.get("enum", [part.get("const")])]
        return " or ".join(filter(None, [", ".join(others), last]))
    if "pattern" in part:
        return f"{re.search(r'{(.+)}', part['pattern'])[1]} hexadecimal digits"
    if part["type"] == "array":
        return f"list of {kind(part['items'])}"
    if isinstance(part.get("additionalProperties"), dict):
        keys = kind({"type": "string"} | part.get("propertyNames", {}))
        return f"mapping of {keys} to {kind(part['additionalProperties'])}"
    limits = [f"{word} {part[limit]:,}" for limit, word in LIMITS.items() if limit in part]
    return part.get("description") or f"{WORDS.get(part['type'], part['type'])} {' and '.join(limits)}".strip()


def shown(value: Any) -> str:
    """Return a value as params.yaml has it, or the number of its items if it is long."""
    text = value if isinstance(value, str) and re.fullmatch(r"[\w.+-]+", value) else json.dumps(value)
    return f"`{text}`" if len(text) < 40 else f"{len(value)} items"


def reruns(path: str) -> str:
    """Return the stages whose params in dvc.yaml hold a key. The name of a catalogue's entry is written as *."""
    read = {stage: [re.sub(r"\$\{\w+\}", "*", str(param)) for param in PIPELINE[stage]["params"]] for stage in STAGES}
    return ", ".join(stage for stage, keys in read.items() if any(f"{path}.".startswith(f"{key}.") for key in keys))


def key_table(model: type[BaseModel], meanings: dict[str, str], path: str = "") -> str:
    """Return the keys of a catalogue's entry, or of a source in it, as a table in Markdown.

    Args:
        model: The pydantic model of the entry or of the source.
        meanings: The meaning of each key; SOURCE_KEYS has the other meanings.
        path: The path of the entry in params.yaml, with * for its name; "" for a source.
    """
    rows = []
    for name, part in model.model_json_schema(schema_generator=WithDescriptions)["properties"].items():
        default = "required" if model.model_fields[name].is_required() else shown(part["default"])
        row = [kind(part), default, meanings.get(name) or SOURCE_KEYS[name]]
        rows.append([f"`{name}`", *row] + [reruns(f"{path}.{name}")] * bool(path))
    equal = itertools.groupby(rows, key=lambda row: row[1:])
    rows = [[", ".join(row[0] for row in group), *rest] for rest, group in equal]
    return table("key|type|default|meaning" + "|stages that rerun" * bool(path), rows)


def section(name: str) -> str:
    """Return a stage's section of params.yaml, with a table for each group of keys. A comment alone heads a group."""
    model, groups = schema().model_fields[name].annotation, {"": []}
    types = model.model_json_schema(schema_generator=WithDescriptions)["properties"]
    for key, value in VALUES[name].items():
        number = VALUES[name].lc.key(key)[0]
        before = number - len(block(LINES, number)) - 1
        if not LINES[before].strip() and (heading := block(LINES, before)):
            groups[prose(heading)] = []
        meaning = prose(comment(LINES, number))
        row = [f"`{name}.{key}`", kind(types[key]), shown(value), meaning, reruns(f"{name}.{key}")]
        [*groups.values()][-1].append(row)
    parts = [f"## {name}", prose(comment(LINES, VALUES.lc.key(name)[0]))]
    for heading, rows in groups.items():
        parts += [heading, table("key|type|default|meaning|stages that rerun", rows)]
    return "\n\n".join(filter(None, parts))


def entries(name: str) -> str:
    """Return a catalogue of params.yaml: the keys of its entries, the kinds of source, and the entries."""
    model, meanings, around, keys = CATALOGUES[name], {}, ([], []), []
    for line in comment(LINES, VALUES.lc.key(name)[0]):
        if item := re.match(r"  (\w+(?:, \w+)*)(?:\s+|$)(.*)", line):
            keys, text = item[1].split(", "), item[2]
        elif line.startswith("   "):
            text = line
        else:
            around[bool(keys)].append(line)
            continue
        meanings |= {key: prose([meanings.get(key, ""), text]).strip() for key in keys}
    parts = [f"## {name}", prose(around[0]), key_table(model, meanings, f"{name}.*"), prose(around[1])]
    sources = get_args(model.model_fields["source"].annotation) if "source" in model.model_fields else ()
    for source in (*sources, *MORE_TYPES[name]):
        code = inspect.getsource(source).splitlines()
        keys = {line.strip().partition(":")[0]: prose(comment(code, number)) for number, line in enumerate(code)}
        parts += [f"### {source.__name__}", inspect.getdoc(source), key_table(source, keys)]
    what = [[f"`{key}`", prose(comment(LINES, VALUES[name].lc.key(key)[0]))] for key in VALUES[name]]
    return "\n\n".join(filter(None, [*parts, f"### Entries of {name}", table("entry|what it is", what)]))
