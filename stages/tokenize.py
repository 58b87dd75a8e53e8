"""Encode the texts as token ids.

In:  data/raw/*.parquet and the tokenizer in models/base/.
Out: data/tokens/{train,validation,test}.arrow with the columns input_ids (special tokens included, no padding) and
     label, in the order of data/raw. In train, a row is a text. In validation and test, a row is a window of a text,
     and a third column, text, has the number of the text. The schema's metadata has the settings of this stage, and
     the data set's name, task, labels, text columns and separator. For pairs of texts it also has `pair`, true, and
     `token_types_after`, the id of the special token behind which the tokens have the type 1, or null for an encoder
     without token types. The files are Arrow streams, so that training can map them into memory.
"""

import importlib.util
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from tqdm import tqdm

from classifier.errors import InputError
from classifier.files.formats import metadata_bytes, metadata_of
from classifier.files.places import BASE, RAW, TOKENS
from classifier.files.writing import replace_folder
from classifier.params.settings import Param, Settings
from classifier.runner.run import main
from classifier.text.encoding import Truncation, encode, padding_id, special_tokens_of_pair
from classifier.text.pairs import texts_of

TEXTS_PER_BATCH = 4096
KEPT = ("name", "task", "labels", "columns", "separator")  # metadata of data/raw that the tokens keep


class TokenizeSettings(Settings):
    """The section `tokenize` of params.yaml."""

    windows: Annotated[int, Field(ge=1)]
    max_length: Annotated[int, Field(ge=8)]
    truncation: Truncation
    strip_markup: bool


def tokenize(*, settings: Annotated[TokenizeSettings, Param("tokenize")]) -> None:
    """Write data/tokens/. Raises InputError for a tokenizer, settings or a text that the pipeline cannot use."""
    from pyarrow.parquet import read_schema

    tokenizer = load_tokenizer(settings.max_length)
    stored = metadata_of(read_schema(RAW / "train.parquet"))  # as in validation and test
    metadata = {name: stored[name] for name in KEPT} | {"tokenize": settings.model_dump()}
    if stored.get("pair"):
        metadata |= {"pair": True, "token_types_after": token_types_after(tokenizer)}
    with replace_folder(TOKENS) as folder:
        for split in ("train", "validation", "test"):
            write_tokens(folder, split, tokenizer, metadata)


def load_tokenizer(max_length: int):
    """Return the tokenizer in models/base/.

    Raises:
        InputError: The tokenizer does not load or does not report the offsets of tokens, the model cannot pad
            texts or has no limit on their length, or `max_length` is above this limit.
    """
    from transformers import AutoConfig, AutoTokenizer

    check_sentencepiece()
    try:
        tokenizer = AutoTokenizer.from_pretrained(BASE, local_files_only=True)
    except (ImportError, ValueError) as error:  # some kinds need a package that is not installed
        problem = (str(error).strip() or repr(error)).splitlines()[0]
        raise InputError(f"{BASE}: the tokenizer does not load: {problem}; choose another model") from error
    if not tokenizer.is_fast:
        kind = type(tokenizer).__name__
        raise InputError(f"{BASE}: its {kind} does not report the offsets of tokens; choose another model")
    config = AutoConfig.from_pretrained(BASE, local_files_only=True)
    if padding_id(config, tokenizer) is None:
        raise InputError(f"{BASE}: neither config.json nor the tokenizer has a padding token; choose another model")
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and positions < 1:
        raise InputError(f"{BASE}: config.json sets no limit on a text's length, like XLNet's; choose another model")
    limit = min(tokenizer.model_max_length, positions or tokenizer.model_max_length)
    if max_length > limit:
        problem = f"{max_length} is above the model's limit of {limit} tokens"
        raise InputError(f"params.yaml: tokenize.max_length: {problem}; lower it")
    return tokenizer


def check_sentencepiece() -> None:
    """Raise InputError if the tokenizer has to be made of a SentencePiece model, and its package is not installed."""
    ready = any((BASE / name).is_file() for name in ("tokenizer.json", "vocab.txt", "vocab.json"))
    models = [path.name for path in BASE.glob("*.model")]
    if models and not ready and importlib.util.find_spec("sentencepiece") is None:
        install = "`uv pip install --group sentencepiece -c requirements.txt`"
        raise InputError(f"{BASE / models[0]}: needs the package sentencepiece; install it with {install}")


def write_tokens(folder: Path, split: str, tokenizer, metadata: dict[str, Any]) -> None:
    """Write the token ids of one split, batch by batch; memory does not grow with the number of texts.

    Args:
        folder: The folder to write to.
        split: train, validation or test.
        tokenizer: The tokenizer.
        metadata: The metadata of the file. `tokenize` has the settings. A text of train has one window, whatever
            `windows` says.

    Raises:
        InputError: The tokenizer finds only special tokens in a text. The network would label it nevertheless.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    texts = ParquetFile(RAW / f"{split}.parquet", pre_buffer=False)
    is_train = split == "train"
    types = {"input_ids": pa.list_(pa.int32()), "label": texts.schema_arrow.field("label").type}
    types |= {} if is_train else {"text": pa.int64()}
    schema = pa.schema(types, metadata_bytes(metadata))
    options = metadata["tokenize"] | ({"windows": 1} if is_train else {})
    text_columns, done = [name for name in ("text", "text_pair") if name in texts.schema_arrow.names], 0
    with (
        pa.ipc.new_stream(folder / f"{split}.arrow", schema) as out,
        tqdm(total=texts.metadata.num_rows, desc=f"tokenize {split}", unit="text", disable=None) as bar,
    ):
        for batch in texts.iter_batches(TEXTS_PER_BATCH, columns=[*text_columns, "label"]):
            batch_texts = texts_of(batch)
            encoded = encode(batch_texts, tokenizer, **options)
            for number, windows in enumerate(encoded):
                if not windows:
                    place = f"{RAW / split}.parquet: row {done + number + 1}"
                    problem = f"the tokenizer finds nothing to read in {batch_texts[number]!r:.40}"
                    raise InputError(f"{place}: {problem}; remove the text from the data set or choose another model")
            positions = np.repeat(np.arange(batch.num_rows), [len(windows) for windows in encoded])
            input_ids = [ids for windows in encoded for ids in windows]
            columns = {
                "input_ids": input_ids,
                "label": batch["label"].take(pa.array(positions)),
                "text": done + positions,
            }
            out.write_batch(pa.record_batch([pa.array(columns[name], types[name]) for name in types], schema))
            done += batch.num_rows
            bar.update(batch.num_rows)


def token_types_after(tokenizer) -> int | None:
    """Return the id of the special token after the first text of a pair.

    None if the encoder has no token types, or the tokenizer gives both texts the same type.
    """
    from transformers import AutoConfig

    types = getattr(AutoConfig.from_pretrained(BASE, local_files_only=True), "type_vocab_size", 0)
    between = special_tokens_of_pair(tokenizer)[1]
    has_types = types >= 2 and 1 in tokenizer("a", "a", return_token_type_ids=True)["token_type_ids"]
    return between[0] if has_types and between else None


if __name__ == "__main__":
    main(tokenize)
