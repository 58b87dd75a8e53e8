"""Fonts for labels of any script: the installed ones, and a number for a label that none of them can show."""

import unicodedata
from functools import cache

# matplotlib tries the families in this order. It comes with the first one, which has the Latin, Greek, Cyrillic and
# many other letters.
FAMILIES = (
    *("DejaVu Sans", "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Noto Sans CJK TC"),
    *("Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "Noto Sans TC", "Noto Sans Arabic", "Noto Sans Hebrew"),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Telugu", "Noto Sans Thai"),
    *("Noto Sans Armenian", "Noto Sans Georgian", "Noto Sans Ethiopic", "Noto Sans Khmer", "Noto Sans Symbols 2"),
    *("Noto Emoji", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "IPAGothic", "TakaoGothic"),
    *("NanumGothic", "Hiragino Sans", "Hiragino Sans GB", "PingFang SC", "Apple SD Gothic Neo", "Arial Unicode MS"),
)
NOTE = "label N: the Nth label of the data set in params.yaml; no installed font has all of its characters"


@cache
def font_families() -> list[str]:
    """Return the installed families of FAMILIES. matplotlib takes each character from the first one that has it."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [family for family in FAMILIES if family in installed]


@cache
def characters() -> frozenset[int]:
    """Return the code points that the installed families can show."""
    from matplotlib.font_manager import findfont, get_font

    fonts = [get_font(findfont(family)) for family in font_families()]
    return frozenset(point for font in fonts for point in font.get_charmap())


def drawable(names: list[str]) -> tuple[list[str], str]:
    """Return the names of the labels as a picture can show them, and a note to put below the picture.

    White space becomes a space, and characters that show nothing are left out. A name that no font can show becomes
    "label N", with N counted from 1; the note explains it. Without such a name the note is "".
    """
    shown = []
    for number, name in enumerate(names, 1):
        text = "".join(c for c in " ".join(name.split()) if not invisible(c))
        shown.append(text if text and characters().issuperset(map(ord, text)) else f"label {number}")
    return shown, NOTE if any(name == f"label {n}" != names[n - 1] for n, name in enumerate(shown, 1)) else ""


def invisible(character: str) -> bool:
    """Return whether to leave out a character that shows nothing.

    It is a control character, or a format character or variation selector that no installed font has.
    """
    kind, point = unicodedata.category(character), ord(character)
    return kind == "Cc" or ((kind == "Cf" or 0xFE00 <= point <= 0xFE0F) and point not in characters())


def shortened(names: list[str], longest: int) -> list[str]:
    """Return names of at most `longest` characters, with an ellipsis in place of the middle of a longer one.

    Names that would then be equal end with their number, counted from 1.

    >>> shortened(["alt.atheism and religion", "alt.a", "question 1 of the form", "question 2 of the form"], 12)
    ['alt.at…igion', 'alt.a', 'questio… [3]', 'questio… [4]']
    """
    half = (longest - 1) // 2
    cut = [name if len(name) <= longest else f"{name[: longest - 1 - half]}…{name[-half:]}" for name in names]
    numbers = [f"… [{number}]" for number in range(1, len(names) + 1)]
    return [
        short if cut.count(short) == 1 else f"{name[: longest - len(number)]}{number}"
        for name, short, number in zip(names, cut, numbers, strict=True)
    ]
