"""Sheets of Excel workbooks, written by another library than the one that reads them."""

import datetime
import sys

import openpyxl
import pandas as pd
import pytest
from workbooks import write_ods

from classifier.errors import InputError
from classifier.params.format import Format
from classifier.tables.reading import read_rows


def write(path, **sheets) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)


def read(path, **form) -> pd.DataFrame:
    return pd.concat(read_rows(path, Format(**form)))


ROWS = [
    ["text", "label", "when", None],
    ["good\nfilm", 1, datetime.date(2020, 1, 2), None],
    [],
    ["schön", 0, None, None],
]


def test_a_sheet(tmp_path):
    write(tmp_path / "a.xlsx", only=ROWS)
    table = read(tmp_path / "a.xlsx")
    assert table["text"].tolist() == ["good\nfilm", "schön"]
    assert table["label"].tolist() == [1, 0]
    assert table["when"].tolist() == [datetime.date(2020, 1, 2), None]
    assert table.index.tolist() == [2, 4]  # the rows' numbers in Excel
    write(tmp_path / "a.xlsx", only=[["text", 2020], ["good", 1]])
    assert read(tmp_path / "a.xlsx").columns.tolist() == ["text", "2020"]
    write(tmp_path / "a.xlsx", only=ROWS[1:])
    assert read(tmp_path / "a.xlsx", header=["text", "label", "when"])["text"].tolist() == ["good\nfilm", "schön"]


def test_a_sheet_of_libreoffice(tmp_path):
    rows = [["text", "label"], ["schön", "good"], ["fad", "bad"]]
    write_ods(tmp_path / "a.ods", rows)
    assert read(tmp_path / "a.ods").to_numpy().tolist() == rows[1:]


def test_a_workbook_with_the_suffix_of_the_other_program(tmp_path):
    rows = [["text", "label"], ["schön", "good"]]
    write(tmp_path / "a.xlsx", only=rows)
    (tmp_path / "a.xlsx").rename(tmp_path / "b.ods")
    write_ods(tmp_path / "a.ods", rows)
    (tmp_path / "a.ods").rename(tmp_path / "b.xlsx")
    for name in ("b.ods", "b.xlsx"):
        assert read(tmp_path / name).to_numpy().tolist() == rows[1:]


def test_a_sheet_of_several_is_named(tmp_path):
    write(tmp_path / "a.xlsx", first=[["other"]], reviews=ROWS)
    assert read(tmp_path / "a.xlsx", sheet="reviews")["label"].tolist() == [1, 0]
    with pytest.raises(InputError, match=r"a.xlsx: has 2 sheets; set `format.sheet` to one of: first, reviews"):
        read(tmp_path / "a.xlsx")
    with pytest.raises(InputError, match=r"a.xlsx: has no sheet 'x'; set `format.sheet` to one of: first, reviews"):
        read(tmp_path / "a.xlsx", sheet="x")


@pytest.mark.parametrize(
    ("rows", "form", "problem"),
    [
        ([], {}, "the sheet is empty; fill it, or set `format.sheet` to another sheet"),
        ([[], ["text", "text"], ["a", "b"]], {}, "row 2: several columns are named 'text'; rename all but one"),
        ([["a", "b"]], {"header": ["text"]}, "`format.header` has 1 names for 2 columns; name each column"),
    ],
)
def test_faulty_sheets_are_refused(tmp_path, rows, form, problem):
    write(tmp_path / "a.xlsx", only=rows)
    with pytest.raises(InputError, match=f"a.xlsx: {problem}"):
        read(tmp_path / "a.xlsx", **form)


def test_a_damaged_workbook_and_a_missing_library(tmp_path, monkeypatch):
    (tmp_path / "a.xlsx").write_bytes(b"text,label\n")
    with pytest.raises(
        InputError, match=r"a.xlsx: not a valid Excel file: .*; save it again, or save the table as CSV"
    ):
        read(tmp_path / "a.xlsx")
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(
        InputError, match=r"a.xlsx: a library .* is missing; install it with `uv pip install --group exc"
    ):
        read(tmp_path / "a.xlsx")
