"""docs/troubleshooting.md has the messages of the code: each literal part stands in the code, and no error is missing.

Messages of ours are the code in the first column of the tables whose header is "message". CAPITALS are variable parts.
"""

import ast
import re

from tiny import ROOT

PAGE = (ROOT / "docs/troubleshooting.md").read_text()
TABLES = re.findall(r"^\| message \|.*\n\|-.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
ROWS = [row.split(" | ")[0] for table in TABLES for row in table.splitlines()]
MESSAGES = [message for row in ROWS for _, message in re.findall(r"(`+) ?(.+?) ?\1(?!`)", row)]
FILES = [path for folder in ("stages", "classifier", "apps") for path in (ROOT / folder).rglob("*.py")]
TREES = [ast.parse(path.read_text()) for path in FILES]
NODES = [node for tree in TREES for node in ast.walk(tree)]
REFUSALS = {"InputError", "SystemExit", "ValueError", "exit", "refuse", "settings_error"}  # calls with a message


def literal_parts(message: str) -> list[str]:
    """Return what stands between the variable parts and the punctuation of a message."""
    parts = re.split(r"\b[A-Z]{2,}[A-Z_]*\b|\bshould be\b|[][:;(),/'\"`]", message)  # params: "should be {form}"
    return [part.strip(" .") for part in parts if part.strip(" .")]


def texts(*nodes: ast.AST) -> list[str]:
    """Return the strings in the code, and the literal parts of its f-strings."""
    inside = [part for node in nodes for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return [part.value for part in inside if isinstance(part.value, str)]


def test_the_code_has_each_message_of_the_page():
    docstrings = {id(node.value) for node in NODES if isinstance(node, ast.Expr)}
    written = texts(*(node for node in NODES if isinstance(node, ast.Constant) and id(node) not in docstrings))
    code = "\n".join([*written, (ROOT / "Makefile").read_text()])
    assert len(MESSAGES) > 100
    assert [message for message in MESSAGES if max(map(len, literal_parts(message))) < 9] == []
    assert [(message, part) for message in MESSAGES for part in literal_parts(message) if part not in code] == []


def test_the_page_has_each_message_of_the_code():
    calls = [node for node in NODES if isinstance(node, ast.Call)]
    refusals = [call for call in calls if {getattr(call.func, name, "") for name in ("id", "attr")} & REFUSALS]
    long_parts = [[part for text in texts(call) for part in literal_parts(text) if len(part) > 11] for call in refusals]
    assert len(refusals) > 100
    assert [parts for parts in long_parts if parts and not any(part in PAGE for part in parts)] == []
