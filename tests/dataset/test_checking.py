"""Which rows and texts are accepted, and which are refused, with their place in the file."""

import re

import pandas as pd
import pytest
from local_data import local, write, write_csv, write_frame

from classifier.dataset.checking import read_split
from classifier.dataset.selected_rows import read_selected_rows
from classifier.errors import InputError
from classifier.files.places import LOCAL
from classifier.tables import rows as table_rows


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def texts(path, dataset) -> list[str]:
    return list(pd.concat(read_selected_rows(path, dataset))["text"])


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_text_in_several_columns(suffix):
    rows = [("Good", "film", 1), (None, "bad", 0), ("fine", " ", 1), ("dull", None, 0)]
    frame = pd.DataFrame(rows, columns=["title", "body", "label"])
    dataset = local(text=["title", "body"], separator=" | ")
    path = write_frame(f"a.{suffix}", frame)
    assert texts(path, dataset) == ["Good | film", "bad", "fine", "dull"]
    assert read_split([path], dataset)[0]["words"].tolist() == [3, 1, 1, 1]
    assert texts(path, local(text="title"))[0] == "Good"
    path = write_frame(f"b.{suffix}", pd.concat([frame, frame[:1].assign(title=" ", body="")]))
    place = "row 5" if suffix == "parquet" else "line 5" if suffix == "jsonl" else "line 6"
    with pytest.raises(InputError, match=f"{place}, column 'title' and 'body': empty text"):
        read_split([path], dataset)
    with pytest.raises(InputError, match=r"no column 'text'; set `text` .* of the file: 'title', 'body', 'label'"):
        read_split([path], local(text=["title", "text"]))


def test_a_value_that_is_no_text_in_one_of_several_columns_is_refused():
    path = write("a.jsonl", '{"title": "good", "body": 5, "label": 1}\n{"title": "bad", "body": ["a"], "label": 0}\n')
    with pytest.raises(InputError, match=r"lines 1, 2, column 'title' and 'body': not a text"):
        read_split([path], local(text=["title", "body"]))
    path = write("a.jsonl", '{"title": "good", "body": "", "label": 1}\n{"label": 0}\n')
    with pytest.raises(InputError, match="line 2, column 'title' and 'body': no text"):
        read_split([path], local(text=["title", "body"]))


def test_a_number_in_place_of_a_text_is_no_empty_text():
    """`drop: [empty]` leaves out missing and blank texts, and refuses values of another type."""
    path = write("a.jsonl", '{"text": "good", "label": 1}\n{"text": " ", "label": 0}\n{"label": 0}\n')
    rows, counts = read_split([path], local(drop=["empty"]), "test")
    assert (len(rows), counts["empty_rows_dropped"]) == (1, 2)
    path = write("a.jsonl", '{"text": "good", "label": 1}\n{"text": 5, "label": 0}\n{"text": ["a"], "label": 0}\n')
    with pytest.raises(InputError, match=r"lines 2, 3, column 'text': not a text; write it as a string in quotes"):
        read_split([path], local(drop=["empty"]), "test")


def test_a_split_whose_rows_are_all_left_out_is_refused():
    """As the test split of GLUE, whose labels are all -1."""
    path = write_csv("a.csv", [("good", -1), ("bad", -1)])
    with pytest.raises(InputError, match=r"a.csv: no rows are left, since `drop` or `labels` leaves all out; fix them"):
        read_split([path], local(drop=["unlabelled"]), "test")


def test_na_is_a_text_and_a_label():
    path = write("a.csv", "text,label\nNA,null\nnull,NA\nNaN,null\n")
    named = local(labels=["null", "NA"])
    assert texts(path, named) == ["NA", "null", "NaN"]
    assert list(read_split([path], named)[0]["label"]) == [0, 1, 0]


def test_rows_that_where_leaves_out_are_not_checked():
    path = write_csv("a.csv", [("good", 1, "x"), ("", 7, "y"), ("bad", 0, "x")], ("text", "label", "kind"))
    wheel = {"wheel": "a==1", "file": "a.csv", "sha256": "0" * 64, "where": {"kind": "x"}}
    assert texts(path, local(source=wheel)) == ["good", "bad"]
    assert list(read_split([path], local(source=wheel))[0]["label"]) == [1, 0]
    wheel["where"] = {"kind": "z"}
    with pytest.raises(InputError, match=r"a.csv: no rows with 'z' in column 'kind'; fix"):
        read_split([path], local(source=wheel))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", 'text,label\n"two\nlines",1\n ,0\n', "line 4, column 'text': empty text"),
        ("a.csv", 'text,label\n<br />,1\nbad,0\n', "line 2, column 'text': empty text"),
        ("a.csv", 'text,label\ngood,1\n\u200b \ufeff,0\n', "line 3, column 'text': empty text"),
        ("a.jsonl", '{"text": "\\u2060", "label": 1}\n{"text": "bad", "label": 0}\n', "line 1, column 'text': empty"),
        ("a.csv", "text,label\ngood,1\nbad,\n", "line 3, column 'label': missing label"),
        ("a.csv", "text,label\ngood,1\n\nbad,2\n", "line 4, column 'label': unknown label '2'; numbers count from 0"),
        ("a.csv", "text,label\ngood,positive\nbad,0\n", "line 3, column 'label': unknown label '0'"),
        ("a.csv", "review,label\ngood,1\n", "no column 'text'; set `text` in params.yaml to a column of"),
        ("a.csv", "text,label\n", "no rows; fix"),
        ("a.jsonl", "\n", "no rows; fix"),
        ("a.json", "[{}]", "line 1, column 'text': no text"),
        ("a.csv", "text,label\ngood,1\nfine,1\n", "column 'label': no row has the label 'negative'"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"text": null, "label": 0}\n', "line 2, column 'text': no text"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"label": 0}\n', "line 2, column 'text': no text"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"text": 5, "label": 0}\n', "line 2, column 'text': not a text"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"text": ["a"], "label": 0}\n', "line 2, column 'text': not a text"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"text": "bad"}\n', "line 2, column 'label': missing label"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"text": "a", "label": 1.5}\n', "line 2, column 'label': unknown"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{"text": "a", "label": [0]}\n', "line 2, column 'label': unknown"),
    ],
)  # fmt: skip
def test_bad_rows_are_refused(name, content, problem):
    path = write(name, content)
    with pytest.raises(InputError, match=re.escape(f"{path}: {problem}")) as error:
        read_split([path], local())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ('text,label|good,1|"bad,0|great,1|poor,0|",1', 3),
        ('text,label|good,1|"bad,0|great",1|poor,0', 3),
        ('label,text|1,good|0,"bad|1,great|0,poor"|1,fun', 3),
        ('label,text|1,good|0,"bad|1,great"|0,poor', 3),
        ('id,text,label|1,good,1|2,"bad,0|3,great,1|4,poor",0', 3),
        ('id,label,text|1,1,good|2,0,"bad|3,1,great|4,0,poor"', 3),
        ('text,label,more|good,1,x|bad,0,"y|great,1,z|poor,0,w"', 3),
        ('text,label|"two|lines",1|"bad,0|great,1||poor",0', 4),
        ('text,label|good, positive|"bad, negative|great, positive|poor", negative', 3),
        ('text,label|good,TRUE|fun,FALSE|"bad,FALSE|great,TRUE|poor",FALSE', 4),
        ('text,label|good,1.0|fun,0.0|"bad,0.0|great,1.0|poor",0.0', 4),
        ('more,text,label|"a\rb",good,1|"c\rd","bad,0|x,great",1', 5),
    ],
)
def test_quotes_that_swallow_rows_are_refused(lines, line):
    path = write("a.csv", lines.replace("|", "\n") + "\n")
    with pytest.raises(InputError, match=f"^{path}: line {line}: the quoted field that begins here holds . whole rows"):
        read_split([path], local())


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_texts_of_several_lines_are_texts(end):
    """Even with commas, numbers and names of labels in them."""
    texts_ = ["one, two\nthree", "good\n\nbad, 2", "a, b, c\n1, d", "0\n1\n", "positive\nnegative", "x,\n,y", ",\n,"]
    texts_ += ["Look:\nAll in all, 1\nbut long", "Halves:\nArsenal, 1\nChelsea, 0", "one\x0btwo,1\x0bthree\nfour"]
    texts_ += ["x, positive\ny, negative\nz"]  # names of labels, but the column has numbers
    rows = "".join(f'"{text}",{number % 2}\n' for number, text in enumerate(texts_))
    path = write("a.csv", f"text,label\n{rows}".replace("\n", end))
    assert texts(path, local()) == [text.replace("\n", end) for text in texts_]
    rows = "".join(f'{number},{number % 2},"{text}"\n' for number, text in enumerate(texts_))
    path = write("a.csv", f"id,label,text\n{rows}".replace("\n", end))
    assert len(read_split([path], local())[0]) == len(texts_)


def test_bad_rows_of_parquet():
    LOCAL.mkdir(parents=True)
    pd.DataFrame({"text": ["good", "bad", None], "label": [1, 0, 0]}).to_parquet(LOCAL / "a.parquet")
    with pytest.raises(InputError, match=re.escape("a.parquet: row 3, column 'text': no text")):
        read_split([LOCAL / "a.parquet"], local())


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_labels_and_faults_of_a_file_in_several_tables(suffix, monkeypatch):
    """Labels are mapped and faulty rows are counted over the whole file, here in tables of two rows."""
    monkeypatch.setattr(table_rows, "ROWS_PER_TABLE", 2)

    def path_of(rows: list[tuple]):
        return write_frame(f"a.{suffix}", pd.DataFrame(rows, columns=["text", "label"]))

    words = ["true", "FALSE", "true", "true", "true"]
    path = path_of([(f"text {n}", word) for n, word in enumerate(words)])
    assert list(read_split([path], local())[0]["label"]) == [1, 0, 1, 1, 1]
    path = path_of([(f"text {n}", word) for n, word in enumerate([*words, "1"])])
    with pytest.raises(InputError, match=r"s ., ., ., [56], column 'label': unknown label 'true'; use"):
        read_split([path], local(labels=["FALSE", "1"]))
    kind, shift = {"csv": ("line", 1), "jsonl": ("line", 0), "parquet": ("row", 0)}[suffix]
    names = ["1", "0", "bad", "0", "worse", "1", "bad"]
    path = path_of([(f"text {n}", name) for n, name in enumerate(names)])
    with pytest.raises(
        InputError, match=f"{kind}s {3 + shift}, {7 + shift}, column 'label': unknown label 'bad'; {kind} {5 + shift}, "
    ):
        read_split([path], local())
    path = path_of([("good", "1"), ("bad", "0"), ("", "1"), ("fine", ""), (" ", "0"), ("good", "bad")])
    with pytest.raises(InputError, match=f"{kind}s {3 + shift}, {5 + shift}, column 'text': empty text, ") as error:
        read_split([path], local())
    for problem in (f"{4 + shift}, column 'label': missing label", f"{6 + shift}, column 'label': unknown label 'bad'"):
        assert f". Also {kind} {problem}" in str(error.value)


def test_missing_keys_in_rows_of_json(monkeypatch):
    monkeypatch.setattr(table_rows, "ROWS_PER_TABLE", 1)
    path = write("a.jsonl", '{"label": 1, "text": "good"}\n{"label": 0, "more": 1, "text": "bad"}\n{"label": 1}\n')
    with pytest.raises(InputError, match="line 3, column 'text': no text"):
        read_split([path], local())
    with pytest.raises(InputError, match=r"no column 'body'; set `text` .* file: 'label', 'text', 'more'$"):
        read_split([path], local(text="body"))
