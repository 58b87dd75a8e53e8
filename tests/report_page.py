"""The report as GitHub or GitLab would show it."""

import re
from pathlib import Path

from markdown_it import MarkdownIt

from classifier.runner.params import arguments, load_params
from stages.report import report

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
PICTURES = ("confusion", "reliability", "coverage", "length", "training")  # in the order of the page
SECTIONS = (
    *("Results", "The most confident mistakes", "Sample predictions", "Data", "Limits and next steps", "Training"),
    "Settings",
)


def report_again(**changes) -> str:
    """Write the report with settings, a method or a recipe that differ from params.yaml's, and return it as HTML."""
    values = arguments(report, load_params())
    values |= {name: changes.pop(name) for name in ("method", "train") if name in changes}
    report(**values | {"settings": values["settings"].model_copy(update=changes)})
    return MARKDOWN.render(Path("metrics/report.md").read_text())


def rows(html: str) -> list[list[str]]:
    """Return the cells of each row of all tables."""
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)]


def check_markdown(text: str) -> None:
    """Check that a report has no broken or empty part, and no row twice in a table."""
    html = MARKDOWN.render(text)
    paragraphs = re.findall(r"<p>(.*?)</p>", html, re.DOTALL)
    assert [paragraph for paragraph in paragraphs if "\n" in paragraph] == []  # a paragraph is one line
    assert "| " not in re.sub(r"<table>.*?</table>", "", html, flags=re.DOTALL)  # no table is broken
    assert "\n\n\n" not in text
    for table in re.findall(r"<table>.*?</table>", html, re.DOTALL):
        cells = rows(table)
        assert len({len(row) for row in cells}) == 1
        assert all(cell for row in cells for cell in row)
        assert len({tuple(row) for row in cells}) == len(cells)
    order = [text.index(f"\n## {name}\n") for name in SECTIONS]
    assert order == sorted(order)
