"""What a caller may pass as texts: strings, pairs of strings, and columns of pandas, NumPy, Arrow or datasets."""

from collections.abc import Iterable, Mapping
from typing import Any

from classifier.errors import InputError
from classifier.text.cleaning import is_encodable


def list_of_texts(values: Iterable) -> list[str | None]:
    """Return the values of an iterable as a list of strings, with None for each missing text.

    Raises:
        InputError: A value is neither a string nor missing, a string has a lone surrogate, or `values` is not a
            one-dimensional iterable of values.
    """
    one_dimensional = isinstance(values, Iterable) and getattr(values, "ndim", 1) == 1
    if not one_dimensional or isinstance(values, bytes | bytearray | Mapping):
        raise InputError(f"a text, or a list or column of texts, is needed, not {type(values).__name__}")
    texts = [value if isinstance(value, str) else plain_value(value) for value in values]
    for number, text in enumerate(texts):
        place = f"text {number + 1} of {len(texts)}"
        if not isinstance(text, str):
            if text is not None:
                raise InputError(f"{place}: {' '.join(repr(text).split()):.40} is not a text; give a string")
        elif not is_encodable(text):
            raise InputError(f"{place}: {text!a:.60}: half of a character (a lone surrogate); give the whole character")
    return texts


def plain_value(value: Any) -> Any:
    """Return a value of a column: None if it is missing, and the Python value of a scalar of Arrow."""
    import numpy as np
    import pandas as pd

    value = value.as_py() if hasattr(value, "as_py") else value
    is_missing = value is np.ma.masked or (pd.api.types.is_scalar(value) and pd.isna(value))
    return None if is_missing else value


def is_one_pair(values: Any) -> bool:
    """Return whether a value is one pair of texts, and not a tuple of pairs."""
    return isinstance(values, tuple) and len(values) == 2 and not any(isinstance(part, tuple | list) for part in values)


def list_of_pairs(values: Any) -> list[tuple[str, str]]:
    """Return the pairs of an iterable as a list of tuples, with "" for each missing text.

    Raises:
        InputError: A value is no pair, or a text of a pair is one that `list_of_texts` refuses.
    """
    is_single = isinstance(values, str) or not isinstance(values, Iterable)
    pairs = [plain_value(value) for value in ([values] if is_single else values)]
    pairs = [("", "") if pair is None else pair for pair in pairs]
    for number, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            shown = f"{' '.join(repr(pair).split()):.40}"
            fix = "the model reads pairs of texts; give a tuple of two strings"
            raise InputError(f"text {number + 1} of {len(pairs)}: {shown} is no pair; {fix}")
    columns = (list_of_texts([pair[place] for pair in pairs]) for place in (0, 1))
    return [(first or "", second or "") for first, second in zip(*columns, strict=True)]
