"""`--format KEY=VALUE`."""

import re

import pytest

from classifier.errors import InputError
from classifier.params.format import Format
from classifier.runner.command import fields_of
from classifier.scoring.options import format_options, parse_format

ALL = Format(
    kind="csv",
    delimiter="\t",
    quoting="none",
    header=["label", "text, long", 'a "b"'],
    comment="#=",
    encoding="cp1252",
    sheet="1",
)


def test_each_key():
    options = ["kind=csv", r"delimiter=\t", "quoting=none", 'header=label,"text, long","a ""b"""', "comment=#="]
    assert parse_format([*options, "encoding=cp1252", "sheet=1"]) == ALL
    assert parse_format([]) == Format()
    assert parse_format(["delimiter=, "]).delimiter == ", "
    assert parse_format(["delimiter=="]).delimiter == "="


def test_a_launched_process_gets_the_same_format():
    assert {key for key in Format.model_fields if getattr(ALL, key) == getattr(Format(), key)} == set()
    assert parse_format(list(format_options(ALL))) == ALL
    assert list(format_options(Format())) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["csv"], "--format 'csv': should be KEY=VALUE, such as encoding=cp1252"),
        (["delimter=;"], "--format 'delimter=;': unknown key; did you mean delimiter?"),
        (["=;"], "--format '=;': unknown key; did you mean kind or delimiter or quoting or header or"),
        (["kind=csv", "kind=json"], "--format 'kind=json': gives kind again; give each key once"),
        (["kind=tsv"], "--format kind: input should be 'csv', 'json', "),
        (["delimiter=ab"], "--format delimiter: should be one character"),
        (["delimiter="], "--format delimiter: should be one character"),
        (["encoding=latin-9000"], "--format encoding: should be the name of a text encoding"),
        (["header=a\nb"], "--format header 'a\\nb': new-line character seen in unquoted field"),
        (["header="], "--format header: list should have at least 1 item"),
        (["comment="], "--format comment: string should have at least 1 character"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        parse_format(options)


def test_quoted_names_after_a_space():
    """As a visitor of the demo types them."""
    assert fields_of("columns", 'title, "text, long"', skipinitialspace=True) == ["title", "text, long"]
