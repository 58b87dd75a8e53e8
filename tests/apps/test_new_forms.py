"""`python -m apps.new`: a file of each form gives the same rows, and the entry says no more than the form needs."""

import bz2
import gzip
import io
import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from new_command import ROWS, add, entry, refused, rows_read
from workbooks import write_ods

from apps.new import dialect
from classifier.params.format import Format

TEXTS, LABELS = zip(*ROWS, strict=True)
FRAME = pd.DataFrame(ROWS, columns=["text", "label"])


def csv(delimiter: str = ",", header: bool = True, **options) -> str:
    return FRAME.to_csv(index=False, sep=delimiter, header=header, **options)


def zipped(name: str, content: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def unquoted(delimiter: str) -> str:
    return "".join(f"{text}{delimiter}{label}\n" for text, label in [("text", "label"), *ROWS])


BACKSLASHES = "".join(f'"{text}",{label}\n'.replace('"x"', r"\"x\"") for text, label in [("text", "label"), *ROWS])
FASTTEXT = "".join(f"__label__{label} {text}\n" for text, label in ROWS)
NO_HEADER = {"header": ["text", "label"]}
FORMS = {
    "a.csv": (csv(), {}),
    "bom.csv": (csv().encode("utf-8-sig"), {}),
    "semicolons.csv": (csv(";"), {"delimiter": ";"}),
    "tabs.csv": (csv("\t"), {"delimiter": "\t"}),
    "bars.txt": (csv("|"), {"delimiter": "|"}),
    "a.tsv": (csv("\t"), {}),
    "no-suffix": (csv("\t", header=False), {"delimiter": "\t", **NO_HEADER}),
    "commas": (csv(), {"delimiter": ","}),
    "no-header.csv": (csv(header=False), NO_HEADER),
    "sep.csv": ("sep=;\n" + csv(";"), {"delimiter": ";", "comment": "sep="}),
    "comment.csv": ("# made by hand\n# in spring\n" + csv(), {"comment": "#"}),
    "spaces.csv": (csv(quoting=1).replace('","', '", "'), {"delimiter": ", "}),
    "backslashes.csv": (BACKSLASHES, {"quoting": "backslash"}),
    "quotes.tsv": (unquoted("\t"), {}),
    "cp1252.csv": (csv().replace("ö", "é €5 ö").encode("cp1252"), {"encoding": "cp1252"}),
    "utf16.csv": (csv().encode("utf-16"), {"encoding": "utf-16"}),
    "utf16be.tsv": (csv("\t").encode("utf-16-be"), {"encoding": "utf-16-be"}),
    "utf32.csv": (csv().encode("utf-32"), {"encoding": "utf-32"}),
    "a.csv.gz": (gzip.compress(csv().encode()), {}),
    "a.jsonl.bz2": (bz2.compress(FRAME.to_json(orient="records", lines=True).encode()), {}),
    "archive.zip": (zipped("a.csv", csv()), {}),
    "a.JSONL": (FRAME.to_json(orient="records", lines=True), {}),
    "array.json": (FRAME.to_json(orient="records", indent=2), {}),
    "lines.txt": (FRAME.to_json(orient="records", lines=True), {"kind": "json"}),
    "fasttext.txt": (FASTTEXT, {"kind": "fasttext"}),
}


@pytest.mark.parametrize("name", FORMS)
def test_text_files(name, place):
    content, form = FORMS[name]
    Path("elsewhere", name).write_bytes(content if isinstance(content, bytes) else content.encode())
    add(f"elsewhere/{name}")
    assert entry().get("format", {}) == form
    expected = [(text.replace("ö", "é €5 ö"), label) for text, label in ROWS] if name == "cp1252.csv" else ROWS
    assert rows_read() == expected


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.xlsx", "a.ods", "named.csv"])
def test_binary_files(name, place):
    path = Path("elsewhere", name)
    if name == "a.xlsx":
        pytest.importorskip("python_calamine")
        pytest.importorskip("openpyxl")
        FRAME.to_excel(path, index=False)
    elif name == "a.ods":
        pytest.importorskip("python_calamine")
        write_ods(path, [[*FRAME], *FRAME.to_numpy().tolist()])
    elif name == "a.arrow":
        FRAME.to_feather(path, compression="uncompressed")
    else:
        FRAME.to_parquet(path)
    add(str(path))
    assert entry().get("format", {}) == ({"kind": "parquet"} if name == "named.csv" else {})
    assert rows_read() == ROWS


def test_a_sheet_whose_first_row_has_a_value_twice_has_no_header(place):
    pytest.importorskip("python_calamine")
    pytest.importorskip("openpyxl")
    rows = pd.DataFrame([(text, label, label) for text, label in ROWS])
    rows.to_excel("elsewhere/a.xlsx", index=False, header=False)
    add("elsewhere/a.xlsx", "--text", "column1", "--label", "column2")
    assert entry()["format"] == {"header": ["text", "label", "column3"]}
    assert rows_read() == ROWS


def test_a_year_can_be_the_name_of_a_column_of_words(place):
    FRAME.rename(columns={"label": "2022"}).to_csv("elsewhere/a.csv", index=False)
    add("elsewhere/a.csv")
    assert entry()["label"] == "2022"
    assert "format" not in entry()


def test_a_first_row_that_occurs_again_is_no_header(place):
    Path("elsewhere/a.csv").write_text(csv(header=False) + csv(header=False).splitlines()[0])
    add("elsewhere/a.csv", "--text", "column1", "--label", "column2")
    assert entry()["format"] == {"header": ["text", "label"]}
    Path("elsewhere/b.csv").write_text(csv() + "text,label\n")  # joined files
    assert "column 'label': the label 'label' has 1" in refused("elsewhere/b.csv")


@pytest.mark.parametrize("name", ["text", "[text]"])
def test_fields_in_a_file_that_is_named_as_json(place, name):
    Path("elsewhere/a.json").write_text(csv().replace("text", name, 1))
    add("elsewhere/a.json")
    assert entry()["format"] == {"kind": "csv", "delimiter": ","}
    assert rows_read() == ROWS


def test_no_more_than_a_part_of_a_long_line_is_looked_at(place, monkeypatch):
    monkeypatch.setattr(dialect, "SAMPLE_CHARACTERS", 100)
    Path("elsewhere/a.json").write_text(FRAME.to_json(orient="records"))
    assert [len(line) for line in dialect.sample_lines(Path("elsewhere/a.json"), Format())] == [100]
    add("elsewhere/a.json")
    assert rows_read() == ROWS


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (json.dumps([["text", "label"], *ROWS]), "line 1, object 1: not a JSON object; write one JSON object"),
        ("".join(f"{json.dumps(row)}\n" for row in ROWS), "not a JSON object; write one JSON object"),
        ("".join(f"{row}\n" for row in FRAME.to_dict("records")), "line 1, character 2: not JSON: Expecting property"),
    ],
)
def test_json_of_another_shape_is_not_taken_for_csv(place, content, error):
    Path("elsewhere/a.jsonl").write_text(content)
    assert error in refused("elsewhere/a.jsonl")


def test_a_file_gets_the_suffix_of_its_compression(place):
    Path("elsewhere/a.csv").write_bytes(gzip.compress(csv().encode()))
    Path("elsewhere/b.csv.gz").write_text(csv())
    add("elsewhere/a.csv")
    assert entry()["source"] == {"train": "a.csv.gz"}
    add("elsewhere/b.csv.gz")
    assert entry()["source"] == {"train": "b.csv"}


def test_a_stray_pair_of_quotes_swallows_no_rows(place):
    lines = [f"{'plain' if number % 2 else 'simple'} text {number},{number % 2}" for number in range(100)]
    lines[20], lines[40] = f'"{lines[20]}', lines[40].replace(",", '",')
    Path("elsewhere/a.csv").write_text("\n".join(["text,label", *lines]))
    add("elsewhere/a.csv")
    assert entry()["format"] == {"quoting": "none"}
    assert len(rows_read()) == 100


def test_objects_in_json(place):
    rows = ({"id": number, "review": {"body": text}, "stars": 1.0 + number % 5} for number, text in enumerate(TEXTS))
    Path("elsewhere/a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    add("elsewhere/a.jsonl")
    assert (entry()["text"], entry()["label"]) == ("review.body", "stars")
    assert entry()["labels"] == {number: str(number) for number in range(1, 6)}
