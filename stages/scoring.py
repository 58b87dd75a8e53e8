"""The trained classifier on texts in memory and on files of any size.

In: models/base/ and models/adapter/.
"""

import itertools
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from stages import checkpoint
from stages.files import ADAPTER, BASE
from stages.params import InputError

ROWS = 1024  # of a part: what a killed run loses at most
BLOCK = 2**22  # bytes of a file to read at a time; a row must fit


class Classifier:
    """models/adapter, loaded once: `classifier(texts) -> [(label, confidence), ...]`."""

    def __init__(self):
        from stages.encoder import load_classifier

        self.model, self.tokenizer = load_classifier()

    def __call__(self, texts: list[str]) -> list[tuple[str, float]]:
        import numpy as np
        from scipy.special import softmax

        from stages.encoder import logits
        from stages.tokenize import encode

        if not texts:
            return []
        config = self.model.config
        ids = [np.array(row) for row in encode(texts, self.tokenizer, **config.tokenize)]
        probabilities = softmax(logits(self.model, ids).astype(np.float64), axis=1)
        best = probabilities.argmax(axis=1)
        return [(config.id2label[label], float(row[label])) for label, row in zip(best, probabilities, strict=True)]

    def rows(self, texts: list[str | None]) -> list[tuple[str | None, float | None]]:
        """The same for rows of a file, of which some may be blank: (None, None) for these."""
        answers = iter(self([text for text in texts if text and text.strip()]))
        return [next(answers) if text and text.strip() else (None, None) for text in texts]


def read_batches(path: Path, column: str) -> Iterator:
    """The rows of a .csv, .jsonl or .parquet file as pyarrow RecordBatches of at most ROWS rows.

    The columns of a .csv stay text. Raises InputError if there is no such file or column, or it cannot be read.
    """
    import pyarrow as pa
    from pyarrow import csv, json
    from pyarrow.parquet import ParquetFile

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        if path.suffix == ".parquet":
            file = ParquetFile(path, buffer_size=BLOCK)
            schema, batches = file.schema_arrow, file.iter_batches(ROWS)
        elif path.suffix == ".jsonl":
            batches = json.open_json(path, json.ReadOptions(block_size=BLOCK))
            schema = batches.schema
        elif path.suffix == ".csv":
            options = [csv.ReadOptions(block_size=BLOCK), csv.ParseOptions(newlines_in_values=True)]
            with csv.open_csv(path, *options) as header:
                texts = csv.ConvertOptions(column_types=dict.fromkeys(header.schema.names, pa.string()))
            batches = csv.open_csv(path, *options, texts)
            schema = batches.schema
        else:
            raise InputError(f"{path}: must end in .csv, .jsonl or .parquet")
        if column not in schema.names:
            raise InputError(f"{path}: no column {column!r}; it has {', '.join(schema.names)}; name one with --column")
        if schema.names.count(column) > 1:
            raise InputError(f"{path}: has several columns {column!r}; rename all but one")
        if not (pa.types.is_string(schema.field(column).type) or pa.types.is_large_string(schema.field(column).type)):
            raise InputError(f"{path}: column {column!r} holds {schema.field(column).type}, not text; name another")
        if taken := {"predicted", "confidence"} & set(schema.names):
            raise InputError(f"{path}: has a column {taken.pop()!r} already; rename it")
        for batch in batches:
            yield from (batch.slice(start, ROWS) for start in range(0, batch.num_rows, ROWS))
    except pa.ArrowException as error:
        raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None


def score_file(path: Path, column: str, out: Path) -> int:
    """Write the rows of `path` to `out` (Parquet) with the columns predicted and confidence; return their number.

    Memory does not grow with the file: it is read and scored by parts, each written to a folder beside `out`.
    After a kill the same call goes on from the last part; a changed file or model starts anew. Rows whose text
    is missing or blank get no prediction. Raises InputError, before anything is scored, if a row cannot be read.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if out.suffix != ".parquet":
        raise InputError(f"{out}: must end in .parquet")
    total = sum(batch.num_rows for batch in read_batches(path, column))
    if not total:
        raise InputError(f"{path}: has no rows")
    stat = path.stat()
    about = {"path": str(path.resolve()), "size": stat.st_size, "changed": stat.st_mtime_ns, "column": column}
    parts = out.with_name(f".{out.name}.parts")
    run_key = parts / checkpoint.key(about, [BASE, ADAPTER])
    if not run_key.is_file():
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        run_key.touch()
    classifier = Classifier()
    names = []
    with tqdm(total=total, desc="infer", unit="text", unit_scale=True, disable=None) as bar:
        for number, batch in enumerate(read_batches(path, column)):
            names.append(parts / f"{number:07}.parquet")
            if names[-1].is_file():
                bar.update(batch.num_rows)
                bar.initial = bar.n  # not part of the rate
                continue
            labels, confidences = zip(*classifier.rows(batch[column].to_pylist()), strict=True)
            batch = batch.append_column("predicted", pa.array(labels, pa.string()))
            batch = batch.append_column("confidence", pa.array(confidences, pa.float32()))
            write_whole(names[-1], [pa.Table.from_batches([batch])])
            bar.update(batch.num_rows)
    write_whole(out, (parquet.read_table(name) for name in names))
    shutil.rmtree(parts)
    return total


def write_whole(path: Path, tables: Iterable) -> None:
    """Write pyarrow Tables of the same schema as one Parquet file: all of it or nothing."""
    from pyarrow.parquet import ParquetWriter

    tables = iter(tables)
    first = next(tables)
    part = path.with_suffix(".part")
    with ParquetWriter(part, first.schema) as writer:
        for table in itertools.chain([first], tables):
            writer.write_table(table)
    os.replace(part, path)
