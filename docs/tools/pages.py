"""Write measured numbers and generated tables into the pages, from the files that hold them.

    make pages          # after a run or a benchmark: every page shows what its files hold

A page is README.md or a Markdown file of docs/. It marks what comes from a file in two ways:

- A number is a link to a JSON or CSV file. The link's title is the path of the value in that file:
  `[90.7%](metrics/evaluate.json "accuracy")`. An item of a list or a row of a CSV file is named by its number, from 0:
  `"rows.0.seconds"`. The shown text sets the unit (see `UNITS`) and the number of decimals. If the title ends in " %",
  the value is shown in percent without the sign %.
- A table stands between `<!-- KIND: ARGUMENT -->` and `<!-- end -->`, see `BLOCKS`.

A test compares all pages with their files.
"""

import re
import subprocess
from functools import cache
from pathlib import Path

import networkx
import pandas as pd
from ruamel.yaml import YAML

from benchmarks.learning_curve.report import conclusion, curve_table
from benchmarks.record import table
from classifier.errors import InputError
from classifier.files.formats import read_json

ROOT = Path(__file__).parents[2]
NUMBER_LINK = re.compile(r'\[([^\]\[]*)\]\(([^)\s]+\.(?:json|csv)) "([^"]+)"\)')
SHOWN = re.compile(r"(?P<sign>[+-]?)[\d,]+(?:\.(?P<decimals>\d+))?(?P<unit>%| [\w/]+)?")
UNITS = {"": 1, "%": 100, " points": 100, " s": 1, " minutes": 1 / 60, " GB": 1e-9, " MB": 1e-6}


def pages() -> list[Path]:
    """Return the pages whose numbers and tables come from files."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@cache
def content(path: Path) -> dict | list:
    """Return the content of a JSON file, or the rows of a CSV file as dictionaries."""
    return read_json(path) if path.suffix == ".json" else pd.read_csv(path).to_dict("records")


def value_at(path: Path, keys: str) -> object:
    """Return a value of a file. Raises KeyError or IndexError if the file lacks it.

    Args:
        keys: names and numbers of list items, joined by dots. A name may hold dots itself.
    """
    value = content(path)
    while keys:
        if isinstance(value, list):
            key, _, keys = keys.partition(".")
            value = value[int(key)]
        else:
            name = max((name for name in value if f"{keys}.".startswith(f"{name}.")), key=len, default=None)
            if name is None:
                raise KeyError(keys)
            value, keys = value[name], keys[len(name) + 1 :]
    return value


def shown_number(shown: str, value: object, factor: float = 1) -> str:
    """Return a value in the form of a shown number: with its unit, its decimals and its sign.

    >>> shown_number("90.7%", 0.9128), shown_number("+2.6 points", 0.03), shown_number("9 minutes", 372)
    ('91.3%', '+3.0 points', '6 minutes')
    """
    if isinstance(value, str):
        return value
    form = SHOWN.fullmatch(shown)
    if form is None or (form["unit"] or "") not in UNITS:
        raise ValueError(f"{shown!r} is no number with a unit of {list(UNITS)}")
    decimals, sign = len(form["decimals"] or ""), "+" if form["sign"] == "+" else ""
    return f"{value * factor * UNITS[form['unit'] or '']:{sign},.{decimals}f}{form['unit'] or ''}"


def with_current_numbers(text: str, folder: Path) -> str:
    """Return the text of a page with the current numbers of the files that it links to.

    Args:
        text: The text of the page.
        folder: The folder of the page; links are relative to it.
    """

    def current(link: re.Match) -> str:
        shown, target, keys = link.groups()
        factor = 100 if keys.endswith(" %") else 1
        number = shown_number(shown, value_at((folder / target).resolve(), keys.removesuffix(" %")), factor)
        return f'[{number}]({target} "{keys}")'

    return NUMBER_LINK.sub(current, text)


def stage_rows(*kinds: str) -> list[dict[str, str]]:
    """Return a row for each stage of dvc.yaml: its name, its description and its outputs of these kinds."""
    rows = []
    for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items():
        listed = [out for kind in kinds for out in stage.get(kind, [])]
        paths = ", ".join(f"`{out if isinstance(out, str) else next(iter(out))}`" for out in listed)
        rows.append({"stage": f"`{name}`", "what it does": stage["desc"], "writes": paths})
    return rows


def pipeline_table(folder: Path, _: str) -> str:
    """Return the stages of dvc.yaml with their descriptions and outputs, without the plots, as a table in Markdown."""
    rows = stage_rows("outs", "metrics")
    return table({"columns": dict.fromkeys(rows[0], ""), "rows": rows})


def diagram(folder: Path, _: str) -> str:
    """Return the stages as a Mermaid diagram: `dvc dag`, without the edges that follow from other edges."""
    drawn = subprocess.check_output(["dvc", "dag", "--md"], cwd=ROOT, text=True)
    names = dict(re.findall(r'(node\d+)\["(\w+)"\]', drawn))
    edges = [(names[one], names[other]) for one, other in re.findall(r"(node\d+)-->(node\d+)", drawn)]
    reduced = networkx.transitive_reduction(networkx.DiGraph(edges))
    lines = [f"  {stage} --> {' & '.join(sorted(reduced[stage]))}" for stage in sorted(reduced) if reduced[stage]]
    return "\n".join(["```mermaid", "flowchart LR", *lines, "```"])


def result_table(folder: Path, path: str) -> str:
    """Return the rows of a benchmark's result file as a table in Markdown."""
    return table(content((folder / path).resolve()))


def learning_curve(folder: Path, path: str) -> str:
    """Return a learning curve as a table and its conclusion."""
    curve = pd.read_csv(folder / path)
    return f"{curve_table(curve)}\n\n{conclusion(curve)}"


BLOCKS = {"rows": result_table, "curve": learning_curve, "pipeline": pipeline_table, "diagram": diagram}
BLOCK = re.compile(rf"<!-- ({'|'.join(BLOCKS)})(: \S+)? -->\n.*?<!-- end -->", re.DOTALL)


def up_to_date(page: Path) -> str:
    """Return the text that a page should have. Raises InputError if a file or a value is missing."""

    def block(found: re.Match) -> str:
        kind, argument = found[1], found[2] or ""
        body = BLOCKS[kind](page.parent, argument.removeprefix(": "))
        return f"<!-- {kind}{argument} -->\n\n{body}\n\n<!-- end -->"

    try:
        return with_current_numbers(BLOCK.sub(block, page.read_text()), page.parent)
    except (KeyError, IndexError, OSError, TypeError, ValueError) as error:
        raise InputError(f"{page.relative_to(ROOT)}: {type(error).__name__}: {error}") from error


def main() -> None:
    """Rewrite the pages whose numbers or tables have changed, and name them. Pages with a missing value are kept."""
    wrong = []
    for page in pages():
        try:
            text = up_to_date(page)
        except InputError as error:
            wrong.append(str(error))
            continue
        if text != page.read_text():
            page.write_text(text)
            print(page.relative_to(ROOT))
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
