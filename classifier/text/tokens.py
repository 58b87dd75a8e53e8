"""Open the token ids that the stage `tokenize` wrote. The files are mapped into memory, not read into it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from classifier.errors import InputError
from classifier.files.formats import metadata_of
from classifier.files.places import TOKENS


@dataclass(frozen=True)
class Tokens:
    """The rows of one split. `tokens[rows]` reads the token ids of some rows, and nothing else, from the disk.

    In train, a row is a text. In validation and test, a row is a window of a text.

    Attributes:
        ids: A datasets.Dataset with the column input_ids, in numpy's format.
        lengths: (rows,) int32, the number of token ids of each row.
        row_labels: (rows,) or (rows, names), the label of each row's text as data/raw has it.
        metadata: The name, task, labels, columns and separator of the data set, and the settings of `tokenize`.
            For pairs of texts also `pair` and `token_types_after` (see stages/tokenize.py).
        texts: (rows,) int64, the number of each row's text, in rising order; None if each row is a text.
        longest: The length to which longer rows are cut in the middle; None to cut no row.
    """

    ids: Any
    lengths: np.ndarray
    row_labels: np.ndarray
    metadata: dict[str, Any]
    texts: np.ndarray | None = None
    longest: int | None = None

    @property
    def labels(self) -> np.ndarray:
        """The label of each text, (texts,) or (texts, names)."""
        return self.row_labels if self.texts is None else self.row_labels[np.unique(self.texts, return_index=True)[1]]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return the token ids of some rows, an int64 array for each."""
        sequences = list(self.ids[rows]["input_ids"])
        return sequences if self.longest is None else [without_middle(ids, self.longest) for ids in sequences]

    def shortened(self, longest: int) -> "Tokens":
        """Return the same rows, with the middle of rows longer than `longest` left out."""
        return replace(self, lengths=np.minimum(self.lengths, longest), longest=longest)

    def texts_within(self, tokens: float) -> int:
        """Return how many texts, from the first on, fit into `tokens` tokens if all windows of a text are counted."""
        rows = int(np.searchsorted(self.lengths.cumsum(dtype=np.int64), tokens, side="right"))
        if rows == len(self):
            return len(self.labels)
        return rows if self.texts is None else int(self.texts[rows])

    def first_texts(self, count: int | None) -> "Tokens":
        """Return the rows of the first `count` texts, or all rows if `count` is None."""
        rows = count if count is None or self.texts is None else int(np.searchsorted(self.texts, count))
        if rows is None or rows >= len(self):
            return self
        texts = None if self.texts is None else self.texts[:rows]
        lengths, row_labels = self.lengths[:rows], self.row_labels[:rows]
        return replace(self, ids=self.ids.select(range(rows)), lengths=lengths, row_labels=row_labels, texts=texts)


def without_middle(ids: np.ndarray, longest: int) -> np.ndarray:
    """Return at most `longest` token ids, a quarter of them from the beginning and the rest from the end.

    Special tokens count like others.

    >>> without_middle(np.array([101, 1, 2, 3, 4, 5, 6, 102]), 4)
    array([101,   5,   6, 102])
    """
    if len(ids) <= longest:
        return ids
    head = longest // 4
    return np.concatenate([ids[:head], ids[len(ids) - (longest - head) :]])


def open_tokens(split: str) -> Tokens:
    """Open the rows of train, validation or test.

    Memory grows by 12 bytes per row (length and label; with several labels a text, 4 bytes and one for each name), and
    in validation and test by 8 more (number of the text).

    Raises:
        InputError: The file is missing.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from datasets import Dataset

    path = TOKENS / f"{split}.arrow"
    if not path.is_file():
        raise InputError(f"{path}: not found; make it with `dvc repro tokenize` or `dvc checkout {TOKENS}`")
    with pa.ipc.open_stream(pa.memory_map(str(path))) as stream:  # datasets drops metadata that are not its own
        metadata = metadata_of(stream.schema)
    rows = Dataset.from_file(str(path))
    return Tokens(
        ids=rows.select_columns("input_ids").with_format("numpy"),
        lengths=pc.list_value_length(rows.data.column("input_ids")).to_numpy(),
        row_labels=label_array(rows.data.column("label")),
        texts=rows.data.column("text").to_numpy() if "text" in rows.column_names else None,
        metadata=metadata,
    )


def label_array(column) -> np.ndarray:
    """Return a column of labels, a pyarrow ChunkedArray, as (rows,), or (rows, names) if it has lists of one size."""
    import pyarrow as pa

    if not pa.types.is_fixed_size_list(column.type):
        return column.to_numpy()
    chunks = [chunk.flatten().to_numpy().reshape(len(chunk), -1) for chunk in column.chunks]
    return np.concatenate(chunks) if chunks else np.zeros((0, column.type.list_size), dtype=np.uint8)
