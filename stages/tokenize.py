"""Texts as token ids.

In:  data/raw/*.parquet and the tokenizer in models/base/.
Out: data/tokens/{train,validation,test}.arrow with columns input_ids (special tokens included, no padding) and label;
     same rows in the same order. Of a long text, validation and test have a row for each of its windows, and a column
     text with the text's number. The settings go with them, and what data/raw says of the texts. The files are Arrow
     streams, so that training can map them into memory.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from tqdm import tqdm

from classifier.errors import InputError
from classifier.files.formats import metadata_bytes, metadata_of
from classifier.files.places import BASE, RAW, TOKENS
from classifier.files.writing import replaced
from classifier.params.settings import Param, Settings
from classifier.runner.run import main
from classifier.text.encoding import Truncation, encode, special_ids

ROWS = 4096  # to tokenize at a time


class TokenizeSettings(Settings):
    """The section `tokenize` of params.yaml."""

    max_length: Annotated[int, Field(ge=8)]
    truncation: Truncation
    windows: Annotated[int, Field(ge=1)]
    strip_markup: bool


def tokenize(*, settings: Annotated[TokenizeSettings, Param("tokenize")]) -> None:
    """Tokenize all splits."""
    from transformers import AutoConfig, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(BASE, local_files_only=True)
    except (ImportError, ValueError) as error:  # a kind that asks for a package
        problem = (str(error).strip() or repr(error)).splitlines()[0]
        raise InputError(f"{BASE}: its tokenizer does not load: {problem}") from error
    if not tokenizer.is_fast:
        kind = type(tokenizer).__name__
        raise InputError(f"{BASE}: its {kind} does not say where in a text a token stands; choose another model")
    config = AutoConfig.from_pretrained(BASE, local_files_only=True)
    if getattr(config, "pad_token_id", None) is None:
        raise InputError(f"{BASE}: its config.json names no pad_token_id, so texts cannot form batches; choose another")
    limit = getattr(config, "max_position_embeddings", None)
    if limit is not None and limit < 1:
        raise InputError(f"{BASE}: its config.json sets no limit on a text's length, as XLNet's; choose another")
    limit = min(tokenizer.model_max_length, limit or tokenizer.model_max_length)
    if settings.max_length > limit:
        setting = f"tokenize.max_length: {settings.max_length}"
        raise InputError(f"params.yaml: {setting} is above the model's limit of {limit}")
    with replaced(TOKENS) as folder:
        for split in ("train", "validation", "test"):
            write_tokens(folder, split, tokenizer, settings.model_dump())


def write_tokens(folder: Path, split: str, tokenizer, settings: dict[str, Any]) -> None:
    """Stream the texts of one split through the tokenizer; memory does not grow with their number.

    Raises InputError for a text that is special tokens alone, which a network would answer for all the same.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    texts = ParquetFile(RAW / f"{split}.parquet", pre_buffer=False)
    read = metadata_of(texts.schema_arrow)
    metadata = {name: read[name] for name in ("name", "labels", "columns", "separator")} | {"tokenize": settings}
    trained_on = split == "train"
    own = settings | {"windows": 1} if trained_on else settings
    columns = {"input_ids": pa.list_(pa.int32()), "label": pa.int64()} | ({} if trained_on else {"text": pa.int64()})
    schema = pa.schema(columns, metadata_bytes(metadata))
    done, special = 0, special_ids(tokenizer)
    with (
        pa.ipc.new_stream(folder / f"{split}.arrow", schema) as out,
        tqdm(total=texts.metadata.num_rows, desc=f"tokenize {split}", unit="text", disable=None) as bar,
    ):
        for batch in texts.iter_batches(ROWS, columns=["text", "label"]):
            part = batch["text"].to_pylist()
            windows = encode(part, tokenizer, **own)
            for number, of_text in enumerate(windows):
                if special.issuperset(of_text[0]):
                    raise InputError(
                        f"{RAW}: {split}, row {done + number + 1}: the tokenizer finds nothing to read in "
                        f"{part[number]!r:.40}; drop this text from the data set, or choose another model"
                    )
            place = np.repeat(np.arange(batch.num_rows), [len(of_text) for of_text in windows])
            rows = {"input_ids": [ids for of_text in windows for ids in of_text]}
            rows |= {"label": batch["label"].to_numpy()[place], "text": done + place}
            out.write_batch(pa.record_batch([pa.array(rows[name], columns[name]) for name in columns], schema))
            done += batch.num_rows
            bar.update(batch.num_rows)


if __name__ == "__main__":
    main(tokenize)
