"""Facts that the pages state: links, files, commands, options and settings that must exist, whatever the words around
them. Numbers are compared with the measurements in test_pages.py.
"""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser
from markdown_it import MarkdownIt
from ruamel.yaml import YAML
from tiny import ROOT

NAMES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "data/local/README.md", "metrics/report.md"]
PAGES = [*(ROOT / name for name in NAMES), *sorted((ROOT / "docs").rglob("*.md"))]
PARAMS = YAML(typ="safe").load(ROOT / "params.yaml")
MAKEFILE = (ROOT / "Makefile").read_text()
# What stands behind a dot in the name of a file, and not of a setting: data.json, train.py.
SUFFIXES = {"arrow", "csv", "json", "jsonl", "lock", "md", "parquet", "part", "png", "py", "safetensors", "yaml"}


@cache
def tokens(page: Path) -> list:
    """All of a page's tokens of Markdown, those within a line too."""
    blocks = MarkdownIt("commonmark").enable("table").parse(page.read_text())
    return [token for block in blocks for token in (block, *(block.children or []))]


def links(page: Path) -> list[str]:
    named = [token.attrGet("href") or token.attrGet("src") for token in tokens(page)]
    html = "".join(token.content for token in tokens(page) if token.type.startswith("html"))
    return [*filter(None, named), *re.findall(r'(?:src|srcset|href)="([^"]+)"', html)]


def anchors(page: Path) -> set[str]:
    """The names that a forge gives to a page's headings."""
    after = zip(tokens(page), tokens(page)[1:], strict=False)
    headings = [inline.content for heading, inline in after if heading.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code(page: Path) -> list[str]:
    """Each piece of code in a line, and each line of a block, without its comment."""
    inline = [token.content for token in tokens(page) if token.type == "code_inline"]
    blocks = [token.content for token in tokens(page) if token.type in ("fence", "code_block")]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [re.sub(r"(^|\s)#.*", "", part) for part in (*inline, *lines)]


def every(pattern: str) -> list[tuple[str, str]]:
    """(name of the page, what the pattern's group is) in all pages' code; some must be there."""
    parts = [(str(page.relative_to(ROOT)), part) for page in PAGES for part in code(page)]
    found = {(name, match) for name, part in parts for match in re.findall(pattern, part)}
    assert found, pattern
    return sorted(found)


def test_links_lead_somewhere():
    broken, count = [], 0
    for page in PAGES:
        for link in links(page):
            if re.match(r"[a-z]+:", link):  # elsewhere
                continue
            count += 1
            name, _, anchor = link.partition("#")
            path = (page.parent / name).resolve() if name else page
            if not path.exists() or (anchor and anchor not in anchors(path)):
                broken.append((page.name, link))
    assert count > 50
    assert broken == []


def test_files_that_are_named_exist():
    pattern = r"\b(?:stages|classifier|apps|benchmarks|tests|docs|\.github)/[\w./-]+\.(?:py|md|j2|ya?ml|png)\b"
    named = {name for page in PAGES for name in re.findall(pattern, page.read_text()) if "NAME" not in name}
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_targets_and_variables_of_make_exist():
    targets = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
    called = r"(?:^|[;&] *|[A-Z]=\S+ )make"
    named = every(rf"{called}(?: [A-Z]+=\S+)* ([a-z][a-z-]*)")
    assert len(named) > 10
    assert [(page, target) for page, target in named if target not in targets] == []
    variables = set(re.findall(r"\$\(([A-Z]+)\)|^([A-Z]+) \?=", MAKEFILE, re.MULTILINE))
    known = {name for pair in variables for name in pair}
    given = every(rf"{called}(?: [a-z-]+)? ([A-Z]+)=")
    assert [(page, name) for page, name in given if name not in known] == []


def test_modules_and_their_options_exist():
    commands = every(r"python -m ((?:stages|apps|benchmarks)\.[a-z_.]*[a-z_]\b[^|&]*)")
    assert len(commands) > 10
    for page, command in commands:
        module, *words = command.split()
        path = ROOT / module.replace(".", "/")
        files = [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else sorted(path.glob("*.py"))
        assert files, (page, command)
        source = "".join(file.read_text() for file in files)
        for word in words:
            if word == "--":
                break
            if name := re.match(r"--([a-z-]+)", word):
                assert name[1].replace("-", "_") in source, (page, command)


def exists(path: str) -> bool:
    """Whether a dotted name is a key of params.yaml. Names of entries have no dots."""
    section = PARAMS
    for key in path.split("."):
        if not isinstance(section, dict) or key not in section:
            return False
        section = section[key]
    return True


def test_settings_exist():
    """Those that a command changes, and those that a page speaks of."""
    changed = every(r"-S '?([\w.-]+)=")
    assert len(changed) > 10
    assert [(page, key) for page, key in changed if not exists(key)] == []
    named = every(rf"^((?:{'|'.join(PARAMS)})\.[\w.-]*\w)\b(?=$|[:= ])")
    named = [(page, key) for page, key in named if key.rpartition(".")[2] not in SUFFIXES]
    assert len(named) > 10
    assert [(page, key) for page, key in named if not exists(key)] == []


@pytest.mark.parametrize("kind", ["dataset", "model", "method"])
def test_entries_that_are_selected_exist(kind):
    """In params.yaml, or in the example that the page itself has."""
    for page, name in every(rf"-S {kind}=([a-z][\w-]*)"):
        assert name in PARAMS[f"{kind}s"] or f"\n  {name}:" in (ROOT / page).read_text(), (page, name)


def test_commands_of_dvc_are_dvcs():
    """As its own parser reads them, options and all. A page may leave out the one thing that a command is about."""
    parser, wrong = get_main_parser(), []
    commands = every(r"(?:^|[ ;&]|\$ )(dvc [a-z][^|&;]*)")
    assert len(commands) > 40
    for page, command in commands:
        words = shlex.split(command)[1:]
        if not any(understood(parser, [*words, *more]) for more in ([], ["x"])):
            wrong.append((page, command))
    assert wrong == []


def understood(parser, words: list[str]) -> bool:
    try:
        return bool(parser.parse_args(words))
    except DvcParserError:
        return False


def test_the_site_lists_all_pages():
    listed = re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text())
    assert sorted(listed) == sorted(str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md"))
