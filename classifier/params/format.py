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

    A kind of null is that of the suffix, which KINDS in classifier/tables/reading.py has.
    """

    # How rows are written. csv: fields between delimiters. json: an object for each row, in lines or in one array.
    # fasttext: lines of `__label__`, a label and a text. folders: a folder for each label, with a text in each file.
    kind: Literal["csv", "json", "fasttext", "folders", "parquet", "arrow", "xlsx"] | None = None
    # What stands between fields. null: a comma, or a tab in .tsv files. A delimiter that ends in a space, such as ", ",
    # leaves out the spaces before fields.
    delimiter: Annotated[str, AfterValidator(check_delimiter)] | None = None
    # What quotes mean. double: a field may be in quotes, and two quotes in it stand for one. backslash: likewise, but a
    # backslash and a quote stand for one. none: quotes belong to the text.
    quoting: Literal["double", "backslash", "none"] = "double"
    # The names of the columns, if the first line is a row. null: the first line has them.
    header: Annotated[list[str], Field(min_length=1)] | None = None
    # Lines that begin with this text are left out, such as "#", or "sep=" in files for Excel. null: there are none.
    comment: Annotated[str, Field(min_length=1)] | None = None
    # The encoding of the texts, such as utf-16, cp1252 (Windows, Western Europe) or gb18030 (Chinese).
    encoding: Annotated[str, AfterValidator(check_encoding)] = "utf-8"
    # The sheet of an .xlsx file. null: the only one.
    sheet: str | None = None
