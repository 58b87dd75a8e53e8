"""Scored rows as CSV and JSON Lines, read back by the standard library."""

import csv
import datetime
import json
import random
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from classifier.params.format import Format
from classifier.scoring.columns import ColumnTypes, arrow_table, output_schema
from classifier.scoring.writing import WRITERS
from classifier.tables.reading import read_rows

TEXTS = [
    *("plain", "", "a, b", 'a "quote"', "two\nlines", "two\r\nlines", "old\rMac", " spaces ", "tab\there", "'single'"),
    *(
        '"',
        '""',
        "\\",
        "\\n",
        "NA",
        "null",
        "007",
        "=1+1",
        "sep=;",
        "#",
        "ü\U0001f600",
        "\u2028\x85\x1b[31m\u202e",
        ",",
    ),
]


def written(suffix: str, *tables: pa.Table) -> Path:
    path = Path(f"out{suffix}")
    WRITERS[suffix](path, tables[0].schema, tables)
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_csv_is_read_back():
    table = pa.table({"text": TEXTS, 'a "name", \n': TEXTS[::-1], "none": pa.nulls(len(TEXTS))})
    path = written(".csv", table, table)
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == table.column_names
    assert rows == [[text, other, ""] for text, other in zip(TEXTS, TEXTS[::-1], strict=True)] * 2
    frame = pd.read_csv(path, keep_default_na=False, dtype=str, lineterminator=None)
    assert frame["text"].tolist() == TEXTS * 2
    assert pd.concat(read_rows(path, Format()))["text"].tolist() == TEXTS * 2
    first = path.read_bytes()
    assert written(".csv", table, table).read_bytes() == first
    assert b'\nplain,",",\n' in first  # no more quotes than needed


def test_any_texts_are_read_back():
    """Random texts of the characters that mean something in CSV, after other texts and alone in the first column."""
    rng = random.Random(0)
    texts = ["".join(rng.choices(",\" \n\r\t;\\a'", k=rng.randrange(9))) for _ in range(5000)]
    path = written(".csv", pa.table({"first": texts, "text": texts[::-1]}))
    frame = pd.concat(read_rows(path, Format()))
    assert frame["first"].tolist() == texts
    assert frame["text"].tolist() == texts[::-1]
    with path.open(newline="", encoding="utf-8") as file:
        assert [row[0] for row in csv.reader(file)][1:] == texts


def test_json_lines_are_read_back():
    table = pa.table({"text": TEXTS, "ü": range(len(TEXTS)), "none": pa.nulls(len(TEXTS))})
    lines = written(".jsonl", table, table).read_text(encoding="utf-8").splitlines()  # splits at \x85 and \u2028 too
    assert [json.loads(line) for line in lines] == table.to_pylist() * 2
    assert all(line.isprintable() for line in lines)
    assert '"ü\U0001f600"' in "".join(lines)


def test_values_of_each_type():
    confidence = np.float32(0.9982)
    columns = {
        "whole": pa.array([2**60 + 1, None]),
        "share": pa.array([0.1, float("nan")]),
        "confidence": pa.array([confidence, None], pa.float32()),
        "list": pa.array([[1.1, 2.0], None], pa.large_list(pa.float32())),
        "is": pa.array([True, None]),
        "day": pa.array([datetime.date(2020, 1, 31), None]),
        "time": pa.array([datetime.datetime(2020, 1, 31, 12, 30), None], pa.timestamp("us")),
        "cents": pa.array([Decimal("1.10"), None]),
        "bytes": pa.array([b"\xff", None]),
        "kind": pa.array(["film", None]).dictionary_encode(),
    }
    expected = [2**60 + 1, 0.1, 0.9982, [1.1, 2.0], True, "2020-01-31", "2020-01-31T12:30:00", "1.10", "/w==", "film"]
    first, second = map(json.loads, written(".jsonl", pa.table(columns)).read_text().splitlines())
    assert [*first.values()] == expected
    assert np.float32(first["confidence"]) == confidence
    assert {*second.values()} == {None}
    with written(".csv", pa.table(columns)).open(newline="") as file:
        _, first, second = csv.reader(file)
    assert first == [value if isinstance(value, str) else json.dumps(value) for value in expected]
    assert {*second} == {""}


def json_columns(suffix: str, rows: list[dict]) -> pa.Table:
    """Return rows of JSON as a scored file with this suffix has them."""
    types, frames = ColumnTypes(), [pd.DataFrame([row], dtype=object) for row in rows]
    for frame in frames:
        types.add(frame)
    schema = output_schema(types.types, types.types, suffix)
    return pa.concat_tables([arrow_table(frame, schema) for frame in frames])


ROWS = [
    {"text": "a", "meta": 1, "more": {"a": [1, "x"]}, "large": 2**70, "n": 2**60 + 1, "empty": {}, "list": [1]},
    {"text": "b", "meta": "\x1b\u202e", "more": {"a": None, "b": 1}, "large": 0, "n": 0.5, "empty": {}, "list": []},
    {"text": None, "meta": None, "more": {}, "large": None, "n": None, "empty": None, "list": None},
    {"text": "c", "meta": [{"ü": True}], "more": {}, "large": 1.5, "n": 1, "empty": {}, "list": [2]},
]


@pytest.mark.parametrize("value", [0.5, [0.5], {"a": 0.5}, {"a": [{"b": 0.5}]}])
def test_true_is_no_number(value):
    """pyarrow alone would write 1.0."""
    other = json.loads(json.dumps(value).replace("0.5", "true"))
    types = ColumnTypes()
    types.add(pd.DataFrame({"mixed": [value, other], "same": [value, value], "true": [other, other]}, dtype=object))
    assert types.types["mixed"] is None
    assert None not in (types.types["same"], types.types["true"])


def test_columns_of_several_types_become_json_texts():
    table = json_columns(".parquet", ROWS)
    assert table.schema.field("list").type == pa.list_(pa.int64())
    for name in ("meta", "more", "large", "n", "empty"):
        assert table.schema.field(name).type == pa.string()
        values = [None if text is None else json.loads(text) for text in table[name].to_pylist()]
        assert values == [row[name] for row in ROWS]
    assert table["text"].to_pylist() == [row["text"] for row in ROWS]
    assert table["meta"][1].as_py().isprintable()
    reasons = {field.name: field.metadata[b"json"] for field in table.schema if field.metadata}
    assert reasons.pop("empty") == b"values that Parquet cannot hold"
    assert set(reasons.values()) == {b"values of several types"}


def test_json_lines_keep_all_values():
    lines = written(".jsonl", json_columns(".jsonl", ROWS)).read_text().splitlines()
    assert [json.loads(line) for line in lines] == ROWS


def test_csv_has_lists_and_objects_as_json():
    with written(".csv", json_columns(".csv", ROWS)).open(newline="") as file:
        header, *rows = csv.reader(file)
    for row, expected in zip(rows, ROWS, strict=True):
        row = dict(zip(header, row, strict=True))
        assert row.pop("text") == (expected["text"] or "")
        assert {name: json.loads(cell) if cell else None for name, cell in row.items()} == {
            name: value for name, value in expected.items() if name != "text"
        }


@pytest.mark.parametrize("suffix", WRITERS)
def test_whole_or_not_at_all(suffix):
    def tables():
        yield pa.table({"text": ["a"]})
        raise OSError("no space")

    Path(f"out{suffix}").write_text("before")
    with pytest.raises(OSError, match="no space"):
        WRITERS[suffix](Path(f"out{suffix}"), pa.schema({"text": pa.string()}), tables())
    assert [(path.name, path.read_text()) for path in Path().iterdir()] == [(f"out{suffix}", "before")]
