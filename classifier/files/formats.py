"""JSON, CSV and Parquet files: written as a whole or not at all, and the same bytes for the same content."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from classifier.errors import InputError
from classifier.files.writing import replace_file


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file. Raises ValueError for NaN and infinity, which JSON does not have."""
    with replace_file(path) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file. Raises InputError if the file is damaged, for example by a merge conflict."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}; restore it with `git checkout` or `dvc repro`") from None


def write_csv(path: Path, frame, **options: Any) -> None:
    """Write a DataFrame as CSV without its index. `options` are those of DataFrame.to_csv."""
    with replace_file(path) as part:
        frame.to_csv(part, index=False, lineterminator="\n", **options)


def write_table(path: Path, frame, **metadata: Any) -> None:
    """Write a DataFrame as Parquet without its index.

    Args:
        path: the file to write.
        frame: a pandas DataFrame.
        metadata: values that JSON can hold, such as the label names. They become the metadata of the schema, without
            pandas' own metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    with replace_file(path) as part:
        pq.write_table(table.replace_schema_metadata(metadata_strings(metadata)), part)


def table_of(columns: dict[str, Any]):
    """Return a DataFrame with these columns. A 2-D array (rows, names) becomes a column of 1-D arrays (names,)."""
    import pandas as pd

    return pd.DataFrame({name: list(values) if np.ndim(values) == 2 else values for name, values in columns.items()})


def array_of(column) -> np.ndarray:
    """Return the array from which `table_of` made a column."""
    return np.stack(column) if column.dtype == object else column.to_numpy()


def read_table(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return (DataFrame, metadata) of a file that `write_table` wrote."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return table.to_pandas(), metadata_of(table.schema)


def metadata_of(schema) -> dict[str, Any]:
    """Return the metadata of a pyarrow Schema that `write_table` wrote."""
    return {k.decode(): json.loads(v) for k, v in (schema.metadata or {}).items()}


def metadata_strings(metadata: dict[str, Any]) -> dict[str, str]:
    """Return metadata in the form that pyarrow takes for a schema: each value as JSON. `metadata_of` reads it back."""
    return {k: json.dumps(v) for k, v in metadata.items()}
