"""The columns of a scored file: the types that hold all their values, and the conversion of tables to these types.

A column that has no such type is written as JSON texts. Its field in the schema says so in its metadata.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from classifier.errors import InputError
from classifier.scoring.values import json_line, json_value

JSON = b"json"  # key in the metadata of a column of JSON texts; its value is the reason, or empty
EXACT = 2**53  # float64 holds all integers up to this one exactly


class ColumnTypes:
    """The types that hold all values of each column of a file, gathered while its tables are read.

    Attributes:
        types: Name of a column -> pyarrow type, or None if no type holds all values.
        large: Names of the columns that have integers beyond EXACT. If such a column also has floats, its type is None.
    """

    def __init__(self):
        self.types, self.large = {}, set()

    def add(self, table: pd.DataFrame) -> None:
        """Widen the types so that they hold the values of one more table."""
        import pyarrow as pa

        for name in table:
            known = self.types.get(name, pa.null())
            self.types[name] = None if known is None else self.widened(name, known, table[name])

    def widened(self, name: str, known, values: pd.Series):
        """Return the narrowest type that holds the known type and these values; None if there is no such type.

        A column with integers beyond EXACT is added to `large`.
        """
        import pyarrow as pa
        from pyarrow.compute import min_max

        try:
            array = pa.array(values, from_pandas=True)
            both = [pa.schema([(name, kind)]) for kind in (known, array.type)]
            kind = pa.unify_schemas(both, promote_options="permissive").field(0).type
        except (pa.ArrowException, OverflowError):
            return None
        may_change = pa.types.is_floating(array.type) or pa.types.is_nested(array.type)
        if may_change and any(becomes_number(value, array.type) for value in values):
            return None
        if pa.types.is_integer(array.type):
            lowest, highest = min_max(array).as_py().values()
            if max(abs(lowest), abs(highest)) > EXACT:
                self.large.add(name)
        return None if name in self.large and pa.types.is_floating(kind) else kind


def becomes_number(value: Any, kind) -> bool:
    """Return whether pyarrow would turn True or False into a number if it converted a value to this type.

    The value itself may be True or False, or an item of the value, which may be a list or a dict.
    """
    import pyarrow as pa

    if pa.types.is_floating(kind):
        return isinstance(value, bool)
    if pa.types.is_list(kind) and isinstance(value, list):
        return any(becomes_number(item, kind.value_type) for item in value)
    if pa.types.is_struct(kind) and isinstance(value, dict):
        return any(becomes_number(value.get(field.name), field.type) for field in kind.fields)
    return False


def output_schema(types: dict, names: Iterable[str], suffix: str):
    """Return the pyarrow schema of the columns of a scored file.

    Args:
        types: The types of the columns, as `ColumnTypes` has them.
        names: The names of the columns to write.
        suffix: The suffix of the scored file. Only a .parquet file has lists and objects.
    """
    import pyarrow as pa

    fields = []
    for name in names:
        reason = json_reason(types[name], suffix)
        field = pa.field(name, types[name]) if reason is None else pa.field(name, pa.string())
        fields.append(field if reason is None else field.with_metadata({JSON: "" if suffix == ".jsonl" else reason}))
    return pa.schema(fields)


def json_reason(kind, suffix: str) -> str | None:
    """Return the reason why a column of a type is written as JSON texts, in words for the user.

    "": lists and objects, which a .csv or .jsonl file can hold only as JSON; the user is told nothing. None: the column
    is not written as JSON texts.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    if kind is None:
        return "values of several types"
    if suffix != ".parquet" and pa.types.is_nested(kind):
        return ""
    try:
        with ParquetWriter(pa.BufferOutputStream(), pa.schema([("", kind)])):  # opening the writer checks the type
            return None
    except pa.ArrowException:
        return "values that Parquet cannot hold"


def arrow_type(name: str):
    """Return the pyarrow type with a name such as float32 or list<string>."""
    import pyarrow as pa

    inner = name.removeprefix("list<").removesuffix(">")
    kind = pa.type_for_alias(inner)
    return kind if inner == name else pa.list_(kind)


def arrow_table(table: pd.DataFrame, schema):
    """Return a table of `read_rows` as a pyarrow Table of the given schema."""
    import pyarrow as pa

    def column(field):
        values = table.get(field.name)
        if values is None:
            return pa.nulls(len(table), field.type)
        array = pa.array(values, from_pandas=True) if isinstance(values.dtype, pd.ArrowDtype) else None
        if JSON in (field.metadata or {}):
            values = map(json_value, values if array is None else array.to_pylist())
            return pa.array([None if value is None else json_line(value) for value in values], field.type)
        return pa.array(values, field.type, from_pandas=True) if array is None else array.cast(field.type)

    return pa.table([column(field) for field in schema], schema)


@contextmanager
def input_errors_of_arrow(path: Path, table: pd.DataFrame) -> Iterator[None]:
    """Raise an error of pyarrow as an InputError that names the file and the lines or rows of the table."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OverflowError) as error:
        place = f"{table.index.name}s {table.index[0]} to {table.index[-1]}"
        raise InputError(f"{path}: {place}: {'; '.join(map(str, error.args))}; fix the file") from None


def report_json(schema) -> None:
    """Print a line to stderr for each column that is written as JSON because of its values."""
    for field in schema:
        if reason := (field.metadata or {}).get(JSON, b"").decode():
            print(f"infer: column {field.name!r} has {reason}: written as JSON", file=sys.stderr)
