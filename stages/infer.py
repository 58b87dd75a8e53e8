"""Use the trained classifier: on the sample texts of params.yaml, on the command line, on files, or from Python.

In:  models/base/ and models/adapter/.
Out: metrics/samples.json (as the pipeline's stage, that is without arguments).

    python -m stages.infer "I would watch it again tomorrow."
    python -m stages.infer --file reviews.csv --column text --out scored.parquet
    >>> from stages.infer import predict
    >>> predict(["I would watch it again tomorrow."])
    [(label, calibrated confidence)]
"""

import itertools
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from pydantic import Field
from tqdm import tqdm

from stages import checkpoint
from stages.files import ADAPTER, BASE, METRICS, write_json
from stages.params import InputError
from stages.run import run

Text = Annotated[str, Field(min_length=1)]
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


def predict(texts: list[str]) -> list[tuple[str, float]]:
    """(label, calibrated confidence) of each text. Loads the model each time; for many calls keep a Classifier.

    Raises InputError if models/base or models/adapter is missing.
    """
    return Classifier()(texts)


def infer(*, texts: Annotated[list[Text], Field(min_length=1)]) -> None:
    """Score the sample texts."""
    answers = predict(texts)
    write_json(
        METRICS / "samples.json",
        [
            {"text": text, "label": label, "confidence": round(confidence, 4)}
            for text, (label, confidence) in zip(texts, answers, strict=True)
        ],
    )


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
        if not (pa.types.is_string(schema.field(column).type) or pa.types.is_large_string(schema.field(column).type)):
            raise InputError(f"{path}: column {column!r} holds {schema.field(column).type}, not text; name another")
        if taken := {"predicted", "confidence"} & set(schema.names):
            raise InputError(f"{path}: has a column {taken.pop()!r} already; rename it")
        for batch in batches:
            yield from (batch.slice(start, ROWS) for start in range(0, batch.num_rows, ROWS))
    except pa.ArrowInvalid as error:
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


def lines(stream: BinaryIO) -> Iterator[list[str]]:
    """The lines of a stream, as many at a time as have arrived: a slow writer gets its answers at once."""
    rest, count = b"", 0
    while piece := stream.read1(2**16):
        *whole, rest = (rest + piece).split(b"\n")
        yield [decode(line, count + number) for number, line in enumerate(whole, 1)]
        count += len(whole)
    if rest:
        yield [decode(rest, count + 1)]


def decode(line: bytes, number: int) -> str:
    try:
        return line.decode().removesuffix("\r")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input: line {number}: not UTF-8 ({error.reason} at byte {error.start})") from None


def main(
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Texts to score; - for one a line.")] = None,
    file: Annotated[Path | None, typer.Option(help="Score a .csv, .jsonl or .parquet file.")] = None,
    column: Annotated[str, typer.Option(help="Its column of texts.")] = "text",
    out: Annotated[Path, typer.Option(help="Where its rows go, with predicted and confidence.")] = "scored.parquet",
) -> None:
    """Score texts with the trained classifier. Without arguments: the pipeline's stage `infer`.

    \b
    python -m stages.infer "I would watch it again tomorrow." "Too long."
    python -m stages.infer --file reviews.csv --column text --out scored.parquet
    cat reviews.txt | python -m stages.infer - > scored.jsonl

    A --file may be larger than memory. Called again after a kill, it goes on where it was.
    """
    if not texts and not file:
        return run(infer)
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        if file and texts:
            raise InputError("give either texts or --file")
        if file:
            print(f"infer: {score_file(file, column, out):,} rows in {out}")
        elif texts == ["-"]:
            classifier = Classifier()
            for batch in lines(sys.stdin.buffer):
                for text, (label, confidence) in zip(batch, classifier.rows(batch), strict=True):
                    confidence = confidence and round(confidence, 4)
                    print(json.dumps({"label": label, "confidence": confidence, "text": text}, ensure_ascii=False))
                sys.stdout.flush()
        else:
            answers = predict(texts)
            width = max(5, *(len(label) for label, _ in answers))
            print(f"{'label':{width}}  confidence  text")
            for text, (label, confidence) in zip(texts, answers, strict=True):
                print(f"{label:{width}}  {confidence:10.1%}  {text}")
    except BrokenPipeError:
        raise  # the reader has enough; typer ends quietly
    except (InputError, OSError) as error:
        sys.exit(f"infer: {error}")
    except KeyboardInterrupt:
        sys.exit("infer: interrupted; with --file the same command goes on where it was")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m stages.infer")
