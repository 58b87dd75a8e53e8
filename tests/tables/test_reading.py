"""Reading tables: what is kept as it is, and what is refused."""

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifier.errors import InputError
from classifier.tables.reading import read_rows


def test_csv_keeps_texts_and_lines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufefftext,label\r\nNA,0\r\n\r\n"two\r\nlines, ""quoted""",1\r\nnull,007\r\n'.encode())
    frame = pd.concat(read_rows(path))
    assert frame.to_dict("list") == {"text": ["NA", 'two\r\nlines, "quoted"', "null"], "label": ["0", "1", "007"]}
    assert list(frame.index) == [2, 4, 6]  # the line on which each row begins
    assert frame.index.name == "line"


def test_jsonl_keeps_texts_and_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "2020-01-01", "label": 1}\n\n{"text": "line\u2028separator", "label": 0}\n')
    frame = pd.concat(read_rows(path))
    assert frame.to_dict("list") == {"text": ["2020-01-01", "line\u2028separator"], "label": [1, 0]}
    assert list(frame.index) == [1, 3]


def test_parquet_rows_are_counted_from_one(tmp_path):
    pd.DataFrame({"text": ["a", "b"], "label": [0, 1]}).set_index("text").to_parquet(tmp_path / "a.parquet")
    frame = pd.concat(read_rows(tmp_path / "a.parquet"))
    assert frame.to_dict("list") == {"label": [0, 1], "text": ["a", "b"]}  # pandas' index is a column
    assert list(frame.index) == [1, 2]


def test_values_keep_their_types(tmp_path):
    large = 2**60 + 1  # no float has this value
    (tmp_path / "a.jsonl").write_text(f'{{"id": {large}, "stars": 1}}\n{{"stars": 1.5}}\n{{"stars": true}}\n')
    frame = pd.concat(read_rows(tmp_path / "a.jsonl"))
    assert list(map(repr, frame["stars"])) == ["1", "1.5", "True"]
    assert frame["id"].iloc[0] == large
    pq.write_table(pa.table({"id": pa.array([large, None], pa.uint64())}), tmp_path / "a.parquet")
    assert list(pd.concat(read_rows(tmp_path / "a.parquet"))["id"]) == [large, pd.NA]


def test_repeated_names_in_parquet(tmp_path):
    pq.write_table(pa.table([["a"], ["b"]], ["text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a.parquet: several columns are named 'text'; rename all but one$"):
        list(read_rows(tmp_path / "a.parquet"))


def test_broken_utf8_in_parquet(tmp_path):
    texts = pa.array([b"good", b"b\xe9d"]).view(pa.string())
    pq.write_table(pa.table({"text": texts, "label": [1, 0]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a.parquet: not a valid Parquet file: .*Invalid UTF8"):
        list(read_rows(tmp_path / "a.parquet"))
    pq.write_table(pa.table({"text": ["good"], "zzzz": [1]}), tmp_path / "b.parquet", store_schema=False)
    content = (tmp_path / "b.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(content.replace(b"zzzz", b"\xff" * 4))
    with pytest.raises(InputError, match=r"b.parquet: not a valid Parquet file: .*utf-8"):
        list(read_rows(tmp_path / "b.parquet"))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", b"text,label\ngood,1\nb\xe9d,0\n", "line 3, byte 2: not UTF-8"),
        ("a.csv", b"text,label\ngood,1\nbad\n", "line 3 (1 field): the header has 2 fields; complete the rows"),
        ("a.csv", b'text,label\n"two\nlines",1\nbad,0,0\n', "line 4 (3 fields): the header has 2 fields"),
        ("a.csv", b'text,label\n"good,1\nbad,0\n', "line 2: unexpected end of data; close each quote"),
        ("a.csv", b"", "is empty; save the table again"),
        ("a.csv", b"text,text\na,b\n", "line 1: several columns are named 'text'; rename all but one"),
        ("a.jsonl", b'{"text": "good"}\n{"text": "bad" 1}\n', "line 2, character 16: not JSON"),
        ("a.jsonl", b'{"text": "good"}\n["bad"]\n', "line 2: not a JSON object"),
        ("a.jsonl", b'{"text": "good", "n": 1, "text": ""}\n', "line 1: the key 'text' occurs twice; remove one"),
        ("a.jsonl", b'{"meta": {"n": 1, "n": 1}}\n', "line 1: the key 'n' occurs twice; remove one"),
        (
            "a.jsonl",
            b'{"text": "good"}\n{"text": ' + b"[" * 100_000,
            "line 2: lists or objects are nested too deeply; flatten them",
        ),
        ("a.jsonl", b'{"text": "good"}\n{"n": ' + b"1" * 5000 + b"}\n", "has 5000 digits; write it as a string"),
        ("a.jsonl", b'{"text": "g\xff"}\n', "line 1, byte 12: not UTF-8"),
        ("a.jsonl", b'{"text": "\\ud83d\\ude00"}\n{"text": "\\uD83D"}\n', "line 2: half of a character"),
        ("a.parquet", b"text,label\n", "Parquet magic bytes not found"),
        ("a.csv", b"\ntext,label\n", "line 1: no header; write the names of the columns"),
        ("a.doc", b"", "a .doc file may hold anything; set `format.delimiter`"),
        ("a", b"", "a file without a suffix may hold anything; set `format.delimiter`"),
        ("a.parquet.gz", b"", "a compressed parquet file cannot be read; unpack it"),
        ("missing.csv", None, "no such file; put it there"),
        ("test_reading.py/missing.csv", None, "no such file; put it there"),
    ],
)
def test_broken_files_are_refused(tmp_path, name, content, problem):
    path = (Path(__file__).parent if "/" in name else tmp_path) / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(problem)) as error:
        list(read_rows(path))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
