"""JSON: lines and arrays, whatever the chunks in which an array is read."""

import io
import json
import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.errors import InputError
from classifier.tables import objects
from classifier.tables.objects import JsonReader, array_rows
from classifier.tables.reading import column_values, read_rows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)


@pytest.fixture
def array(tmp_path):
    """Write a text as a.json, read it, and return the rows by line."""

    def read(text: str) -> dict[int, dict]:
        (tmp_path / "a.json").write_text(text)
        table = pd.concat(read_rows(tmp_path / "a.json"))
        return dict(zip(table.index.tolist(), table.to_dict("records"), strict=True))

    return read


@given(st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=6), st.integers(1, 30), st.booleans())
@settings(deadline=None)
def test_arrays_are_read_as_the_json_module_reads_them(rows, chunk, indented):
    text = json.dumps(rows, indent=2 if indented else None, ensure_ascii=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "CHUNK", chunk)
        found = list(array_rows(io.StringIO(text)))
    assert [row for _, row in found] == rows
    if indented and all(rows):  # an empty object stands on one line
        lengths = [json.dumps(row, indent=2, ensure_ascii=False).count("\n") + 1 for row in rows]
        assert [line for line, _ in found] == [2 + sum(lengths[:number]) for number in range(len(rows))]


def test_memory_holds_a_chunk_and_not_the_file(monkeypatch, tmp_path):
    monkeypatch.setattr(objects, "CHUNK", 100)
    rows = [{"text": "x" * 30, "label": n} for n in range(1000)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    most = 0
    move = JsonReader.move

    def watch(ahead, to):
        nonlocal most
        most = max(most, len(ahead.text))
        move(ahead, to)

    monkeypatch.setattr(JsonReader, "move", watch)
    assert pd.concat(read_rows(tmp_path / "a.json"))["label"].tolist() == list(range(1000))
    assert most <= 300


def test_lines_and_arrays_whatever_the_suffix(tmp_path, array):
    assert array('[{"text": "good"},\n\n {"text": "bad"}]\n') == {1: {"text": "good"}, 3: {"text": "bad"}}
    assert array('\n{"text": "good"}\n\n{"text": "bad"}\n') == {2: {"text": "good"}, 4: {"text": "bad"}}
    assert array(" [ ] ") == {}
    for name in ("a.JSONL", "a.ndjson"):
        (tmp_path / name).write_text('[{"text": "good"}]')
        assert pd.concat(read_rows(tmp_path / name))["text"].tolist() == ["good"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[{"text": "good"},\n {"text" "bad"}]', "line 2, object 2: not JSON: Expecting ':' delimiter"),
        ('[{"text": "good"}\n {"text": "bad"}]', "line 1, object 1: not JSON: a comma or a closing bracket is missing"),
        ('[{"text": "good"},\n {"text": "bad"}', "line 2, object 2: not JSON: a comma or a closing bracket is missing"),
        ('[{"text": "good"},\n {"text": "ba', "line 2, object 2: not JSON: Unterminated string; write one"),
        ('[{"text": "good"},\n]', "line 1, object 1: not JSON: a comma after the last object; remove it"),
        ('[{"text": "good"},\n ["bad"]]', "line 2, object 2: not a JSON object; write one JSON object on each line"),
        ('[{"text": "good"}]\n[]', "line 2: more text after the end of the array; remove it"),
        ('[{"n": 1},\n {"n": 1, "n": 2}]', "line 2, object 2: the key 'n' occurs twice; remove one"),
        ('[{"n": 1},\n {"n": "\\ud83d"}]', "line 2, object 2: half of a character (a lone surrogate, \\ud...)"),
        ('[{"n": ' + "[" * 100_000, "line 1, object 1: lists or objects are nested too deeply; flatten them"),
    ],
)
@pytest.mark.parametrize("chunk", [5, 2**20])
def test_faulty_arrays_are_refused_with_their_line(array, monkeypatch, text, problem, chunk):
    monkeypatch.setattr(objects, "CHUNK", chunk)
    with pytest.raises(InputError, match=re.escape(f"a.json: {problem}")):
        array(text)


def test_objects_on_one_line_are_counted(tmp_path):
    (tmp_path / "a.json").write_text('\n[{"text": "good"}, {"text": ""},\n{"text": "bad"}]')
    table = pd.concat(read_rows(tmp_path / "a.json"))
    assert (table.index.name, table.index.tolist()) == ("object", [1, 2, 3])
    (tmp_path / "a.json").write_text('[{"text": "good"},\n{"text": "bad"}]')
    assert next(read_rows(tmp_path / "a.json")).index.name == "line"


@pytest.mark.parametrize("orient", ["columns", "index", "split", "table", "list", "records", "records and a version"])
def test_a_table_in_one_object_is_refused(tmp_path, orient):
    table = pd.DataFrame({"text": ["good", "bad"], "label": [1, 0]})
    records = {"data": table.to_dict("records")}
    rows = {"records": records, "records and a version": {"version": "1.0"} | records, "list": table.to_dict("list")}
    (tmp_path / "a.json").write_text(json.dumps(rows[orient]) if orient in rows else table.to_json(orient=orient))
    with pytest.raises(InputError, match=r"a.json: line 1: one object holds all rows; write one object for each row"):
        next(read_rows(tmp_path / "a.json"))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"text": "good"},', "line 1: a comma after the object; remove it"),
        (
            '{"text": "a\tb"}',
            r"character 12: not JSON: Invalid control character; write it as an escape, such as \t or \n",
        ),
        (r'{"text": "C:\data"}', r"line 1, character 13: not JSON: Invalid \escape; write a backslash as \\"),
        ("{'text': 'good'}", "line 1, character 2: not JSON: Expecting property name enclosed in double quotes; write"),
        ('["good", 1]', "line 1, object 1: not a JSON object; write one JSON object on each line, or all in one array"),
    ],
)
def test_faulty_lines_are_refused_with_the_fix(tmp_path, line, problem):
    (tmp_path / "a.jsonl").write_text(f'{line}\n{{"text": "bad"}}\n')
    with pytest.raises(InputError, match=re.escape(problem)):
        next(read_rows(tmp_path / "a.jsonl"))


def test_an_object_on_several_lines(tmp_path):
    (tmp_path / "a.jsonl").write_text('{\n "text": "good"\n}\n')
    with pytest.raises(InputError, match=r"a.jsonl: line 1: the object does not end on its line; write one JSON obj"):
        next(read_rows(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    "row",
    [
        {"text": "good", "spans": [[0, 4]]},
        {"text": None, "spans": [{"start": 0}]},
        {"text": "good", "data": [{"x": 1}]},
        {"id": 7, "data": {"text": "good"}, "annotations": [{"result": []}]},
        {"id": 7, "votes": {"1": 3, "5": 2}, "review": {"text": "good"}},
        {"premise": {"text": "good"}, "hypothesis": {"text": "fine"}},
        {"0": "good"},
        {},
    ],
)
def test_one_object_can_be_a_row(tmp_path, row):
    (tmp_path / "a.json").write_text(json.dumps(row))
    assert next(read_rows(tmp_path / "a.json")).to_dict("records") == [row]


def test_keys_inside_of_objects():
    table = pd.DataFrame(
        [{"review": {"text": "good", "by": {"name": "A"}}}, {"review": None}, {"a.b": 1}], dtype=object
    )
    assert column_values(table, "review.text").tolist() == ["good", None, None]
    assert column_values(table, "review.by.name").tolist() == ["A", None, None]
    assert column_values(table, "a.b").tolist()[2] == 1  # a column of this very name
    assert column_values(table, "review.stars") is None
    assert column_values(table, "stars") is None
