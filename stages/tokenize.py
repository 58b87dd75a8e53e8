"""Reviews as token ids.

In:  data/raw/*.parquet and the tokenizer in models/base/.
Out: data/tokens/{train,validation,test}.parquet with columns input_ids (special tokens included, no padding)
     and label; same rows in the same order. The settings and the model's limit on the length go with them.
"""

import re
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field
from tqdm import tqdm

from stages.files import BASE, RAW, TOKENS, read_table, write_table
from stages.params import InputError
from stages.run import main

MARKUP = re.compile(r"</?[A-Za-z][^<>]*>")  # <br />, <i>; but not "<3"

Truncation = Literal["head", "tail", "head+tail"]


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


def encode(texts: list[str], tokenizer, max_length: int, truncation: Truncation, strip_markup: bool):
    """Token ids of each text: a list of lists of ints, each at most max_length long."""
    if strip_markup:
        texts = [MARKUP.sub(" ", text) for text in texts]
    empty = tokenizer("", add_special_tokens=True)["input_ids"]
    prefix = len(empty) // 2  # [CLS] | [SEP], <s> | </s>; a lone special token ends the text
    encoded = tokenizer(texts, add_special_tokens=True, truncation=False, verbose=False)["input_ids"]
    return [truncate(ids, max_length, truncation, prefix, len(empty) - prefix) for ids in encoded]


def tokenize(
    *,
    max_length: Annotated[int, Field(ge=8)],
    truncation: Truncation,
    strip_markup: bool,
) -> None:
    """Tokenize all splits.

    max_length: tokens, special ones included; truncation: which part of a longer text is kept;
    strip_markup: put a space for each HTML tag.
    """
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE, local_files_only=True)
    limit = getattr(AutoConfig.from_pretrained(BASE, local_files_only=True), "max_position_embeddings", None)
    limit = min(tokenizer.model_max_length, limit or tokenizer.model_max_length)
    if max_length > limit:
        raise InputError(f"params.yaml: tokenize.max_length: {max_length} is above the model's limit of {limit}")
    settings = {"max_length": max_length, "truncation": truncation, "strip_markup": strip_markup}
    for split in tqdm(("train", "validation", "test"), desc="tokenize", unit="split", disable=None):
        frame, metadata = read_table(RAW / f"{split}.parquet")
        ids = encode(frame["text"].tolist(), tokenizer, **settings)
        tokens = pd.DataFrame({"input_ids": ids, "label": frame["label"]})
        write_table(TOKENS / f"{split}.parquet", tokens, labels=metadata["labels"], tokenize=settings, limit=limit)


if __name__ == "__main__":
    main(tokenize)
