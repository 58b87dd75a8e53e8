"""JSON, CSV and Parquet, written whole, the same bytes for the same content every time."""

import json
from pathlib import Path
from typing import Any

from classifier.errors import InputError
from classifier.files.writing import written


def write_json(path: Path, content: Any) -> None:
    with written(path) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Raises InputError if it is not JSON, such as after a merge with conflicts."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}; bring it back with `git checkout` or `dvc repro`") from None


def write_csv(path: Path, frame, **options: Any) -> None:
    """A DataFrame as CSV; options: of its to_csv."""
    with written(path) as part:
        frame.to_csv(part, index=False, lineterminator="\n", **options)


def write_table(path: Path, frame, **metadata: Any) -> None:
    """A DataFrame as Parquet, with `metadata` (label names, for example) in the schema and nothing of pandas."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    with written(path) as part:
        pq.write_table(table.replace_schema_metadata(metadata_bytes(metadata)), part)


def read_table(path: Path) -> tuple[Any, dict[str, Any]]:
    """(DataFrame, metadata) of a file that write_table wrote."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return table.to_pandas(), metadata_of(table.schema)


def metadata_of(schema) -> dict[str, Any]:
    """The metadata of a pyarrow Schema, as write_table's `metadata` wrote it."""
    return {k.decode(): json.loads(v) for k, v in (schema.metadata or {}).items()}


def metadata_bytes(metadata: dict[str, Any]) -> dict[str, str]:
    """The inverse of metadata_of."""
    return {k: json.dumps(v) for k, v in metadata.items()}
