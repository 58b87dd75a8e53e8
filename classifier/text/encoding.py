"""Encode texts as token ids: clean a text, tokenize it, and cut a long text to one or several windows.

The two texts of a pair are tokenized one by one and cut so that both fit into a window (`cut_pair`). They are then put
between the special tokens that the tokenizer has for a pair, such as `[CLS] a [SEP] b [SEP]`.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any, Literal

from classifier.text.cleaning import clean_texts
from classifier.text.pairs import Text

Truncation = Literal["head", "tail", "head+tail"]
Windows = list[list[int]]  # the windows of one text, each a list of token ids
# How the texts of a pair are tokenized. A "[SEP]" in a text is read as text: as a token it would end the first text.
PART_OF_PAIR = {"add_special_tokens": False, "split_special_tokens": True}
CHARACTERS_PER_CALL = 4_000_000  # in one call of the tokenizer, which needs about 33 bytes of memory per character


def truncate(ids: list, max_length: int, truncation: Truncation, prefix: int = 0, suffix: int = 0) -> list:
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
    ids: list, max_windows: int, max_length: int, truncation: Truncation, prefix: int = 0, suffix: int = 0
) -> list[list]:
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


def cut_pair(
    pair: tuple[list, list], max_windows: int, max_length: int, truncation: Truncation, special: int
) -> list[tuple[list, list]]:
    """Return the windows of a pair: in each, the two texts without special tokens.

    A pair that fits into `max_length` is the only window. Otherwise the longer text is cut. The shorter text stays
    whole if it takes at most half of the room, and is cut to this half if not, as by `longest_first` of transformers.
    Each window has a part of the longer text, and the same shorter text.

    Args:
        pair: The token ids of the two texts.
        special: The number of special tokens of a pair.
        max_windows, max_length, truncation: As in `cut_windows`.

    >>> cut_pair(([1, 2], [3, 4, 5, 6, 7, 8, 9]), 2, 8, "head", 3)
    [([1, 2], [3, 4, 5]), ([1, 2], [7, 8, 9])]
    """
    room = max_length - special
    if sum(map(len, pair)) <= room:
        return [pair]
    longer = int(len(pair[1]) >= len(pair[0]))
    shorter = truncate(pair[1 - longer], room // 2, truncation)
    windows = cut_windows(pair[longer], max_windows, room - len(shorter), truncation)
    return [(shorter, window) if longer else (window, shorter) for window in windows]


def count_special_tokens(tokenizer) -> tuple[int, int]:
    """Return how many special tokens the tokenizer puts before and after a text."""
    mask = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    return mask.index(0), mask[::-1].index(0)


def special_tokens_of_pair(tokenizer) -> list[list[int]]:
    """Return the ids of the special tokens before the first text of a pair, between the two texts, and after them."""
    encoded, special = tokenizer("a", "a"), [[]]
    for token, text in zip(encoded["input_ids"], encoded.sequence_ids(), strict=True):
        if text is None:
            special[-1].append(token)
        elif text == len(special) - 1:  # the first token of a text
            special.append([])
    return special


def token_types_after(config, tokenizer) -> int | None:
    """Return the id of the special token after the first text of a pair, or None.

    The result is None if the encoder has no token types, if the tokenizer gives both texts the same type, or if no
    special token stands between the texts.
    """
    types = getattr(config, "type_vocab_size", 0)
    between = special_tokens_of_pair(tokenizer)[1]
    has_types = types >= 2 and 1 in tokenizer("a", "a", return_token_type_ids=True)["token_type_ids"]
    return between[0] if has_types and between else None


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
    texts: list[Text], tokenizer, max_length: int, truncation: Truncation, strip_markup: bool, windows: int = 1
) -> list[Windows]:
    """Return the windows of each text: at most `windows` lists of at most `max_length` token ids.

    A text in which the tokenizer finds nothing but special tokens has no window, and neither has a pair with such a
    text. The settings are those of the section `tokenize` of params.yaml.

    Args:
        texts: Texts, or pairs of texts.
    """
    nothing, settings = special_ids(tokenizer), (windows, max_length, truncation)
    if not texts or isinstance(texts[0], str):
        counts = count_special_tokens(tokenizer)
        ids = token_ids(clean_texts(texts, strip_markup), tokenizer, add_special_tokens=True)
        encoded = [cut_windows(of_text, *settings, *counts) for of_text in ids]
        return [[] if nothing.issuperset(of_text[0]) else of_text for of_text in encoded]
    before, between, after = special_tokens_of_pair(tokenizer)
    special = len(before + between + after)
    ids = token_ids(clean_texts([*itertools.chain(*texts)], strip_markup), tokenizer, **PART_OF_PAIR)
    encoded = [cut_pair(pair, *settings, special) for pair in zip(ids, ids, strict=True)]  # two by two
    return [
        [] if any(map(nothing.issuperset, of_pair[0])) else [before + a + between + b + after for a, b in of_pair]
        for of_pair in encoded
    ]


def token_ids(texts: list[str], tokenizer, **options: Any) -> Iterator[list[int]]:
    """Yield the uncut token ids of each text. options: of the tokenizer."""
    ends = itertools.accumulate(map(len, texts))
    for _, group in itertools.groupby(zip(ends, texts, strict=True), key=lambda pair: pair[0] // CHARACTERS_PER_CALL):
        yield from tokenizer([text for _, text in group], truncation=False, verbose=False, **options)["input_ids"]
