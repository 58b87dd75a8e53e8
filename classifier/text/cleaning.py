"""Remove HTML tags from texts, and recognize texts that are blank or that UTF-8 cannot encode.

The encoder and the baseline read the same cleaned texts.
"""

import re
import unicodedata

# All elements of HTML, including obsolete elements.
ELEMENTS = """
a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big blink blockquote body br
button canvas caption center cite code col colgroup data datalist dd del details dfn dialog dir div dl dt em embed
fieldset figcaption figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe img
input ins isindex kbd label legend li link listing main map mark marquee menu meta meter nav nobr noembed noframes
noscript object ol optgroup option output p param picture plaintext pre progress q rb rp rt rtc ruby s samp script
search section select slot small source span strike strong style sub summary sup svg table tbody td template
textarea tfoot th thead time title tr track tt u ul var video wbr xmp
"""
# A tag of HTML, such as <br />, </i> or <A HREF="x">. Other text with angle brackets does not match: "<3",
# "x<y, but z>w", <user>, <url>, List<String>, Set<Object>.
MARKUP = re.compile(
    rf"""(?i)<(?!/?(?-i:[A-Z][a-z]))/?(?:{"|".join(ELEMENTS.split())})(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+))*\s*/?>"""
)


def is_blank(text: str) -> bool:
    """Return whether a text shows nothing: no more than HTML tags, white space, control and format characters.

    >>> [is_blank(text) for text in ("", "<br />", "\\u200b", "!", "<3")]
    [True, True, True, False, False]
    """
    if text.lstrip()[:1].isalnum():  # holds for nearly all texts and saves the search for tags
        return False
    shown = (c for c in MARKUP.sub("", text) if not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf"))
    return next(shown, None) is None


def is_encodable(text: str) -> bool:
    r"""Return whether UTF-8 can encode a text. It cannot encode a lone surrogate, which is half of a character.

    >>> [is_encodable(text) for text in ("\U0001f600", "\ud83d")]
    [True, False]
    """
    return text.encode(errors="ignore").decode() == text


def clean_texts(texts: list[str], strip_markup: bool) -> list[str]:
    """Return the texts with a space in place of each HTML tag; unchanged if `strip_markup` is False."""
    return [MARKUP.sub(" ", text) for text in texts] if strip_markup else texts
