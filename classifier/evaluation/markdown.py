"""Text from elsewhere in the report and the model card."""

import re
from typing import Any


def verbatim(value: Any) -> Any:
    """A string as Markdown that shows it as it is, in one line, also in a table; any other value unchanged.

    Line breaks become spaces. No link, picture or tag comes of what a text or a label contains, but of an e-mail
    address, which GitHub links whatever stands before it.
    """
    if not isinstance(value, str):
        return value
    return re.sub(r"[\\`*_\[\]<&|~$]|:(?=//)|(?<=www)\.", r"\\\g<0>", re.sub(r"\s+", " ", value))
