"""Reading the rows that the stage `tokenize` wrote, without reading the file into memory."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tiny import ROOT

from classifier.errors import InputError
from classifier.files.formats import metadata_strings
from classifier.files.places import TOKENS
from classifier.text.tokens import Tokens, open_tokens

# Open a split, read a batch of it, and print by how many bytes the peak of memory rose.
OPEN = """
import resource
import numpy as np, pyarrow, pyarrow.compute, datasets
peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
from classifier.text.tokens import open_tokens
tokens = open_tokens("train")
assert len(tokens[np.arange(0, len(tokens), len(tokens) // 16)]) >= 16
print(peak() - before)
"""


def write(rows: list[list[int]], labels: list[int], chunk: int) -> None:
    """Write data/tokens/train.arrow with `chunk` rows in each record batch."""
    TOKENS.mkdir(parents=True)
    schema = pa.schema(
        {"input_ids": pa.list_(pa.int32()), "label": pa.int64()}, metadata_strings({"labels": ["a", "b"]})
    )
    with pa.ipc.new_stream(TOKENS / "train.arrow", schema) as out:
        out.write_table(pa.table([rows, labels], schema=schema), max_chunksize=chunk)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_rows_are_read_in_any_order():
    write([[2, 5, 3], [2, 3], [2, 7, 8, 3]], [1, 0, 1], chunk=2)
    tokens = open_tokens("train")
    assert [ids.tolist() for ids in tokens[np.array([2, 0])]] == [[2, 7, 8, 3], [2, 5, 3]]
    assert tokens.lengths.tolist() == [3, 2, 4]
    assert tokens.labels.tolist() == [1, 0, 1]
    assert tokens.metadata == {"labels": ["a", "b"]}
    assert [ids.tolist() for ids in tokens.first_texts(2)[np.array([1])]] == [[2, 3]]
    assert (len(tokens), len(tokens.first_texts(2)), len(tokens.first_texts(None))) == (3, 2, 3)


def test_texts_within_a_number_of_tokens():
    rows = Tokens(ids=None, lengths=np.array([3, 5, 5, 2]), row_labels=np.zeros(4), metadata={})
    assert [rows.texts_within(tokens) for tokens in (2, 3, 12.5, 13, 15, 99)] == [0, 1, 2, 3, 4, 4]
    windows = replace(rows, texts=np.array([0, 1, 1, 2]))
    assert [windows.texts_within(tokens) for tokens in (2, 3, 12, 13, 15)] == [0, 1, 1, 2, 3]


def test_shortened_rows_lose_their_middle():
    write([[2, *range(10, 20), 3], [2, 7, 3]], [1, 0], chunk=2)
    tokens = open_tokens("train").shortened(8)
    assert [ids.tolist() for ids in tokens[np.array([1, 0])]] == [[2, 7, 3], [2, 10, 15, 16, 17, 18, 19, 3]]
    assert tokens.lengths.tolist() == [8, 3]


def test_missing_tokens_are_refused():
    with pytest.raises(InputError, match=r"data/tokens/test.arrow: not found; make it with `dvc repro tokenize`"):
        open_tokens("test")


def test_tokens_are_not_read_into_memory():
    ids = np.full((300_000, 128), 7, dtype=np.int32)
    write(pa.ListArray.from_arrays(np.arange(0, ids.size + 1, 128, dtype=np.int32), ids.ravel()), [1] * len(ids), 4096)
    size = (TOKENS / "train.arrow").stat().st_size
    assert size > 150e6
    command, environment = [sys.executable, "-c", OPEN], {"PYTHONPATH": str(ROOT)}
    # Memory is needed for the length and the label of each row, 12 bytes, and for a chunk for each row that is read.
    assert int(subprocess.check_output(command, env=environment)) < 0.25 * size
