"""The parts of an answer, rounded for people."""

from collections.abc import Iterable
from typing import Any


def named_parts(names: Iterable[str], answer: tuple) -> dict[str, Any]:
    """Return the parts of an answer by their names, such as those of `Classifier.parts`, with rounded numbers."""
    return {name: rounded(value, name) for name, value in zip(names, answer, strict=True)}


def rounded(value: Any, name: str) -> Any:
    """Return a part of an answer: a confidence with four decimals, any other float with six significant digits."""
    if isinstance(value, list):
        return [rounded(item, name) for item in value]
    if not isinstance(value, float):
        return value
    return round(value, 4) if name.startswith("confidence") else float(f"{value:.6g}")
