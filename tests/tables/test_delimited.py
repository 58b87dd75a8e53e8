"""Files of fields between delimiters: what a data set's `format` says of them, and what is refused."""

import csv
import re

import pandas as pd
import pytest

from classifier.errors import InputError
from classifier.params.format import Format
from classifier.tables.reading import read_rows

ROWS = [["good; so, so", "1"], ['say "hi"', "0"], ["two\nlines", "1"], ["back\\slash", "0"]]


def read(path, **form) -> pd.DataFrame:
    return pd.concat(read_rows(path, Format(**form)))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(tmp_path, delimiter):
    """As the csv module writes the rows."""
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([["text", "label"], *ROWS])
    table = read(path, delimiter=delimiter)
    assert table.to_numpy().tolist() == ROWS
    assert table.index.tolist() == [2, 3, 4, 6]  # the third text has two lines
    if delimiter == "\t":
        assert read(path.rename(tmp_path / "a.TSV")).equals(table)


def test_a_header_that_the_file_lacks(tmp_path):
    (tmp_path / "a").write_text("1\tgood film\n0\tbad film\n")
    table = read(tmp_path / "a", delimiter="\t", header=["label", "text"])
    assert table.to_dict("list") == {"label": ["1", "0"], "text": ["good film", "bad film"]}
    assert table.index.tolist() == [1, 2]
    (tmp_path / "a").write_text("\n1\tgood film\n\n0\tbad film\n")  # blank lines are no rows
    assert read(tmp_path / "a", delimiter="\t", header=["label", "text"]).index.tolist() == [2, 4]
    with pytest.raises(
        InputError, match=r"lines 2 .*: the header has 1 field; .*, or name each column in `format.head"
    ):
        read(tmp_path / "a", delimiter="\t", header=["text"])


def test_quotes_that_mean_nothing(tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\n"so\t1\n5" and 6"\t0\n')
    assert read(tmp_path / "a.tsv", quoting="none")["text"].tolist() == ['"so', '5" and 6"']


def test_quotes_after_backslashes(tmp_path):
    r"""A backslash and a quote stand for a quote, `\\` and a quote for a backslash at the end of the field."""
    (tmp_path / "a.csv").write_text(
        'text,label\n"say \\"hi\\", now",1\n"C:\\new\\\\",0\n"two\n\\"lines\\"",1\nsay \\"hi\\",0\n'
    )
    texts = ['say "hi", now', "C:\\new\\\\", 'two\n"lines"', 'say "hi"']
    assert read(tmp_path / "a.csv", quoting="backslash")["text"].tolist() == texts
    with pytest.raises(InputError, match=r"line 2: ',' expected after '\"'; .* set `format.quoting` to backslash"):
        read(tmp_path / "a.csv")


def test_comments_between_rows_and_not_in_texts(tmp_path):
    (tmp_path / "a.csv").write_text('# made today\ntext,label\n"two\n# lines",1\n#\n# more\nbad,0\n')
    table = read(tmp_path / "a.csv", comment="#")
    assert table.to_dict("list") == {"text": ["two\n# lines", "bad"], "label": ["1", "0"]}
    assert table.index.tolist() == [3, 7]
    (tmp_path / "a.csv").write_text("# made today\ntext,text\n")
    with pytest.raises(InputError, match=r"line 2: several columns are named 'text'"):
        read(tmp_path / "a.csv", comment="#")
    (tmp_path / "b.csv").write_text("sep=;\ntext;label\ngood;1\n")
    assert read(tmp_path / "b.csv", comment="sep=", delimiter=";").to_dict("list") == {"text": ["good"], "label": ["1"]}


def test_spaces_after_delimiters(tmp_path):
    (tmp_path / "a.csv").write_text('label, text\n1, "good, very"\n0, bad\n')
    assert read(tmp_path / "a.csv", delimiter=", ")["text"].tolist() == ["good, very", "bad"]
    (tmp_path / "b.csv").write_text('label, text\n1, "good"\n')
    with pytest.raises(InputError, match=r"line 2: a space before a quote would make the quote text; set `for"):
        read(tmp_path / "b.csv")
    texts = [' "good"', '\n"good"\n', '"good", he said', '\t"']  # quotes of the text are doubled
    pd.DataFrame({"label": 1, "text": texts}).to_csv(tmp_path / "c.csv", index=False)
    assert read(tmp_path / "c.csv")["text"].tolist() == texts


def test_columns_without_a_name_do_no_harm(tmp_path):
    (tmp_path / "a.csv").write_text("label,text,,\n1,good,,\n0,bad,,\n")
    assert read(tmp_path / "a.csv").columns.tolist() == ["label", "text", "unnamed 3", "unnamed 4"]


def test_all_rows_of_another_width_are_named(tmp_path):
    lines = ["text,label", *("good,1" if n % 3 else "good, really,1" for n in range(60))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    places = ", ".join(f"{line} (3 fields)" for line in range(2, 32, 3))
    with pytest.raises(InputError, match=re.escape(f"a.csv: lines {places} and 10 more: the header has 2 fields; com")):
        read(tmp_path / "a.csv")


def test_a_title_above_the_header(tmp_path):
    (tmp_path / "a.csv").write_text("# notes\nAll reviews\ntext,label\ngood,1\nbad,0\n")
    problem = "line 2 has 1 field, all other rows have 2 fields; if it is a title, remove the line, or else complete"
    with pytest.raises(InputError, match=re.escape(f"a.csv: {problem}")):
        read(tmp_path / "a.csv", comment="#")
    (tmp_path / "a.csv").write_text("All reviews\nof March\ntext,label\ngood,1\nbad,0\n")
    with pytest.raises(InputError, match=r"a.csv: line 1 has 1 field, most other rows have 2 fields; if it is a title"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("text;label\ngood, very;1\n", 'seem to be separated by semicolons: set `format.delimiter` to ";"'),
        ("text\tlabel\ngood, very\t1\n", 'seem to be separated by tabs: set `format.delimiter` to "\\t"'),
        ("text,label\ngood,1,\n", "complete the rows, and quote fields that hold the delimiter"),
        ("text,label\nso, so,1\nyes, good,1\n", "complete the rows, and quote fields that hold the delimiter"),
    ],
)
def test_a_header_that_shows_another_delimiter(tmp_path, content, problem):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(InputError, match=re.escape(problem)):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("delimiter", ["", "ab", '"', "\n", "\\"])
def test_delimiters_that_cannot_be_are_refused(delimiter):
    with pytest.raises(ValueError, match="should be one character"):
        Format(delimiter=delimiter)
