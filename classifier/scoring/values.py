"""Values of a table as JSON texts."""

import base64
import json
import math
from typing import Any

from classifier.runner.terminal import escape_controls


def json_line(value: Any) -> str:
    """Return a value as JSON in one line, in which control characters are escaped."""
    return escape_controls(json.dumps(value, ensure_ascii=False))


def json_value(value: Any) -> Any:
    """Return a value of Python as a value of JSON.

    Bytes become base64, times become ISO 8601, and other values that JSON lacks, such as decimals, become texts. NaN
    and infinity become None.

    >>> json_value([1.5, float("nan"), {"day": datetime.date(2020, 1, 31)}, b"ab"])
    [1.5, None, {'day': '2020-01-31'}, 'YWI=']
    """
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
