"""How a table is written: the key `format` of a data set's entry in params.yaml, and `--format` of `apps.infer`."""

import codecs
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from classifier.params.settings import Settings


def check_delimiter(delimiter: str) -> str:
    """Return the delimiter unchanged. Raises ValueError unless it is one character, with spaces after it or without."""
    if not re.fullmatch(r"[^\"\r\n\\] *", delimiter):
        raise ValueError('should be one character, such as ";" or "\\t"; spaces may follow it')
    return delimiter


def check_encoding(encoding: str) -> str:
    """Return the name of an encoding unchanged. Raises ValueError if Python does not know it as a text encoding."""
    try:
        codecs.lookup(encoding).incrementaldecoder()
        "".encode(encoding)
    except (LookupError, TypeError, ValueError):
        raise ValueError("should be the name of a text encoding, such as utf-8, utf-16 or cp1252") from None
    return encoding


class Format(Settings):
    """How a table is written, where the suffix of the file does not say it.

    A default of None leaves the choice to the suffix: classifier/tables/kinds.py has the list.
    """

    # How rows are written. csv: fields between delimiters. json: an object for each row, in lines or in one array.
    # fasttext: a text after `__label__` and its label, in lines. folders: a text in each file, in a folder for each
    # label.
    kind: Literal["csv", "json", "fasttext", "folders", "parquet", "arrow", "xlsx"] | None = None
    # What stands between fields, as the comma in .csv files and the tab in .tsv files. Spaces after it are left out if
    # the delimiter ends in a space: ", ".
    delimiter: Annotated[str, AfterValidator(check_delimiter)] | None = None
    # What a quote means. double: a field may be in quotes, and two quotes stand for one in it. backslash: likewise, but
    # a backslash and a quote stand for one. none: quotes belong to the text.
    quoting: Literal["double", "backslash", "none"] = "double"
    header: Annotated[list[str], Field(min_length=1)] | None = None  # names of the columns if the first line has none
    comment: Annotated[str, Field(min_length=1)] | None = None  # lines that begin with this are left out, such as sep=
    encoding: Annotated[str, AfterValidator(check_encoding)] = "utf-8"
    sheet: str | None = None  # of an .xlsx file with several sheets
