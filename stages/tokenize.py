"""Encode the texts as token ids.

In:  data/raw/*.parquet and the tokenizer in models/base/.
Out: data/tokens/{train,validation,test}.arrow with the columns input_ids (special tokens included, no padding) and
     label, in the order of data/raw. In train, a row is a text. In validation and test, a row is a window of a text,
     and a third column, text, has the number of the text. The schema's metadata has the settings of this stage, and
     the data set's name, task, labels, text columns and separator. For pairs of texts it also has `pair`, true, and
     `token_types_after`, the id of the special token behind which the tokens have the type 1, or null for an encoder
     without token types. The files are Arrow streams, so that training can map them into memory.

With LAUNCH in the environment, several processes share the texts. The bytes of the files stay the same.
"""

import importlib.util
import itertools
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from tqdm import tqdm

from classifier.distributed.processes import ALONE, Processes
from classifier.distributed.shares import join_shares, share_path
from classifier.errors import InputError
from classifier.files.formats import metadata_of, metadata_strings
from classifier.files.places import BASE, RAW, SPLITS, TOKENS
from classifier.files.writing import replace_folder
from classifier.params.settings import Param, Settings
from classifier.runner.run import main
from classifier.text.encoding import Truncation, Windows, encode, padding_id, token_types_after
from classifier.text.pairs import texts_of

TEXTS_PER_BATCH = 4096
NO_SHARED_FOLDER = "has another data/tokens.part than rank 0; a folder on a shared disk is needed"
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
    from transformers import AutoConfig

    processes = Processes.connect()
    tokenizer = load_tokenizer(settings.max_length)
    stored = metadata_of(read_schema(RAW / "train.parquet"))  # as in validation and test
    metadata = {name: stored[name] for name in KEPT} | {"tokenize": settings.model_dump()}
    if stored.get("pair"):
        config = AutoConfig.from_pretrained(BASE, local_files_only=True)
        metadata |= {"pair": True, "token_types_after": token_types_after(config, tokenizer)}
    with replace_folder(TOKENS) if processes.is_rank_0 else nullcontext() as new_folder:
        folder = processes.broadcast(new_folder)
        processes.check_equal(repr(folder.is_dir() and [*folder.iterdir()]), NO_SHARED_FOLDER)
        with processes.ending_together():  # so that no rank starts another stage before this one has ended
            with processes.ending_together():
                for split in SPLITS:
                    write_tokens(share_path(folder, split, processes), split, tokenizer, metadata, processes)
            if processes.is_rank_0 and processes.count > 1:
                for split in SPLITS:
                    join_shares(folder, split, processes.count)


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


def write_tokens(path: Path, split: str, tokenizer, metadata: dict[str, Any], processes: Processes = ALONE) -> None:
    """Write the token ids of one split, batch by batch; memory does not grow with the number of texts.

    Args:
        path: The file to write.
        split: train, validation or test.
        tokenizer: The tokenizer.
        metadata: The metadata of the file. `tokenize` has the settings. A text of train has one window, whatever
            `windows` says.
        processes: The processes that share the texts: each takes every count-th batch.

    Raises:
        InputError: The tokenizer finds only special tokens in a text. The network would label it nevertheless.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    texts = ParquetFile(RAW / f"{split}.parquet", pre_buffer=False)
    is_train = split == "train"
    types = {"input_ids": pa.list_(pa.int32()), "label": texts.schema_arrow.field("label").type}
    types |= {} if is_train else {"text": pa.int64()}
    schema = pa.schema(types, metadata_strings(metadata))
    options = metadata["tokenize"] | ({"windows": 1} if is_train else {})
    columns = [name for name in ("text", "text_pair", "label") if name in texts.schema_arrow.names]
    done = 0
    with (
        pa.ipc.new_stream(path, schema) as out,
        tqdm(total=texts.metadata.num_rows, desc=f"tokenize {split}", unit="text", disable=None) as bar,
    ):
        for number, batch in enumerate(texts.iter_batches(TEXTS_PER_BATCH, columns=columns)):
            if number % processes.count == processes.rank:
                windows = windows_of(batch, f"{RAW / split}.parquet", done, tokenizer, options)
                out.write_batch(tokens_of(batch, windows, done, schema))
            done += batch.num_rows
            bar.update(batch.num_rows)


def windows_of(batch, file: str, row: int, tokenizer, options: dict[str, Any]) -> list[Windows]:
    """Return the windows of each text of a batch. Raises InputError for a text with only special tokens.

    Args:
        batch: The pyarrow RecordBatch of the texts.
        file: The name of their file.
        row: The number of the first text in it, from 0.
        tokenizer: The tokenizer.
        options: The settings of this stage.
    """
    texts = texts_of(batch)
    encoded = encode(texts, tokenizer, **options)
    for number, windows in enumerate(encoded):
        if not windows:
            problem = f"the tokenizer finds nothing to read in {texts[number]!r:.40}"
            raise InputError(
                f"{file}: row {row + number + 1}: {problem}; remove the text from the data set or choose another model"
            )
    return encoded


def tokens_of(batch, windows: list[Windows], row: int, schema):
    """Return the pyarrow RecordBatch of the windows of texts, with the columns of `schema`.

    Args:
        batch: The texts with their labels.
        windows: The windows of each text.
        row: The number of the first text in the split.
        schema: The pyarrow schema.
    """
    import pyarrow as pa

    positions = np.repeat(np.arange(batch.num_rows), list(map(len, windows)))
    columns = {
        "input_ids": list(itertools.chain.from_iterable(windows)),
        "label": batch["label"].take(pa.array(positions)),
        "text": row + positions,
    }
    return pa.record_batch([pa.array(columns[field.name], field.type) for field in schema], schema)


if __name__ == "__main__":
    main(tokenize, distributed=True)
