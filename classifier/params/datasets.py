"""The entries under `datasets:` in params.yaml. Their key `source` is in sources.py."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from classifier.params.format import Format
from classifier.params.labels import LABEL_KEYS, parse_labels
from classifier.params.sources import Source, WheelFile, Where, as_list, path_in_local
from classifier.params.values import Entry, FileName

MOST_RATINGS = 100
LENGTH = "length"  # the slice that every data set has
# Columns of the tables that the stages write. These tables also have a column `probability_LABEL` for each label.
OWN_COLUMNS = {"text", "text_pair", "label", "in_train", "hash", "decided_by"}
OWN_COLUMNS |= {"predicted", "confidence", "expected", "low", "high"}


def parse_size(size: Any) -> Any:
    """Return the number of rows as an int, and a share such as 20% as a float below 1."""
    if isinstance(size, str) and re.fullmatch(r"[0-9]*\.?[0-9]+ ?%", size):
        size = float(size.removesuffix("%")) / 100
    is_number = isinstance(size, int | float) and not isinstance(size, bool)
    if not is_number or size <= 0 or (isinstance(size, float) and size >= 1):
        raise ValueError("should be a number of rows, such as 500, a share, such as 20%, or null")
    return size


Size = Annotated[int | float, BeforeValidator(parse_size)]


def single_name(value: Any) -> Any:
    """Return the name in a list of one name, and anything else unchanged."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def check_slice(column: str) -> str:
    """Return the name of a slice's column unchanged. Raises ValueError for a name that the pipeline uses itself."""
    if column == LENGTH:
        raise ValueError("`length` is always measured; rename the column")
    if column in OWN_COLUMNS or column.startswith("probability_"):
        raise ValueError("the pipeline writes a column of this name itself; rename the column")
    return column


class Dataset(Entry):
    """Labelled texts and how to split them.

    A validation or test split that the source has is taken from there. One that the source lacks is held out of train.
    The keys train, validation and test set the size of these splits: a number of rows, a share, or None for all rows
    that are left. A share refers to the split of the source (to train for a held-out split) without duplicates. If the
    size of a held-out validation split is None, it gets a fifth of the rows for train and validation, but at least 20,
    at most 1,000 and at most half of them (see classifier/dataset/splitting.py).
    """

    source: Source
    format: Format = Format()
    # Column names. In a JSON file, `review.text` is the key text in the object review. The texts of several columns are
    # joined.
    text: Annotated[list[str], Field(min_length=1), BeforeValidator(as_list)] = Field(["text"])
    separator: str = "\n"  # between the joined texts
    pair: bool = False  # whether the two columns of `text` are a pair of texts, which is not joined
    # What a label says. single-label: one of `labels`. multi-label: any number of `labels`, in a list or joined by
    # `label_separator`, or a column of 0 and 1 for each. regression: a number. ordinal: a whole number in `range`.
    task: Literal[*LABEL_KEYS] = "single-label"
    # The name of the column. A multi-label data set can have a column of 0 and 1 for each label instead. The label then
    # has the name of its column, unless `labels` maps the column to another name.
    label: Annotated[str | Annotated[list[str], Field(min_length=1)], BeforeValidator(single_name)] = "label"
    label_separator: Annotated[str, Field(min_length=1)] | None = None
    # A list of the label names, in the order of the labels' numbers; or a mapping from each value of the column (with
    # several columns: from each column) to the name of its label. The name None leaves out the rows with this value or,
    # if a row can have several labels, only the label.
    labels: Annotated[list[str] | dict[str, str | None], BeforeValidator(parse_labels)] | None = None
    range: Annotated[list[int], Field(min_length=2, max_length=2)] | None = None  # the lowest and the highest rating
    drop: list[Literal["unlabelled", "empty"]] = Field([])  # rows to leave out: without a label, without a text
    group: str | None = None  # column name; rows with the same value there are held out together
    # Column names. The results on the test texts with each value of these columns are measured.
    slices: Annotated[list[Annotated[str, AfterValidator(check_slice)]], BeforeValidator(as_list)] = Field([])
    corrections: Annotated[FileName, AfterValidator(path_in_local)] | None = None  # a table of corrected labels
    # For a text with several labels in the source: keep the first row, or drop its rows from train and validation.
    conflicts: Literal["first", "drop"] = "first"
    train: Size | None = None
    validation: Size | None = None
    test: Size | None = None

    @property
    def label_columns(self) -> list[str]:
        """The columns of the labels: one, or several of a multi-label data set."""
        return as_list(self.label)

    @property
    def label_names(self) -> list[str]:
        """The names of the labels, in the order of the labels' numbers. A regression has one, that of its column."""
        if self.range:
            return [str(number) for number in range(self.range[0], self.range[1] + 1)]
        names = self.labels.values() if isinstance(self.labels, dict) else self.labels or self.label_columns
        return [name for name in dict.fromkeys(names) if name is not None]

    def slices_in(self, split: str) -> list[str]:
        """Return the columns of slices that a split of the source must have: all, if the test rows come from it."""
        return self.slices if split == ("test" if self.source.test else "train") else []

    def required_values(self, split: str) -> Where:
        """Return the columns of `where` and the values that the rows of a split of the source must have in them."""
        rows = getattr(self.source, split)
        return self.source.where | (rows.where if rows else {})

    def excluded_values(self, split: str) -> list[Where]:
        """Return the `where` of each other split whose rows this split must not have.

        Only the train split of a wheel has such splits, and only if it sets no `where`: it gets all rows of the table
        that are in neither validation nor test.
        """
        source = self.source
        if split != "train" or not isinstance(source, WheelFile) or source.train:
            return []
        return [rows.where for rows in (source.validation, source.test) if rows]

    @model_validator(mode="after")
    def check(self):
        self.check_labels()
        if self.pair and len(self.text) != 2:
            raise ValueError("pair needs exactly two columns in `text`, such as [premise, hypothesis]")
        if self.pair and "separator" in self.model_fields_set:
            raise ValueError("separator joins columns, but with `pair` they are not joined; leave it out")
        if len(set(self.slices)) < len(self.slices):
            raise ValueError("slices: the columns must differ from each other")
        if self.test is None and self.source.test is None:
            raise ValueError("test must be a number of rows or a share, since the source has no test split; try 20%")
        return self

    def check_labels(self) -> None:
        """Raise ValueError if the keys about labels do not fit the task or each other."""
        keys = LABEL_KEYS[self.task]
        if keys.needed and getattr(self, keys.needed) is None:
            raise ValueError(f"{keys.needed}: missing key; `task: {self.task}` needs it")
        for key in ("labels", "label_separator", "range"):
            if getattr(self, key) is not None and key not in (keys.needed, *keys.allowed):
                raise ValueError(f"{key}: not used by `task: {self.task}`; remove it or change `task`")
        if self.range and not 1 <= self.range[1] - self.range[0] < MOST_RATINGS:
            raise ValueError(f"range: should be the lowest and the highest of 2 to {MOST_RATINGS} ratings")
        if len(self.label_columns) > 1:
            self.check_several_columns("labels" in keys.allowed)
        if isinstance(self.labels, list) and len(set(self.labels)) != len(self.labels):
            raise ValueError("the label names must differ from each other")
        if "" in self.label_names:
            raise ValueError("the label names must not be empty")
        if (self.labels is not None or keys.allowed) and len(self.label_names) < 2:
            raise ValueError("labels: at least two names are needed")

    def check_several_columns(self, allowed: bool) -> None:
        """Raise ValueError if the keys about labels do not fit several columns of labels.

        allowed: whether the task can have several columns of labels.
        """
        if not allowed:
            raise ValueError(f"label: `task: {self.task}` needs one column of labels")
        if len(set(self.label_columns)) < len(self.label_columns):
            raise ValueError("label: the columns must differ from each other")
        if self.label_separator is not None:
            raise ValueError("label_separator: several columns of labels have no joined names; remove it")
        if isinstance(self.labels, list):
            raise ValueError("labels: the columns name the labels; map the columns to other names or remove `labels`")
        if self.labels is not None and {*self.labels} != {*self.label_columns}:
            raise ValueError("labels: should map each column of `label` to a name, or to null, and nothing else")
