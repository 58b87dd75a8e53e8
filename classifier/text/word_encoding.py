"""Encode one text as token ids, with the word that each token belongs to."""

import bisect
import re
from dataclasses import dataclass
from typing import Any

from classifier.text.cleaning import clean_texts
from classifier.text.encoding import (
    PART_OF_PAIR,
    Truncation,
    Windows,
    count_special_tokens,
    cut_pair,
    cut_windows,
    special_tokens_of_pair,
)
from classifier.text.pairs import MARK, Text


@dataclass(frozen=True)
class WordEncoding:
    """One text as token ids, with the word that each token belongs to.

    Attributes:
        words: The words of the cleaned text, in their order. A word is what stands between white space. MARK stands
            between the words of the two texts of a pair; no token belongs to it.
        windows: The windows of the text, as `encode` returns them.
        word_numbers: For each window, the index in `words` of each token's word; -1 for a token without a word.
    """

    words: list[str]
    windows: Windows
    word_numbers: list[list[int]]


def encode_words(
    text: Text, tokenizer, max_length: int, truncation: Truncation, strip_markup: bool, windows: int = 1
) -> WordEncoding:
    """Return the windows of one text or one pair, as `encode` makes them, with the word of each token.

    A text with nothing to read has a window of special tokens.
    """
    settings = windows, max_length, truncation
    # Ids and numbers of words are cut together.
    if isinstance(text, str):
        words, tokens = words_and_tokens(text, tokenizer, strip_markup)
        kept = cut_windows(tokens, *settings, *count_special_tokens(tokenizer))
    else:
        before, between, after = ([(token, -1) for token in ids] for ids in special_tokens_of_pair(tokenizer))
        words, first = words_and_tokens(text[0], tokenizer, strip_markup, **PART_OF_PAIR)
        words.append(MARK)
        more, second = words_and_tokens(text[1], tokenizer, strip_markup, **PART_OF_PAIR)
        second = [(token, number if number < 0 else number + len(words)) for token, number in second]
        words += more
        cut = cut_pair((first, second), *settings, len(before + between + after))
        kept = [before + a + between + b + after for a, b in cut]
    ids, numbers = ([[token[place] for token in window] for window in kept] for place in (0, 1))
    return WordEncoding(words, ids, numbers)


def words_and_tokens(
    text: str, tokenizer, strip_markup: bool, **options: Any
) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the words of one string, and each token as (id, index of its word or -1). options: of the tokenizer."""
    (text,) = clean_texts([text], strip_markup)
    tokenized = tokenizer(text, return_offsets_mapping=True, truncation=False, verbose=False, **options)
    words = list(re.finditer(r"\S+", text))
    ends = [word.end() for word in words]
    numbers = [bisect.bisect_left(ends, end) if end > start else -1 for start, end in tokenized["offset_mapping"]]
    numbers = [-1 if number == len(words) else number for number in numbers]  # white space at the end may be a token
    return [word[0] for word in words], list(zip(tokenized["input_ids"], numbers, strict=True))
