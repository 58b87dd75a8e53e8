"""Read the texts of the chosen rows in the order of the source, and write them in the order of the splits."""

import json
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from classifier.dataset.selected_rows import read_selected_rows, slice_column
from classifier.dataset.selection import Source
from classifier.files.formats import metadata_strings
from classifier.files.places import RAW
from classifier.files.writing import replace_folder
from classifier.params.datasets import Dataset
from classifier.tasks.task import TASKS

# The largest row group of a split's file. A row group is in memory while it is written.
ROWS_PER_GROUP = 10_000
BYTES_PER_GROUP = 2**26  # of texts, if they have the split's mean length


class TextSpool:
    """Texts in a file, fetched by number. Memory grows by 8 bytes a text, for its end in the file.

    The texts of a row follow each other: its text or both texts of a pair, then the values of its slices.
    """

    def __init__(self, file: BinaryIO):
        self.file = file
        self.ends = array("q", [0])  # where each text ends, in bytes; a 0 for the beginning of the first

    def append(self, text: str) -> None:
        self.ends.append(self.ends[-1] + self.file.write(text.encode()))

    def get(self, number: int) -> str:
        # The file is read and not mapped into memory: the pages of a map would count as memory of this process.
        self.file.seek(self.ends[number])
        return self.file.read(self.ends[number + 1] - self.ends[number]).decode()


def write_splits(source: Source, splits: dict[str, pd.DataFrame], dataset: Dataset) -> None:
    """Write data/raw/{train,validation,test}.parquet with the columns text, label and, if the split has it, in_train.

    The second text of a pair is in the column text_pair, which stands after text. test also has the columns of the
    slices, which stand last.

    The chosen texts of each split of the source are first collected in a temporary file. The file has no name, so it
    vanishes when this process ends, even if the process is killed.

    Args:
        source: The source, whose files are read again.
        splits: The chosen rows of each split, as `draw_splits` returns them.
        dataset: The data set's entry.

    Raises:
        InputError: A file has changed since the source was read.
    """
    with replace_folder(RAW) as folder:
        for origin, paths in source.files.items():
            # A split that the source lacks was held out of train.
            taken = {name: splits[name] for name in splits if (name if name in source.files else "train") == origin}
            chosen = np.unique(np.concatenate([rows.index for rows in taken.values()]))
            with tempfile.TemporaryFile(dir=folder) as file:
                spool = TextSpool(file)
                try:
                    for text in read_chosen_texts(paths, dataset, origin, chosen):
                        spool.append(text)
                finally:  # a changed file may be the cause of an error above
                    source.check_unchanged()
                per_row = (len(spool.ends) - 1) // len(chosen)
                for name, rows in taken.items():
                    places = per_row * np.searchsorted(chosen, rows.index)[:, None] + np.arange(per_row)
                    slices = dataset.slices if name == "test" else []
                    write_split(folder / f"{name}.parquet", rows, places, spool, dataset, slices)
        source.check_unchanged()


def read_chosen_texts(paths: list[Path], dataset: Dataset, split: str, chosen: np.ndarray) -> Iterator[str]:
    """Yield the strings of each chosen row in a split's files: the text or both texts, then the values of the slices.

    chosen: The numbers of the chosen rows, in ascending order.
    """
    start, columns = 0, ["text", *map(slice_column, dataset.slices_in(split))]
    for table in (table for path in paths for table in read_selected_rows(path, dataset, split)):
        first, last = np.searchsorted(chosen, (start, start + len(table)))
        rows = table[columns].iloc[chosen[first:last] - start]
        for text, *values in zip(*(rows[column] for column in columns), strict=True):
            yield from (*(text if isinstance(text, tuple) else (str(text),)), *values)
        start += len(table)


def write_split(
    path: Path, rows: pd.DataFrame, places: np.ndarray, spool: TextSpool, dataset: Dataset, slices: list[str]
) -> None:
    """Write one split as Parquet, with the data set's name, task, labels, text columns and separator as metadata.

    Args:
        path: The file to write.
        rows: The label of each row and, in a test split of the source, whether the text is in train too (in_train).
        places: The numbers of each row's texts in the spool: its text or both texts, then the values of its slices.
        spool: The texts.
        dataset: The data set's entry.
        slices: The columns of slices to write. The metadata names them, too.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    labels = TASKS[dataset.task].label_array(rows["label"], dataset.label_names)
    text_columns = ["text", "text_pair"] if dataset.pair else ["text"]
    in_train = [name for name in rows if name == "in_train"]
    columns = [*text_columns, "label", *in_train, *slices]
    types = dict.fromkeys(columns, pa.large_string()) | {"label": label_type(labels), "in_train": pa.bool_()}
    entry = {"name": dataset.name, "task": dataset.task, "labels": dataset.label_names, "separator": dataset.separator}
    entry |= {"columns": dataset.text} | ({"pair": True} if dataset.pair else {})
    entry |= {"slices": slices} if slices else {}
    names = huggingface_metadata(columns, types["label"], dataset.label_names)
    metadata = metadata_strings(entry | {"huggingface": names})
    schema = pa.schema({name: types[name] for name in columns}, metadata)
    places = places[:, : len(text_columns) + len(slices)]
    mean_bytes = int(np.diff(spool.ends)[places].sum(axis=1).mean())
    group_rows = min(ROWS_PER_GROUP, 1 + BYTES_PER_GROUP // mean_bytes)
    with ParquetWriter(path, schema) as writer:
        for start in range(0, len(rows), group_rows):
            group = slice(start, start + group_rows)
            strings = [pa.array(map(spool.get, column), pa.large_string()) for column in places[group].T]
            others = [label_column(labels[group]), *(rows[name].iloc[group] for name in in_train)]
            strings[len(text_columns) : len(text_columns)] = others
            writer.write_table(pa.table(strings, schema=schema))


def label_type(labels: np.ndarray):
    """Return the pyarrow type of labels, (rows,) or (rows, names): lists of a fixed size if they are (rows, names)."""
    import pyarrow as pa

    kind = pa.from_numpy_dtype(labels.dtype)
    return pa.list_(kind, labels.shape[1]) if labels.ndim == 2 else kind


def label_column(labels: np.ndarray):
    """Return labels, (rows,) or (rows, names), as a pyarrow array of `label_type`."""
    import pyarrow as pa

    flat = pa.array(labels.ravel())
    return pa.FixedSizeListArray.from_arrays(flat, labels.shape[1]) if labels.ndim == 2 else flat


def huggingface_metadata(columns: list[str], kind, labels: list[str]) -> dict:
    """Return the metadata from which `datasets.load_dataset("parquet", ...)` takes the names of the labels.

    kind: the pyarrow type of the labels. Numbers, and lists of 0 and 1, have no names.
    """
    import pyarrow as pa
    from datasets import ClassLabel, Features, List, Value

    label = ClassLabel(names=labels) if pa.types.is_int64(kind) else Value("float64")
    label = List(Value("uint8"), length=len(labels)) if pa.types.is_fixed_size_list(kind) else label
    types = dict.fromkeys(columns, Value("string")) | {"label": label, "in_train": Value("bool")}
    schema = Features({name: types[name] for name in columns}).arrow_schema
    return json.loads(schema.metadata[b"huggingface"])
