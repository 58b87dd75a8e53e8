"""Encode texts as token ids: clean a text, tokenize it, and cut a long text to one or several windows."""

import bisect
import itertools
import math
import re
from dataclasses import dataclass
from typing import Literal

from classifier.text.cleaning import clean_texts

Truncation = Literal["head", "tail", "head+tail"]
Windows = list[list[int]]  # the windows of one text, each a list of token ids
CHARACTERS_PER_CALL = 4_000_000  # in one call of the tokenizer, which needs about 33 bytes of memory per character


@dataclass(frozen=True)
class WordEncoding:
    """One text as token ids, with the word that each token belongs to.

    Attributes:
        words: The words of the cleaned text, in their order. A word is what stands between white space.
        windows: The windows of the text, as `encode` returns them.
        word_numbers: For each window, the index in `words` of each token's word; -1 for a token without a word.
    """

    words: list[str]
    windows: Windows
    word_numbers: list[list[int]]


def truncate(ids: list[int], max_length: int, truncation: Truncation, prefix: int, suffix: int) -> list[int]:
    """Return the token ids of one text, cut to `max_length`; the special tokens stay.

    Args:
        ids: The token ids, special tokens included.
        max_length: The number of ids to return at most.
        truncation: The part of the text to keep. "head" keeps the beginning and "tail" the end. "head+tail" keeps a
            quarter of the ids from the beginning and the rest from the end. In this proportion head+tail did best on
            IMDb in Sun et al. 2019, "How to Fine-Tune BERT for Text Classification?".
        prefix: The number of special tokens before the text.
        suffix: The number of special tokens after the text.

    >>> truncate([101, 1, 2, 3, 4, 5, 6, 102], 6, "head+tail", 1, 1)
    [101, 1, 4, 5, 6, 102]
    """
    if len(ids) <= max_length:
        return ids
    room = max_length - prefix - suffix
    head = prefix + {"head": room, "tail": 0, "head+tail": room // 4}[truncation]
    return ids[:head] + ids[len(ids) - (max_length - head) :]


def cut_windows(
    ids: list[int], max_windows: int, max_length: int, truncation: Truncation, prefix: int, suffix: int
) -> Windows:
    """Return the windows of one text. The caller averages the scores of the windows.

    As many windows of `max_length` as fit into the text side by side are returned, at most `max_windows`. They are
    spread evenly from the beginning of the text to its end, and the tokens between two windows are left out. If fewer
    than two windows fit, the truncated text is the only window. The other arguments are those of `truncate`.

    >>> cut_windows([101, 1, 2, 3, 4, 5, 6, 7, 102], 2, 5, "head", 1, 1)
    [[101, 1, 2, 3, 102], [101, 5, 6, 7, 102]]
    """
    room, body = max_length - prefix - suffix, len(ids) - prefix - suffix
    if (count := min(max_windows, body // room)) < 2:
        return [truncate(ids, max_length, truncation, prefix, suffix)]
    starts = [prefix + round(number * (body - room) / (count - 1)) for number in range(count)]
    return [ids[:prefix] + ids[start : start + room] + ids[len(ids) - suffix :] for start in starts]


def count_special_tokens(tokenizer) -> tuple[int, int]:
    """Return how many special tokens the tokenizer puts before and after a text."""
    mask = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    return mask.index(0), mask[::-1].index(0)


def padding_id(config, tokenizer) -> int | None:
    """Return the id of the token that pads texts: that of the model's config, or else of the tokenizer.

    A tokenizer without a padding token pads with its end token. A token that the model has no embedding for is skipped.
    None: there is no such token.
    """
    size = getattr(config, "vocab_size", None) or math.inf
    ids = (getattr(config, "pad_token_id", None), tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((number for number in ids if number is not None and 0 <= number < size), None)


def special_ids(tokenizer) -> set[int]:
    """Return the ids of the special tokens, except the token for unknown words.

    A text with no other ids has nothing to read, but the network would give it a label all the same.
    """
    return {*tokenizer.all_special_ids} - {tokenizer.unk_token_id}


def encode(
    texts: list[str], tokenizer, max_length: int, truncation: Truncation, strip_markup: bool, windows: int = 1
) -> list[Windows]:
    """Return the windows of each text: at most `windows` lists of at most `max_length` token ids.

    The settings are those of the section `tokenize` of params.yaml.
    """
    texts, counts, encoded = clean_texts(texts, strip_markup), count_special_tokens(tokenizer), []
    ends = itertools.accumulate(map(len, texts))
    for _, group in itertools.groupby(zip(ends, texts, strict=True), key=lambda pair: pair[0] // CHARACTERS_PER_CALL):
        tokenized = tokenizer([text for _, text in group], add_special_tokens=True, truncation=False, verbose=False)
        encoded += [cut_windows(ids, windows, max_length, truncation, *counts) for ids in tokenized["input_ids"]]
    return encoded


def encode_words(
    text: str, tokenizer, max_length: int, truncation: Truncation, strip_markup: bool, windows: int = 1
) -> WordEncoding:
    """Return one text's windows, as `encode` makes them, with the word of each token."""
    (text,) = clean_texts([text], strip_markup)
    tokenized = tokenizer(text, return_offsets_mapping=True, truncation=False, verbose=False)
    words = list(re.finditer(r"\S+", text))
    ends = [word.end() for word in words]
    numbers = [bisect.bisect_left(ends, end) if end > start else -1 for start, end in tokenized["offset_mapping"]]
    numbers = [-1 if number == len(words) else number for number in numbers]  # white space at the end may be a token
    # Positions are cut and not token ids, so that the ids and the numbers of the words can both be taken from them.
    positions = list(range(len(numbers)))
    kept = cut_windows(positions, windows, max_length, truncation, *count_special_tokens(tokenizer))

    def at_kept_positions(values: list[int]) -> list[list[int]]:
        return [[values[position] for position in window] for window in kept]

    ids = tokenized["input_ids"]
    return WordEncoding([word[0] for word in words], at_kept_positions(ids), at_kept_positions(numbers))
