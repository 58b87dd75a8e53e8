"""Read rows that are written as JSON objects: one on each line, or all in one array."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from classifier.params.format import Format
from classifier.tables.opening import open_text
from classifier.tables.rows import as_tables
from classifier.text.cleaning import is_encodable

ONE_OBJECT = "write one JSON object on each line, or all in one array"
FIXES = {  # beginning of a message of the decoder -> how to mend the row
    "Invalid control character": r"write it as an escape, such as \t or \n",
    "Invalid \\escape": r"write a backslash as \\",
}
SPACE = re.compile(r"[ \t\r\n]*")
CHUNK = 2**20  # characters of an array to read at a time
LONGEST_ESCAPE = 12  # an error this close to the end of a chunk may come from the cut, as in the middle of \ud83d\ude00


def read_json(path: Path, form: Format) -> Iterator[pd.DataFrame]:
    """Yield the tables of a file of JSON objects. Raises ValueError, with the line and the fix, for a faulty row."""
    with open_text(path, form, newline="\n") as file:  # no other character ends a line
        start = file.read(1)
        while start.isspace():
            start = file.read(1)
    with open_text(path, form, newline="\n") as file:
        rows = array_rows(file) if start == "[" else line_rows(file)
        first = list(itertools.islice(rows, 2))
        rows = itertools.chain(first, rows)
        if len({line for line, _ in first}) < len(first):  # a line does not say which object is meant
            yield from as_tables(((number, row) for number, (_, row) in enumerate(rows, start=1)), place="object")
            return
        if len(first) == 1 and start == "{":
            refuse_table(*first[0])
        yield from as_tables(rows)


def refuse_table(line: int, row: dict) -> None:
    """Raise ValueError if the only object of a file is a table: it has only lists and numbers, or pandas wrote it.

    By default pandas writes an object of columns, whose keys are the numbers of the rows. With orient="index" it writes
    an object of rows, and with orient="table" a description beside the rows.
    """

    def is_numbered(value: Any) -> bool:
        return isinstance(value, dict) and bool(value) and all(key.isdecimal() for key in value)

    values = row.values()
    has_lists = any(isinstance(value, list) for value in values)
    if (
        (has_lists and all(isinstance(value, list | int | float) for value in values))
        or (bool(row) and all(map(is_numbered, values)))
        or (is_numbered(row) and all(isinstance(value, dict) for value in values))
        or ("data" in row and len(row) > 1 and row.keys() <= {"data", "schema", "version"})
    ):
        fix = 'write one object for each row, as pandas does with to_json(FILE, orient="records")'
        raise ValueError(f"line {line}: one object holds all rows; {fix}")


def line_rows(file: TextIO) -> Iterator[tuple[int, dict]]:
    """Yield (line, object) for each line that is not blank."""
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                row = json.loads(line.removesuffix("\n"), object_pairs_hook=refuse_repeated_keys)
            except (ValueError, RecursionError) as error:
                column = f", character {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
                if column and error.msg == "Extra data" and line[error.pos :].strip() == ",":
                    raise ValueError(f"line {number}: a comma after the object; remove it") from None
                if column and line.startswith("{") and line.rstrip().endswith(("{", "[", ",")):
                    raise ValueError(f"line {number}: the object does not end on its line; {ONE_OBJECT}") from None
                raise ValueError(f"line {number}{column}: {describe_json_error(error)}") from None
            yield number, checked_row(row, f"line {number}")


class JsonReader:
    """The text of a file from a position on. It is read in chunks, so that memory does not grow with the file.

    Attributes:
        text: The chunk in memory.
        position: The position in the chunk.
        line: The number of the line on which the position is.
        number: The number of the object at the position.
    """

    def __init__(self, file: TextIO):
        self.file, self.text, self.position, self.line, self.number = file, "", 0, 1, 1

    def read_more(self) -> bool:
        """Read the next chunk. Return False at the end of the file."""
        more = self.file.read(max(CHUNK, len(self.text) - self.position))
        self.text, self.position = self.text[self.position :] + more, 0
        return bool(more)

    def move(self, to: int) -> None:
        """Move to a position of the chunk."""
        self.line += self.text.count("\n", self.position, to)
        self.position = to

    def next_character(self) -> str:
        """Move to the next character that is no white space and return it, or "" at the end of the file."""
        while True:
            self.move(SPACE.match(self.text, self.position).end())
            if self.position < len(self.text):
                return self.text[self.position]
            if not self.read_more():
                return ""

    def read_object(self) -> dict:
        """Return the JSON object at the position, and move behind it. Raises ValueError for anything else."""
        while True:
            try:
                row, end = DECODER.raw_decode(self.text, self.position)
                break
            except (ValueError, RecursionError) as error:
                line = self.line + self.text.count("\n", self.position, getattr(error, "pos", self.position))
                if not (is_cut(error, self.text) and self.read_more()):
                    raise ValueError(f"line {line}, object {self.number}: {describe_json_error(error)}") from None
        row = checked_row(row, f"line {self.line}, object {self.number}")
        self.move(end)
        self.number += 1
        return row


def is_cut(error: Exception, text: str) -> bool:
    """Return whether an object may be faulty only because the text ends inside it."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or error.pos > len(text) - LONGEST_ESCAPE


def array_rows(file: TextIO) -> Iterator[tuple[int, dict]]:
    """Yield (number of the object's first line, object) for each object of the array that is the file's content."""
    reader = JsonReader(file)
    reader.next_character()
    reader.move(reader.position + 1)  # behind the bracket
    character = reader.next_character()
    while character != "]":
        line = reader.line
        yield line, reader.read_object()
        place = f"line {reader.line}, object {reader.number - 1}"
        if (character := reader.next_character()) not in (",", "]"):
            raise ValueError(f"{place}: not JSON: a comma or a closing bracket is missing after it")
        if character == ",":
            reader.move(reader.position + 1)
            if reader.next_character() == "]":
                raise ValueError(f"{place}: not JSON: a comma after the last object; remove it")
    reader.move(reader.position + 1)
    if reader.next_character():
        raise ValueError(f"line {reader.line}: more text after the end of the array; remove it")


def refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, given its keys and values. Raises ValueError for a repeated key."""
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in row if keys.count(key) > 1)
        raise ValueError(f"the key {repeated!r:.40} occurs twice; remove one")
    return row


def describe_json_error(error: Exception) -> str:
    """Return an error of the JSON decoder in words, without its place."""
    if isinstance(error, json.JSONDecodeError):
        what = re.sub(r"( starting)? at$", "", error.msg)  # the decoder's message goes on with a place
        fix = next((fix for start, fix in FIXES.items() if what.startswith(start)), ONE_OBJECT)
        return f"not JSON: {what}; {fix}"
    if isinstance(error, RecursionError):
        return "lists or objects are nested too deeply; flatten them"
    # a repeated key, or an integer with more digits than Python converts
    return str(error).replace("use sys.set_int_max_str_digits() to increase the limit", "write it as a string")


def checked_row(row: Any, place: str) -> dict:
    """Return a row unchanged. Raises ValueError unless it is an object whose strings can be written as UTF-8."""
    if not isinstance(row, dict):
        raise ValueError(f"{place}: not a JSON object; {ONE_OBJECT}")
    if not is_encodable(json.dumps(row, ensure_ascii=False)):
        raise ValueError(f"{place}: half of a character (a lone surrogate, \\ud...); complete or remove it")
    return row


DECODER = json.JSONDecoder(object_pairs_hook=refuse_repeated_keys)
