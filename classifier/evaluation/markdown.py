"""Show texts and labels of a data set in Markdown, for the report, the model card and the demo page."""

import re
from typing import Any


class Markdown(str):
    """A string that is Markdown already. `verbatim` leaves it as it is."""


def verbatim(value: Any) -> Any:
    r"""Return a string as Markdown that shows it unchanged in one line, also in a table; other values stay as they are.

    Line breaks become spaces. A text or a label cannot create a link, a picture or a tag. The one exception is an
    e-mail address: GitHub links it whatever stands before it.

    >>> print(verbatim("a|b\n<br> *c*"))
    a\|b \<br> \*c\*
    """
    if not isinstance(value, str) or isinstance(value, Markdown):
        return value
    return re.sub(r"[\\`*_\[\]<&|~$]|:(?=//)|(?<=www)\.", r"\\\g<0>", re.sub(r"\s+", " ", value))
