"""Reviews as token ids.

In:  data/raw/*.parquet and the tokenizer in models/base/.
Out: data/tokens/{train,validation,test}.parquet with columns input_ids (special tokens included, no padding)
     and label; same rows in the same order. The settings and the model's limit on the length go with them.
"""

from typing import Annotated

import pandas as pd
from pydantic import Field
from tqdm import tqdm

from stages.files import BASE, RAW, TOKENS, read_table, write_table
from stages.run import main
from stages.settings.errors import InputError
from stages.text import Truncation, encode


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
