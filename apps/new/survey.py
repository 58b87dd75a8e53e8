"""Read the texts and labels of all rows; count rows, labels, words and duplicates for the entry and the report."""

import heapq
import itertools
import json
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from apps.new.columns import spelled
from classifier.tables.reading import column_values, join_columns
from classifier.tables.rows import PLACES_SHOWN, list_places
from classifier.text.cleaning import is_blank
from classifier.text.duplicates import digest
from classifier.text.words import count_words

SHOWN = 3  # shortest and longest texts
KEPT = 500  # characters of a long text
MAX_SAMPLE = 2000  # texts whose tokens are counted


@dataclass
class Missing:
    """The rows that lack a value: their number and the first places."""

    count: int = 0
    places: list = field(default_factory=list)
    kind: str = "line"

    def add(self, places: pd.Index) -> None:
        """Add the places of some rows."""
        self.count += len(places)
        self.places += list(places[: PLACES_SHOWN - len(self.places)])
        self.kind = places.name or self.kind

    def __str__(self) -> str:
        return list_places(self.kind, self.places, self.count)


@dataclass
class Survey:
    """The texts and labels of a data set.

    Attributes:
        rows: Split -> label -> number of rows. The label is None where it is missing.
        no_label: The rows without a label.
        no_text: The rows whose text is missing or blank.
        not_text: The rows whose text is no text, such as a number in JSON.
        words: The number of words of each text.
        shortest: The shortest texts.
        longest: The beginnings of the longest texts, and their numbers of characters.
        sample: Texts spread over all rows.
    """

    rows: dict[str, Counter] = field(default_factory=dict)
    no_label: Missing = field(default_factory=Missing)
    no_text: Missing = field(default_factory=Missing)
    not_text: Missing = field(default_factory=Missing)
    words: array = field(default_factory=lambda: array("i"))
    shortest: list[tuple[int, str]] = field(default_factory=list)
    longest: list[tuple[int, str]] = field(default_factory=list)
    sample: list[str] = field(default_factory=list)
    step: int = 1  # of this many texts, one goes into the sample
    digests: bytearray = field(default_factory=bytearray)
    label_ids: array = field(default_factory=lambda: array("i"))
    ids: dict = field(default_factory=dict)

    @property
    def labels(self) -> Counter:
        """Label -> number of rows in all splits, without rows that lack one."""
        total = sum(self.rows.values(), Counter())
        total.pop(None, None)
        return total

    def add(self, texts: pd.Series, labels: Iterable[str | None], splits: Iterable[str]) -> None:
        """Add the rows of a table."""
        labels = list(labels)
        for split, label in zip(splits, labels, strict=True):
            self.rows.setdefault(split, Counter())[label] += 1
        self.no_label.add(texts.index[[label is None for label in labels]])
        is_text = np.array([isinstance(text, str) for text in texts], dtype=bool)
        blank = np.array([is_blank(text) if isinstance(text, str) else spelled(text) is None for text in texts], bool)
        self.no_text.add(texts.index[blank])
        self.not_text.add(texts.index[~is_text & ~blank])
        usable = is_text & ~blank
        self.add_texts(list(texts[usable]), list(itertools.compress(labels, usable)))

    def add_texts(self, texts: list[str], labels: list[str | None]) -> None:
        """Add texts that are not blank."""
        for text, label in zip(texts, labels, strict=True):
            if len(self.words) % self.step == 0:
                self.sample.append(text)
                if len(self.sample) > MAX_SAMPLE:
                    self.sample, self.step = self.sample[::2], self.step * 2
            self.words.append(count_words(text))
            self.digests += digest(text)
            self.label_ids.append(self.ids.setdefault(label, len(self.ids)))
        sized = [(len(text), text[:KEPT]) for text in texts]
        self.shortest = heapq.nsmallest(SHOWN, {*self.shortest, *sized})
        self.longest = heapq.nlargest(SHOWN, {*self.longest, *sized})

    def duplicates(self) -> tuple[int, int]:
        """Return (number of rows with the text of an earlier row, number of texts with several labels)."""
        halves = np.frombuffer(self.digests, dtype=np.uint64).reshape(-1, 2)
        rows = pd.DataFrame({"high": halves[:, 0], "low": halves[:, 1], "label": self.label_ids})
        again = rows.duplicated(["high", "low"])
        labels = rows[rows["label"] != self.ids.get(None)].drop_duplicates().groupby(["high", "low"]).size()
        return int(again.sum()), int((labels > 1).sum())


def survey(
    tables: Iterable[tuple[str, pd.DataFrame]],
    texts: list[str],
    label: list[str],
    split: str | None,
    are_sets: bool,
    without: Collection[str | None] = (),
) -> Survey:
    """Return the texts and labels of tables, which come with the names of their splits.

    Args:
        tables: (split, rows of it).
        texts: The columns whose texts are joined.
        label: The column of the labels, or several columns that have 1 or true in the rows of the label they name.
        split: The column that says the split of each row. None: each row has the split that its table comes with.
        are_sets: Whether a text can have several labels. Then an empty text in the only column of labels is no label.
        without: Splits whose rows are not counted.
    """
    found = Survey()
    for name, table in tables:
        values = {column: column_values(table, column) for column in [*texts, *label]}
        columns = {column: [None] * len(table) if one is None else [*one] for column, one in values.items()}
        table_of = pd.DataFrame(columns, index=table.index, dtype=object)
        splits = [*map(spelled, column_values(table, split))] if split else [name] * len(table)
        kept = [one not in without for one in splits]
        table_of = table_of.loc[kept]
        labels = row_labels(table_of[label], are_sets)
        found.add(join_columns(table_of, texts, "\n"), labels, itertools.compress(splits, kept))
    return found


def row_labels(table: pd.DataFrame, are_sets: bool) -> Iterator[str | None]:
    """Yield the label of each row, None if it is missing. Several columns of 0 and 1 give a JSON list of names.

    If a text can have several labels, an empty text in the only column gives the label "", which stands for no label.
    """
    for row in table.itertuples(index=False, name=None):
        cells = [*map(spelled, row)]
        if len(cells) == 1 or None in cells:
            is_empty = are_sets and len(cells) == 1 and isinstance(row[0], str)
            yield (cells[0] or ("" if is_empty else None)) if len(cells) == 1 else None
        else:
            names = [name for name, cell in zip(table.columns, cells, strict=True) if cell in ("1", "true")]
            yield json.dumps(names, ensure_ascii=False)


def tokens(texts: list[str], tokenizer: Path) -> list[int]:
    """Return the number of tokens of each text, special tokens included."""
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_file(str(tokenizer))
    encoder.no_truncation()
    encoder.no_padding()
    return [len(encoding) for encoding in encoder.encode_batch(texts)]
