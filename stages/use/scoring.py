"""The trained classifier on texts in memory and on files of any size.

In: models/base/ and models/adapter/.
"""

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from tqdm import tqdm

from stages.classifier import checkpoint
from stages.files import ADAPTER, BASE, locked
from stages.rows.tables import read_rows
from stages.settings.errors import InputError

# What shapes a part: a run that goes on uses those of the run before.
CODE = [Path("stages") / name for name in ("use", "classifier/forward.py", "rows", "text.py")]
LIBRARIES = ("numpy", "pandas", "peft", "pyarrow", "scipy", "tokenizers", "torch", "transformers")
PART = "{:07}.parquet"
GROUP_ROWS, GROUP_BYTES = 2**16, 2**24  # of a row group of the result, about: its footer has an entry for each


class Classifier:
    """models/adapter, loaded once: `classifier(texts) -> [(label, confidence), ...]`."""

    def __init__(self):
        from stages.use.loading import load_classifier

        self.model, self.tokenizer = load_classifier()

    def __call__(self, texts: list[str | None]) -> list[tuple[str | None, float | None]]:
        """(None, None) for a text that is missing or blank."""
        import numpy as np
        from scipy.special import softmax

        from stages.classifier.forward import logits
        from stages.text import encode

        config = self.model.config
        said = [bool(text and text.strip()) for text in texts]
        if not any(said):
            return [(None, None)] * len(texts)
        ids = encode(list(itertools.compress(texts, said)), self.tokenizer, **config.tokenize)
        scores = logits(self.model, [np.array(row) for row in ids]).astype(np.float64)
        rows = iter(softmax(scores, axis=1))
        best = [next(rows) if each else None for each in said]
        return [(None, None) if row is None else (config.id2label[row.argmax()], float(row.max())) for row in best]


def score_file(path: Path, column: str, out: Path, overwrite: bool = False) -> int:
    """Write the rows of `path` to `out` (Parquet) with the columns predicted and confidence; return their number.

    Memory does not grow with the file: it is read and scored by parts, each written to a folder beside `out`.
    After a kill the same call goes on from the last part; a changed file, model, library or code starts anew. Rows
    whose text is missing or blank get no prediction. Raises InputError, before anything is scored, if a row cannot
    be read, if there is an `out` not to overwrite, or if another call is writing it.
    """
    from pyarrow.parquet import read_schema

    if out.suffix != ".parquet":
        raise InputError(f"{out}: must end in .parquet")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with only_writer(out):
        if out.exists() and not overwrite:
            raise InputError(f"{out}: is there already; give another --out, or --overwrite to replace it")
        changed = path.stat().st_mtime_ns
        schema, total = examined(path, column)
        folder = parts_folder(path, column, out)
        count = score_parts(path, column, schema, total, folder)
        if path.stat().st_mtime_ns != changed:
            raise InputError(f"{path}: changed during the run; start it again")
        write_whole(out, read_schema(folder / PART.format(0)), row_groups(folder, count))
        shutil.rmtree(folder)
        return total


@contextmanager
def only_writer(out: Path) -> Iterator[None]:
    """Hold a lock, beside `out` so that all who could write it see it, that ends with this process."""
    from filelock import Timeout

    lock = out.with_name(f".{out.name}.lock")
    try:
        with locked(lock):
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)  # while held: who opened it before finds it gone and makes a new one
    except Timeout:
        raise InputError(f"{out}: another run is writing it; wait for that or give another --out") from None


def examined(path: Path, column: str) -> tuple:
    """(pyarrow Schema, number of rows) of a file, which is read to its end, or InputError for what cannot be scored.

    A row of JSON may lack keys that others have, or have null or a whole number for what is a text or a fraction there.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    schema, total = pa.schema([]), 0
    for table in read_rows(path):
        total += len(table)
        with arrow_errors_refused(path, table):
            schema = pa.unify_schemas([schema, arrow_table(table).schema], promote_options="permissive")
        if path.suffix != ".jsonl":  # the others' columns are known at once
            check_columns(path, column, schema.names)
    if not total:
        raise InputError(f"{path}: has no rows")
    check_columns(path, column, schema.names)
    kind = schema.field(column).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InputError(f"{path}: column {column!r} holds {kind}, not text; name another with --column")
    with arrow_errors_refused(path), ParquetWriter(pa.BufferOutputStream(), schema):
        pass  # a type that Parquet has not is refused
    return schema, total


def check_columns(path: Path, column: str, names: list[str]) -> None:
    if column not in names:
        raise InputError(f"{path}: no column {column!r}; it has {', '.join(names)}; name one with --column")
    if taken := {"predicted", "confidence"}.intersection(names):
        raise InputError(f"{path}: has a column {taken.pop()!r} already; rename it")


def arrow_table(table, schema=None):
    """A DataFrame of read_rows as a pyarrow Table, of the types that its values have or of a schema for all rows."""
    import pyarrow as pa

    if schema:
        table = table.assign(**{name: None for name in schema.names if name not in table})[schema.names]
    return pa.Table.from_pandas(table, schema, preserve_index=False).replace_schema_metadata()


@contextmanager
def arrow_errors_refused(path: Path, table=None) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OverflowError) as error:
        place = "" if table is None else f"{table.index.name}s {table.index[0]} to {table.index[-1]}: "
        raise InputError(f"{path}: {place}{'; '.join(map(str, error.args))}; fix the file") from None


def parts_folder(path: Path, column: str, out: Path) -> Path:
    """The folder of what is scored already of this file for this `out`, emptied if that was of other contents or by
    another model, library or code.
    """
    name, stat = bytes(path.resolve()), path.stat()
    about = {"column": column, "size": stat.st_size, "changed": stat.st_mtime_ns}
    about |= {library: metadata.version(library) for library in LIBRARIES}
    folder = out.with_name(f".{out.name}.{hashlib.sha256(name).hexdigest()[:8]}.parts")
    run_key = folder / checkpoint.key(about, [BASE, ADAPTER, *CODE])
    if not run_key.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        run_key.touch()
    return folder


def score_parts(path: Path, column: str, schema, total: int, folder: Path) -> int:
    """Write what is missing of a file's parts, one for each table of its rows; returns how many there are."""
    import pyarrow as pa

    classifier, count = Classifier(), 0
    with tqdm(total=total, desc="infer", unit="text", unit_scale=True, disable=None) as bar:
        for table in filter(len, read_rows(path)):
            part = folder / PART.format(count)
            if part.is_file():
                bar.initial = bar.n + len(table)  # not part of the rate
            else:
                with arrow_errors_refused(path, table):
                    scored = arrow_table(table, schema)
                labels, confidences = zip(*classifier(scored[column].to_pylist()), strict=True)
                scored = scored.append_column("predicted", pa.array(labels, pa.string()))
                scored = scored.append_column("confidence", pa.array(confidences, pa.float32()))
                write_whole(part, scored.schema, [scored])
            bar.update(len(table))
            count += 1
    return count


def row_groups(folder: Path, count: int) -> Iterator:
    """The rows of all parts as pyarrow Tables, few of them but none larger than memory must hold."""
    import pyarrow as pa
    from pyarrow import parquet

    tables = []
    for number in range(count):
        part = folder / PART.format(number)
        tables.append(parquet.read_table(part, partitioning=None))  # a folder's name may have a "="
        if sum(map(len, tables)) >= GROUP_ROWS or sum(table.nbytes for table in tables) >= GROUP_BYTES:
            yield pa.concat_tables(tables)
            tables.clear()
    if tables:
        yield pa.concat_tables(tables)


def write_whole(path: Path, schema, tables: Iterable) -> None:
    """Write pyarrow Tables of this schema as one Parquet file, a row group each: all of it or nothing."""
    from pyarrow.parquet import ParquetWriter

    part = path.with_suffix(".part")
    # Statistics, of which a text's are long, would stay in memory until the end.
    with ParquetWriter(part, schema, write_statistics=False) as writer:
        for table in tables:
            writer.write_table(table)
            del table  # before the next is read
    os.replace(part, path)
