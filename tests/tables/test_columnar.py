"""Arrow files, and columns of Parquet and Arrow whose type is not that of their values."""

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifier.errors import InputError
from classifier.tables import rows
from classifier.tables.reading import column_values, read_rows

TABLE = pa.table({"text": ["good", "bad", "fine"], "label": [1, 0, 1]})


def write(path, table) -> None:
    """Write a table in the file form of Arrow, or as Parquet."""
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)


def test_arrow_files_of_both_forms(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "ROWS_PER_TABLE", 2)
    write(tmp_path / "a.arrow", TABLE)
    datasets.Dataset(TABLE).save_to_disk(tmp_path / "saved")
    (stream,) = (tmp_path / "saved").glob("*.arrow")
    for path in (tmp_path / "a.arrow", stream):
        tables = list(read_rows(path))
        assert [len(table) for table in tables] == [0, 2, 1]
        table = pd.concat(tables)
        assert table["text"].tolist() == ["good", "bad", "fine"]
        assert table.index.tolist() == [1, 2, 3]
        assert table.index.name == "row"


@pytest.mark.parametrize("name", ["a.arrow", "a.parquet"])
def test_texts_as_bytes_and_as_numbers_of_a_dictionary(tmp_path, name):
    columns = {
        "text": pa.array([b"sch\xc3\xb6n", b"bad", None], pa.binary()),
        "label": pa.array(["pos", "neg", "pos"]).dictionary_encode(),
        "picture": pa.array([b"\xff\xd8", b"", None], pa.binary()),
    }
    write(tmp_path / name, pa.table(columns))
    table = pd.concat(read_rows(tmp_path / name))
    assert table["text"].tolist() == ["schön", "bad", pd.NA]
    assert table["label"].tolist() == ["pos", "neg", "pos"]
    assert table["picture"].tolist() == [b"\xff\xd8", "", None]


def test_views_and_columns_of_types_that_pandas_lacks(tmp_path):
    """As polars writes texts and categories."""
    texts = pa.array(["schön", "bad", None], pa.string_view())
    labels = pa.DictionaryArray.from_arrays(
        pa.array([1, 0, None], pa.int8()), pa.array(["neg", "pos"], pa.string_view())
    )
    union = pa.UnionArray.from_sparse(pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, 3]), pa.array(["a", "b", "c"])])
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([5, 6]))
    columns = {"text": texts, "label": labels, "union": union, "runs": runs, "bytes": texts.cast(pa.binary_view())}
    write(tmp_path / "a.arrow", pa.table(columns))
    table = pd.concat(read_rows(tmp_path / "a.arrow"))
    assert table["text"].tolist() == table["bytes"].tolist() == ["schön", "bad", pd.NA]
    assert table["label"].tolist() == ["pos", "neg", pd.NA]
    assert (table["union"].tolist(), table["runs"].tolist()) == ([1, "b", 3], [5, 5, 6])
    assert table["runs"].astype(str).tolist() == ["5", "5", "6"]


def test_a_text_that_is_not_utf_8_is_alone(tmp_path):
    write(tmp_path / "a.parquet", pa.table({"text": pa.array([b"good", b"\xff", None, b"bad"], pa.binary())}))
    assert pd.concat(read_rows(tmp_path / "a.parquet"))["text"].tolist() == ["good", b"\xff", None, "bad"]


def test_texts_inside_of_structs(tmp_path):
    write(tmp_path / "a.parquet", pa.table({"review": [{"text": "good"}, {"text": "bad"}, None]}))
    assert column_values(pd.concat(read_rows(tmp_path / "a.parquet")), "review.text").tolist() == ["good", "bad", None]


@pytest.mark.parametrize("content", [b"", b"text,label\n", b"ARROW1\0\0"])
def test_damaged_arrow_files_are_refused(tmp_path, content):
    (tmp_path / "a.arrow").write_bytes(content)
    with pytest.raises(InputError, match=r"a.arrow: not a valid Arrow file: .*; write the file again"):
        list(read_rows(tmp_path / "a.arrow"))
