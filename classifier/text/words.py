"""Words of a text: count them, and choose whether TF-IDF cuts texts into words or into characters."""

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

TEXTS_EXAMINED, CHARACTERS_EXAMINED = 500, 1000  # the first texts, and the first characters of each
WORD = re.compile(r"(?u)\b\w\w+\b")  # scikit-learn's default
UNSPACED = re.compile(  # scripts without spaces between words
    "[\u0e00-\u109f\u1780-\u17ff\u1950-\u19ff"  # Thai, Lao, Tibetan, Myanmar, Khmer, Tai
    "\u2e80-\u312f\u3190-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff]"  # Han and kana, not Hangul
)


def count_words(text: str) -> int:
    """Return the number of words of a text. In a script without spaces, each character counts as a word.

    >>> count_words("a great film"), count_words("这部 film")
    (3, 3)
    """
    return len((text if text.isascii() else UNSPACED.sub(r" \g<0> ", text)).split())


def choose_terms(texts: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Choose whether TF-IDF reads words or characters, by the beginnings of the first texts.

    A text counts as written in words if words make up at least half of its characters (white space aside) and at least
    one of them also occurs in another text. If fewer than half of the texts are written in words, the terms are
    characters. This is so for scripts without spaces between words, for emoji and single letters, and for names or
    numbers that do not recur.

    Returns:
        ("words" or "characters", the options with which scikit-learn's TfidfVectorizer cuts texts into these terms).
        The terms of TfidfVectorizer's default, words without combining marks, need no option.

    >>> choose_terms(["a great film", "the film was long"])
    ('words', {})
    >>> choose_terms(["这部电影很好看", "这部电影很无聊"])
    ('characters', {'analyzer': 'char'})
    """
    beginnings = [text[:CHARACTERS_EXAMINED].lower() for text in texts[:TEXTS_EXAMINED] if text.strip()]
    pattern = word_with_marks()
    words = [pattern.findall(UNSPACED.sub(" ", text)) for text in beginnings]
    texts_with = Counter(itertools.chain.from_iterable(map(set, words)))
    in_words = [
        2 * len("".join(text_words)) >= len("".join(text.split())) and any(texts_with[word] > 1 for word in text_words)
        for text, text_words in zip(beginnings, words, strict=True)
    ]
    if 2 * sum(in_words) < len(in_words):
        return "characters", {"analyzer": "char"}
    with_marks = [text_words != WORD.findall(text) for text, text_words in zip(beginnings, words, strict=True)]
    return "words", {"token_pattern": pattern.pattern} if 2 * sum(with_marks) > len(with_marks) else {}


@cache
def word_with_marks() -> re.Pattern[str]:
    r"""Return WORD extended by combining marks. WORD ends a word at each vowel sign of Hindi, which \w does not match.

    The pattern also matches the zero-width joiner and non-joiner (U+200D, U+200C), but no variation selector (U+FE00 to
    U+FE0F), which chooses the variant of an emoji.
    """
    characters = {*map(chr, range(0x300, 0x10000))} - {*map(chr, range(0xFE00, 0xFE10))}  # without variants of emoji
    marks = "".join(sorted(char for char in characters if unicodedata.category(char) in ("Mn", "Mc")))
    return re.compile(rf"(?u)\b\w(?:\w+|[{marks}\u200c\u200d]+)+")
