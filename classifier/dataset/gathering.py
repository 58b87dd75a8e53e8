"""The chosen rows' texts, fetched from the source in its order and written in the splits'."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from classifier.dataset.checking import selected_rows
from classifier.files.formats import metadata_bytes
from classifier.files.places import RAW
from classifier.files.writing import replaced
from classifier.params.catalogue import Dataset

CHUNK = 10_000  # rows at most that are held at a time while a split is written: a row group of its file
CHUNK_BYTES = 2**26  # of their texts, about


def write_splits(
    files: dict[str, list[Path]], splits: dict[str, pd.DataFrame], dataset: Dataset, check_unchanged: Callable
) -> None:
    """data/raw/{train,validation,test}.parquet: text, label, and in_train where the split has it.

    files: of each of the source's splits, as read_split read them; splits: what choose returns. check_unchanged: raises
    if the source is no longer what it was then; called before its texts are used, and at the end.
    The texts wait on the disk in a file without a name, which no end of this process, however sudden, leaves behind.
    """
    with replaced(RAW) as folder:
        for source, paths in files.items():
            own = {name: split for name, split in splits.items() if (name if name in files else "train") == source}
            chosen = np.unique(np.concatenate([split.index for split in own.values()]))
            with tempfile.TemporaryFile(dir=folder) as file:
                try:
                    ends = store_texts(paths, dataset, chosen, file)
                finally:
                    check_unchanged()
                for name, split in own.items():
                    places = np.searchsorted(chosen, split.index)
                    write_split(folder / f"{name}.parquet", split, places, ends, file, dataset)
        check_unchanged()


def store_texts(paths: list[Path], dataset: Dataset, chosen: np.ndarray, file: BinaryIO) -> np.ndarray:
    """Write the chosen rows' texts one after the other; returns where each ends, in bytes, after a 0 for the first.

    chosen: row numbers, sorted.
    """
    lengths, start = [np.zeros(1, dtype=np.int64)], 0
    for table in (table for path in paths for table in selected_rows(path, dataset)):
        first, last = np.searchsorted(chosen, (start, start + len(table)))
        texts = [str(text).encode() for text in table["text"].iloc[chosen[first:last] - start]]
        file.write(b"".join(texts))
        lengths.append(np.array(list(map(len, texts)), dtype=np.int64))
        start += len(table)
    return np.cumsum(np.concatenate(lengths))


def write_split(
    path: Path, split: pd.DataFrame, places: np.ndarray, ends: np.ndarray, file: BinaryIO, dataset: Dataset
) -> None:
    """One split as Parquet; its metadata have the data set's name, its labels, and what the texts were read from.

    places: of the rows' texts among those stored; ends: as store_texts returns them.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    def text_at(place: int) -> bytes:
        file.seek(ends[place])  # mapped into memory, what was read would count as this process's
        return file.read(ends[place + 1] - ends[place])

    types = {"text": pa.large_string(), "label": pa.int64(), "in_train": pa.bool_()}
    columns = [name for name in types if name == "text" or name in split]
    read = {name: getattr(dataset, name) for name in ("name", "labels", "separator")} | {"columns": dataset.text}
    metadata = metadata_bytes(read | {"huggingface": features(columns, dataset.labels)})
    schema = pa.schema({name: types[name] for name in columns}, metadata)
    rows = min(CHUNK, 1 + CHUNK_BYTES // int(np.diff(ends)[places].mean()))
    with ParquetWriter(path, schema) as writer:
        for start in range(0, len(split), rows):
            texts = pa.array(map(text_at, places[start : start + rows]), types["text"])
            others = split.iloc[start : start + rows]
            writer.write_table(pa.table([texts, *(others[name] for name in columns[1:])], schema=schema))


def features(columns: list[str], labels: list[str]) -> dict:
    """What `datasets.load_dataset("parquet", data_files=...)` reads the label names from."""
    from datasets import ClassLabel, Features, Value

    types = {"text": Value("string"), "label": ClassLabel(names=labels), "in_train": Value("bool")}
    schema = Features({name: types[name] for name in columns}).arrow_schema
    return json.loads(schema.metadata[b"huggingface"])
