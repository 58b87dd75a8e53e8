"""A text as token ids: cleaned, tokenized, and the middle of a long one cut out."""

import bisect
import itertools
import re
from typing import Literal

from classifier.text.cleaning import cleaned

Truncation = Literal["head", "tail", "head+tail"]
CHARACTERS = 4_000_000  # to tokenize at once; of each the tokenizer needs some 33 bytes


def truncate(ids: list[int], max_length: int, truncation: Truncation, prefix: int, suffix: int) -> list[int]:
    """Cut the middle (head+tail), the end (head) or the beginning (tail) out of one text's token ids.

    ids: with `prefix` special tokens before and `suffix` after the text; these stay. head+tail keeps a quarter
    of the room for the beginning and the rest for the end, the proportion of Sun et al. 2019, "How to
    Fine-Tune BERT for Text Classification?", where it did best on IMDb.

    >>> truncate([101, 1, 2, 3, 4, 5, 6, 102], 6, "head+tail", 1, 1)
    [101, 1, 4, 5, 6, 102]
    """
    if len(ids) <= max_length:
        return ids
    room = max_length - prefix - suffix
    head = prefix + {"head": room, "tail": 0, "head+tail": room // 4}[truncation]
    return ids[:head] + ids[len(ids) - (max_length - head) :]


def windows_of(
    ids: list[int], windows: int, max_length: int, truncation: Truncation, prefix: int, suffix: int
) -> list[list[int]]:
    """The parts of one text whose scores are averaged: as many of max_length as fit beside each other, at most
    `windows`, from its beginning to its end at equal distances; of a text in which fewer than two fit, what truncate
    leaves.

    >>> windows_of([101, 1, 2, 3, 4, 5, 6, 7, 102], 2, 5, "head", 1, 1)
    [[101, 1, 2, 3, 102], [101, 5, 6, 7, 102]]
    """
    room, body = max_length - prefix - suffix, len(ids) - prefix - suffix
    if (count := min(windows, body // room)) < 2:
        return [truncate(ids, max_length, truncation, prefix, suffix)]
    starts = [prefix + round(number * (body - room) / (count - 1)) for number in range(count)]
    return [ids[:prefix] + ids[start : start + room] + ids[len(ids) - suffix :] for start in starts]


def special_tokens(tokenizer) -> tuple[int, int]:
    """How many stand before and after each text."""
    mask = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    return mask.index(0), mask[::-1].index(0)


def special_ids(tokenizer) -> set[int]:
    """The ids that stand for no text. Of a text that has no others a network would make an answer all the same."""
    return {*tokenizer.all_special_ids} - {tokenizer.unk_token_id}


def encode(texts: list[str], tokenizer, max_length: int, truncation: Truncation, strip_markup: bool, windows: int = 1):
    """Token ids of each text: a list of its windows, one if not told otherwise, each a list of ints of at most
    max_length.
    """
    texts, special, encoded = cleaned(texts, strip_markup), special_tokens(tokenizer), []
    ends = itertools.accumulate(map(len, texts))
    for _, part in itertools.groupby(zip(ends, texts, strict=True), key=lambda pair: pair[0] // CHARACTERS):
        found = tokenizer([text for _, text in part], add_special_tokens=True, truncation=False, verbose=False)
        encoded += [windows_of(ids, windows, max_length, truncation, *special) for ids in found["input_ids"]]
    return encoded


def encode_words(text: str, tokenizer, max_length: int, truncation: Truncation, strip_markup: bool, windows: int = 1):
    """(windows of one text, as encode makes them; its words; and for each window the number of each token's
    word, -1 for a special token).
    """
    (text,) = cleaned([text], strip_markup)
    encoded = tokenizer(text, return_offsets_mapping=True, truncation=False, verbose=False)
    words = list(re.finditer(r"\S+", text))
    ends = [word.end() for word in words]
    owners = [bisect.bisect_left(ends, end) if end > start else -1 for start, end in encoded["offset_mapping"]]
    owners = [-1 if owner == len(words) else owner for owner in owners]  # white space at the end, where it is a token
    kept = windows_of(list(range(len(owners))), windows, max_length, truncation, *special_tokens(tokenizer))
    ids, owned = ([[values[i] for i in places] for places in kept] for values in (encoded["input_ids"], owners))
    return ids, [word[0] for word in words], owned
