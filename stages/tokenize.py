"""Texts as token ids.

In:  data/raw/*.parquet and the tokenizer in models/base/.
Out: data/tokens/{train,validation,test}.arrow with columns input_ids (special tokens included, no padding) and label;
     same rows in the same order. The settings and the model's limit on the length go with them. The files are Arrow
     streams, so that training can map them into memory.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from tqdm import tqdm

from stages.files import BASE, RAW, TOKENS, metadata_bytes, metadata_of, replaced
from stages.run import main
from stages.settings.errors import InputError
from stages.text import Truncation, encode

ROWS = 4096  # to tokenize at a time


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
    config = AutoConfig.from_pretrained(BASE, local_files_only=True)
    if getattr(config, "pad_token_id", None) is None:
        raise InputError(f"{BASE}: its config.json names no pad_token_id, so texts cannot form batches; choose another")
    limit = getattr(config, "max_position_embeddings", None)
    limit = min(tokenizer.model_max_length, limit or tokenizer.model_max_length)
    if max_length > limit:
        raise InputError(f"params.yaml: tokenize.max_length: {max_length} is above the model's limit of {limit}")
    settings = {"max_length": max_length, "truncation": truncation, "strip_markup": strip_markup}
    with replaced(TOKENS) as folder:
        for split in ("train", "validation", "test"):
            write_tokens(folder, split, tokenizer, settings, limit)


def write_tokens(folder: Path, split: str, tokenizer, settings: dict[str, Any], limit: int) -> None:
    """Stream the texts of one split through the tokenizer; memory does not grow with their number."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    texts = ParquetFile(RAW / f"{split}.parquet", pre_buffer=False)
    labels = metadata_of(texts.schema_arrow)["labels"]
    schema = pa.schema(
        {"input_ids": pa.list_(pa.int32()), "label": pa.int64()},
        metadata_bytes({"labels": labels, "tokenize": settings, "limit": limit}),
    )
    with (
        pa.ipc.new_stream(folder / f"{split}.arrow", schema) as out,
        tqdm(total=texts.metadata.num_rows, desc=f"tokenize {split}", unit="text", disable=None) as bar,
    ):
        for batch in texts.iter_batches(ROWS, columns=["text", "label"]):
            ids = encode(batch["text"].to_pylist(), tokenizer, **settings)
            out.write_batch(pa.record_batch([pa.array(ids, schema.field("input_ids").type), batch["label"]], schema))
            bar.update(batch.num_rows)


if __name__ == "__main__":
    main(tokenize)
