"""The rows of a split as token ids, mapped into memory: what stage tokenize has written, and not a copy of it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from classifier.errors import InputError
from classifier.files.formats import metadata_of
from classifier.files.places import TOKENS


@dataclass(frozen=True)
class Tokens:
    """`tokens[rows]` are the ids of some rows, (ids,) int64 arrays; only these are read from the disk."""

    ids: Any  # a datasets.Dataset with the column input_ids, in numpy's format
    lengths: np.ndarray  # (rows,) int32
    row_labels: np.ndarray  # (rows,) int64
    metadata: dict[str, Any]  # name, labels, columns and separator of the data set, and the settings of tokenize
    texts: np.ndarray | None = None  # (rows,) the number of each row's text, rising; None: a row is a text
    longest: int | None = None  # of longer rows the middle is left out

    @property
    def labels(self) -> np.ndarray:
        """(texts,) int64."""
        return self.row_labels if self.texts is None else self.row_labels[np.unique(self.texts, return_index=True)[1]]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: np.ndarray) -> list[np.ndarray]:
        sequences = list(self.ids[rows]["input_ids"])
        return sequences if self.longest is None else [without_middle(ids, self.longest) for ids in sequences]

    def shortened(self, longest: int) -> "Tokens":
        """The same rows, of which none is longer than that."""
        return replace(self, lengths=np.minimum(self.lengths, longest), longest=longest)

    def texts_within(self, tokens: float) -> int:
        """How many texts, from the first one on, have no more than so many tokens together, in all their windows."""
        rows = int(np.searchsorted(self.lengths.cumsum(dtype=np.int64), tokens, side="right"))
        return len(self.labels) if rows == len(self) else rows if self.texts is None else int(self.texts[rows])

    def head(self, count: int | None) -> "Tokens":
        """The rows of the first `count` texts, or all."""
        rows = count if count is None or self.texts is None else int(np.searchsorted(self.texts, count))
        if rows is None or rows >= len(self):
            return self
        return replace(
            self,
            ids=self.ids.select(range(rows)),
            lengths=self.lengths[:rows],
            row_labels=self.row_labels[:rows],
            texts=None if self.texts is None else self.texts[:rows],
        )


def without_middle(ids: np.ndarray, longest: int) -> np.ndarray:
    """At most so many ids, special ones among them: a quarter from the beginning and the rest from the end.

    >>> without_middle(np.array([101, 1, 2, 3, 4, 5, 6, 102]), 4)
    array([101,   5,   6, 102])
    """
    if len(ids) <= longest:
        return ids
    head = longest // 4
    return np.concatenate([ids[:head], ids[len(ids) - (longest - head) :]])


def open_tokens(split: str) -> Tokens:
    """train, validation or test. Memory: 12 bytes a row, for its length and label, and 8 for its text's number.

    Raises InputError if the file is missing.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from datasets import Dataset

    path = TOKENS / f"{split}.arrow"
    if not path.is_file():
        raise InputError(f"{path}: not found; make it with `dvc repro tokenize` or `dvc checkout {TOKENS}`")
    with pa.ipc.open_stream(pa.memory_map(str(path))) as stream:  # datasets keeps no metadata but its own
        metadata = metadata_of(stream.schema)
    rows = Dataset.from_file(str(path))
    return Tokens(
        ids=rows.select_columns("input_ids").with_format("numpy"),
        lengths=pc.list_value_length(rows.data.column("input_ids")).to_numpy(),
        row_labels=rows.data.column("label").to_numpy(),
        texts=rows.data.column("text").to_numpy() if "text" in rows.column_names else None,
        metadata=metadata,
    )
