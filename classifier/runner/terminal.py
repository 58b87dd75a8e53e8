"""Characters of a text that would steer a terminal instead of being shown there."""

import re

# The control characters (C0, DEL and C1), the separators of lines and paragraphs, and the characters that embed,
# override or isolate a direction of writing.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def escape_controls(text: str) -> str:
    r"""Return a text in which each control character is written as JSON escapes it. Nothing else is changed.

    The result has one line. If the text is JSON on one line, the result is JSON with the same content.

    >>> escape_controls("red \x1b[31m\u202e\n")
    'red \\u001b[31m\\u202e\\n'
    """
    return CONTROLS.sub(lambda match: SHORT.get(match[0], f"\\u{ord(match[0]):04x}"), text)
