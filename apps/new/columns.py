"""Describe each column of a table, and find those with the texts, the labels, the splits and the groups."""

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pandas as pd

from apps.new.layout import split_of
from classifier.tables.reading import column_values
from classifier.tasks.labels import plain
from classifier.tasks.regression import number_in

MAX_VALUES = 2000  # different values of a column that are counted; a column of labels has fewer
TEXT_NAMES = (
    *("text", "sentence", "review", "content", "body", "comment", "tweet", "message", "utterance", "document"),
    *("reviewtext", "review_text"),
)
LABEL_NAMES = (
    *("label", "labels", "target", "class", "category", "sentiment", "polarity", "intent", "topic", "gold_label"),
    *("stars", "rating", "score", "overall", "emotion", "quality", "tag", "v1"),
)
SPLIT_NAMES = ("split", "set", "fold", "partition", "subset", "dataset")
GROUP_NAMES = ("user", "author", "group", "thread", "product", "patient", "customer", "speaker", "conversation", "doc")
NO_LETTERS = re.compile(r"[\d\s!-/:-@\[-`{-~]+")
MEASURE = re.compile(r"[\d\s.,:/+-]*\d[.,:/-]\d[\d\s.,:/+TZ-]*")  # a date, a time or a number with a fraction
DECIMAL_COMMA = re.compile(r"-?\d+,\d+")  # the stage `data` refuses it, and says how to write it
CLEARLY = 3  # a column with this many times the letters of the next one has the texts
FAR = 10  # a column with this many times the letters of a column named text, review or the like has the texts instead


@dataclass
class Column:
    """The values of a column.

    Attributes:
        filled: The number of values that are not missing and not blank.
        letters: The number of characters in all texts, without digits, white space and punctuation.
        texts: The number of values that are texts.
        values: Spelling of a value -> its number of rows; None if there are more than MAX_VALUES.
        nested: A value that is a list or an object, None if there is none.
        lists: The number of values that are lists of names or of whole numbers, as such or printed as a text.
        numbers: The number of values that are numbers, with a decimal point or comma.
    """

    filled: int = 0
    letters: int = 0
    texts: int = 0
    nested: str | None = None
    lists: int = 0
    numbers: int = 0
    values: Counter | None = field(default_factory=Counter)

    def add(self, values: Iterable) -> None:
        """Add the values of some rows."""
        found = Counter()
        for value in values:
            if (spelling := spelled(value)) is not None:
                found[spelling] += 1
                if isinstance(value, dict | list) and (value or not self.nested):
                    self.nested = spelling
                self.lists += is_list_of_names(value)
                self.numbers += math.isfinite(number_in(spelling)) or bool(DECIMAL_COMMA.fullmatch(spelling))
                if isinstance(value, str):
                    self.texts += 1
                    self.letters += len(NO_LETTERS.sub("", spelling))
        self.filled += found.total()
        if self.values is not None:
            self.values.update(found)
            if len(self.values) > MAX_VALUES:
                self.values = None

    @property
    def mean_letters(self) -> float:
        """The mean number of letters of a value, 0 if few values are texts."""
        return self.letters / self.filled if self.filled and self.texts > self.filled / 2 else 0.0

    @property
    def has_lists(self) -> bool:
        """Whether all values are lists, as of several labels."""
        return 0 < self.lists == self.filled

    @property
    def repeats(self) -> bool:
        """Whether the column has two or more values, which repeat, as labels do."""
        return self.values is not None and 1 < len(self.values) <= max(2, self.filled / 2)


def is_list_of_names(value: object) -> bool:
    """Return whether a value is a list of names or of whole numbers, as such or as JSON or Python prints it."""
    if isinstance(value, str) and value.strip().startswith("["):
        with suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            value = ast.literal_eval(value.strip())  # reads JSON's lists of names and of numbers, too
    return isinstance(value, list) and all(isinstance(item, str | int) for item in value)


def spelled(value: object) -> str | None:
    """Return a value as the entry in params.yaml spells it: 1.0 as 1, True as true; None if it is missing or blank."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    return plain(str(value).strip()) or None


def flat_columns(table: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """Yield (name, values) of each column. An object of JSON gives a column for each key: review.text."""
    for name in table.columns:
        objects = [value for value in table[name] if isinstance(value, dict)]
        if not objects:
            yield name, table[name]
        for key in dict.fromkeys(key for value in objects for key in value):
            if (values := column_values(table, f"{name}.{key}")) is not None:
                yield from flat_columns(values.to_frame(f"{name}.{key}"))


def profile(tables: Iterable[pd.DataFrame]) -> tuple[int, dict[str, Column]]:
    """Return the number of rows of tables, and their columns."""
    rows, columns = 0, {}
    for table in tables:
        rows += len(table)
        for name, values in flat_columns(table):
            columns.setdefault(name, Column()).add(values)
    return rows, columns


def likely_texts(columns: dict[str, Column]) -> list[str]:
    """Return the columns that may have the texts: one column if it is clear."""
    letters = {name: column.mean_letters for name, column in columns.items() if column.mean_letters}
    least = max(letters.values(), default=0) / FAR  # a column `review` of ids beside one of long texts has ids
    named = [name for known in TEXT_NAMES for name in columns if name.strip().lower() == known]
    if named and columns[named[0]].mean_letters >= least:
        return named[:1]
    found = [name for name in letters if letters[name] * CLEARLY > max(letters.values())]
    return [name for name in found if not columns[name].repeats] or found


def likely_labels(columns: dict[str, Column], is_headerless: bool) -> list[str]:
    """Return the columns that may have the labels, the likeliest first: one column if it is clear."""
    counts = {name: len(column.values) for name, column in columns.items() if column.values}
    lists = [name for name, column in columns.items() if column.has_lists]
    likely = [name for name, column in columns.items() if column.repeats or counts.get(name) == 1 or name in lists]
    if named := [name for known in LABEL_NAMES for name in likely if name.strip().lower() == known]:
        return named[:1]
    likely = [name for name in likely if not columns[name].nested and counts[name] > 1]
    likely = [name for name in likely if not any(map(MEASURE.fullmatch, columns[name].values))]
    order = sorted(likely, key=counts.get)
    ends = [name for name in order if name in (next(iter(columns)), list(columns)[-1])]
    if is_headerless and len(ends) == 1:
        return ends
    return order or lists


def likely_numbers(columns: dict[str, Column], is_headerless: bool) -> list[str]:
    """Return the columns of numbers, or only the first one whose name is in LABEL_NAMES."""
    likely = [name for name, column in columns.items() if 0 < column.numbers == column.filled]
    return [name for known in LABEL_NAMES for name in likely if name.strip().lower() == known][:1] or likely


def likely_split(columns: dict[str, Column]) -> str | None:
    """Return the column that says the split of each row, or None."""
    for name, column in columns.items():
        rows = Counter()
        for value, count in (column.values or {}).items():
            rows[split_of(value)] += count
        others = rows.pop(None, 0)
        if name.strip().lower() in SPLIT_NAMES and "train" in rows and len(rows) > 1 and rows.total() > others:
            return name
    return None


def likely_groups(columns: dict[str, Column], rows: int) -> list[str]:
    """Return the columns whose names suggest a group, such as user, and whose values several rows share."""
    return [
        name
        for name, column in columns.items()
        if any(name.lower().startswith(known) for known in GROUP_NAMES)
        and (column.values is None or 1 < len(column.values) < rows)
    ]
