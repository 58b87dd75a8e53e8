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


def check_names(names: list[str]) -> list[str]:
    """Return the names of columns unchanged. Raises ValueError if two are equal."""
    if len(set(names)) < len(names):
        raise ValueError("the names of the columns must differ from each other")
    return names


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

    KINDS in classifier/tables/reading.py lists the suffixes and the form of the file that each stands for.
    """

    # The form of the file. csv: fields between delimiters. json: objects, one on each line or all in one array.
    # fasttext: lines that begin with `__label__` and the label. folders: a folder for each label, a text in each file.
    # null: the suffix of the file says it.
    kind: Literal["csv", "json", "fasttext", "folders", "parquet", "arrow", "xlsx"] | None = None
    # What stands between fields. null: a comma, or a tab in .tsv files. A delimiter that ends in a space, such as ", ",
    # leaves out the spaces before fields.
    delimiter: Annotated[str, AfterValidator(check_delimiter)] | None = None
    # How a quote is written inside of a quoted field. double: as two quotes. backslash: as a backslash and a quote.
    # none: no field is quoted, and quotes belong to the text.
    quoting: Literal["double", "backslash", "none"] = "double"
    # The names of the columns, if the first line is a row. null: the first line has them.
    header: Annotated[list[str], Field(min_length=1), AfterValidator(check_names)] | None = None
    # Lines that begin with this text are left out, such as "#", or "sep=" in files for Excel. null: there are none.
    comment: Annotated[str, Field(min_length=1)] | None = None
    # The encoding of the texts, such as utf-16, cp1252 (Windows, Western Europe) or gb18030 (Chinese).
    encoding: Annotated[str, AfterValidator(check_encoding)] = "utf-8"
    # The sheet of an .xlsx or .ods file. null: the only one.
    sheet: str | None = None
