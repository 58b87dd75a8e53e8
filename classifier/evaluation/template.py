"""Fill in the templates of the report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classifier.evaluation import tables
from classifier.evaluation.markdown import verbatim

EXCERPT = 160  # characters of a text, or of both texts of a pair


def fill_template(folders: Sequence[Path], name: str, **values: Any) -> str:
    """Return the text of a template with these values. Each value is escaped, so that Markdown shows it unchanged.

    Args:
        folders: Where the template and the templates that it extends are.
        name: The file name of the template.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        finalize=verbatim,  # applied to the result of every {{ }}
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": "{:.1%}".format,
        "number": "{:,}".format,
        "excerpt": excerpt,
        "row": tables.row,
        "head": tables.head,
    }
    return environment.get_template(name).render(values)


def excerpt(text: str | Sequence[str]) -> str:
    """Return the beginning of a text, or the beginnings of both texts of a pair."""
    texts = [text] if isinstance(text, str) else text
    length = EXCERPT // len(texts)
    return " | ".join(part if len(part) <= length else f"{part[: length - 1]}…" for part in texts)
