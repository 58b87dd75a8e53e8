"""Score a file of any size with the trained classifier of models/base and models/adapter.

`score_file` works in three steps: it examines the whole file, it scores the parts that an earlier run has not finished,
and it joins all parts into the output file. A summary of the answers goes into a JSON file beside the output.
"""

import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from classifier.distributed.devices import scoring_metadata
from classifier.distributed.processes import ALONE, Processes
from classifier.errors import InputError
from classifier.files.formats import metadata_strings, write_json
from classifier.files.writing import replace_file
from classifier.model.features import sampled_rows, to_bytes
from classifier.model.integrity import check_models_exist
from classifier.predict.classifier import Classifier
from classifier.runner.launch import launch
from classifier.runner.locks import single_run
from classifier.scoring.columns import arrow_table, arrow_type, input_errors_of_arrow, report_json
from classifier.scoring.examining import examine
from classifier.scoring.job import Job, readable_twice
from classifier.scoring.options import model_labels
from classifier.scoring.parts import FEATURES, Parts, remove_other_parts
from classifier.scoring.summary import Summary
from classifier.scoring.writing import WRITERS, write_parquet
from classifier.tables.reading import column_values, join_columns, read_rows
from classifier.text.pairs import Text


def score_file(job: Job, overwrite: bool = False) -> int:
    """Write the rows of a file to `job.out` with the answers in columns at the end, and return the number of rows.

    Memory does not grow with the file: it is read and scored in parts, which are written to a folder beside the output.
    After a kill, the same call resumes after the finished parts. The call starts from the beginning if the file, the
    settings, the model, a library or the code has changed since, or if the input is a pipe. With LAUNCH in the
    environment, several processes share the parts. The answer columns are null in a row whose text is missing, blank or
    without readable tokens, and in a row with a pair that has such a text.

    Args:
        job: The input, the output and the settings.
        overwrite: Replace the output and the summary if they exist.

    Raises:
        InputError: Before any row is scored: the model is missing, a row cannot be read, the output exists and must
            not be overwritten, or another call is writing it. While rows are scored: an integer of JSON is too large
            for a column of fractions, or the file has changed.
    """
    if job.out.suffix not in WRITERS:
        raise InputError(f"{job.out}: must end in {', '.join(WRITERS)}")
    if not job.path.exists():
        raise InputError(f"{job.path}: no such file")
    if job.path.is_dir():
        raise InputError(f"{job.path}: is a folder; give one of its files")
    launches = bool(os.environ.get("LAUNCH"))
    with only_writer(job.out, launches):
        check_models_exist()
        for path in (job.out, job.summary):
            check_output(path, overwrite)
        with readable_twice(job) as job:
            return score_checked(job, launches)


def score_checked(job: Job, launches: bool) -> int:
    """Score a file as `score_file` does, once the model and the output are checked."""
    changed = job.path.stat().st_mtime_ns
    labels = model_labels()
    schema, row_count = examine(job, labels)
    report_json(schema)
    parts, summary = job.parts(), Summary(job, labels)
    parts.begin()
    if launches:
        launch("apps.infer", *job.arguments)  # each process calls score_share
    else:
        score_missing_parts(job, schema, row_count, parts)
    if job.path.stat().st_mtime_ns != changed:
        raise InputError(f"{job.path}: changed during the run; start the command again")
    check_parts(parts, row_count)
    for table in parts.row_groups([*job.added, FEATURES]):
        summary.add(table)
    # Output and summary are put in place one right after the other, so that a kill leaves both or none.
    with replace_file(job.summary) as unfinished:
        write_json(unfinished, summary.content())
        join_parts(parts, job.out)
    shutil.rmtree(parts.folder)
    remove_other_parts(job.out)
    return row_count


def score_share(job: Job, processes: Processes) -> None:
    """Score this process's share of the parts. `score_file` has started the processes and waits for them."""
    with only_writer(job.out, launches=False):
        parts = job.parts()
        parts.check_begun()
        score_missing_parts(job, *examine(job, model_labels()), parts, processes)


def only_writer(out: Path, launches: bool) -> AbstractContextManager[None]:
    """Return `single_run` for an output file, which raises InputError if another process writes it.

    The lock file lies beside the output, where all runs that could write the output see it. The lock is held until the
    `with` block or this process ends.
    """
    refusal = f"{out}: another run is writing it; wait for that run or give another --out"
    return single_run(out.with_name(f".{out.name}.lock"), launches, refusal)


def check_output(out: Path, overwrite: bool) -> None:
    """Raise InputError if the output is a folder, or exists and must not be overwritten."""
    if out.is_dir():
        raise InputError(f"{out}: is a folder; give another --out")
    if out.exists() and not overwrite:
        raise InputError(f"{out}: exists already; give another --out, or --overwrite to replace it")


def score_missing_parts(job: Job, schema, row_count: int, parts: Parts, processes: Processes = ALONE) -> None:
    """Score and write the parts that are not finished, or this process's share of them.

    Args:
        job: The input and the settings.
        schema: The pyarrow schema of all rows of the input.
        row_count: The number of rows.
        parts: The folder of the parts, which `Parts.begin` has made ready.
        processes: This process among those that share the parts.
    """
    classifier, skipped = Classifier(job.min_confidence, precision=job.precision, sets=job.sets), 0
    metadata, start = metadata_strings(scoring_metadata(job.precision)) or None, 0
    sampled = sampled_rows(row_count)
    with tqdm(total=row_count, desc="infer", unit="text", unit_scale=True, disable=None) as bar:
        for number, table in enumerate(filter(len, read_rows(job.path, job.form))):
            if number % processes.count != processes.rank or parts.is_finished(number):
                skipped += len(table)
                bar.initial = skipped  # these rows do not count for the mean rate
            else:
                with input_errors_of_arrow(job.path, table):
                    rows = arrow_table(table, schema)
                kept = np.isin(np.arange(start, start + len(table)), sampled)
                scored = add_answers(rows, texts_to_score(table, job), classifier, job.added, kept)
                scored = scored.replace_schema_metadata(metadata)
                write_parquet(parts.part(number), scored.schema, [scored])
            bar.update(len(table))
            start += len(table)


def add_answers(rows, texts: list[Text | None], classifier: Classifier, added: dict[str, str], is_sampled: np.ndarray):
    """Return a pyarrow Table with the answers to the texts, and with FEATURES, in columns at its end.

    Args:
        rows: The pyarrow Table.
        texts: The text of each row.
        classifier: The classifier.
        added: The columns of the answers: `Job.added`.
        is_sampled: Whether to keep the features of each row, (rows,) bool.
    """
    import pyarrow as pa

    answers, features = classifier.answers_and_features(texts)
    for (name, kind), values in zip(added.items(), zip(*answers, strict=True), strict=True):
        rows = rows.append_column(name, pa.array(values, arrow_type(kind)))
    kept = [
        to_bytes(text, vector) if is_kept and vector is not None else None
        for text, vector, is_kept in zip(texts, features, is_sampled, strict=True)
    ]
    return rows.append_column(FEATURES, pa.array(kept, pa.binary()))


def texts_to_score(table: pd.DataFrame, job: Job) -> list[Text | None]:
    """Return the text or the pair of texts of each row of a table."""
    columns = {name: column_values(table, name) for name in job.columns}
    values = {name: None if column is None else column.astype(object) for name, column in columns.items()}
    return join_columns(pd.DataFrame(values, table.index, dtype=object), job.columns, job.separator, job.pair).tolist()


def check_parts(parts: Parts, row_count: int) -> None:
    """Raise InputError if the parts do not hold as many rows as the input."""
    if (finished := parts.row_count()) != row_count:
        raise InputError(f"{parts.folder}: holds {finished:,} of {row_count:,} rows; start the command again")


def join_parts(parts: Parts, out: Path) -> None:
    """Write all parts to one file, without their features."""
    from pyarrow.parquet import read_schema

    schema = read_schema(parts.part(0))
    schema = schema.remove(schema.get_field_index(FEATURES))
    WRITERS[out.suffix](out, schema, (table.drop_columns(FEATURES) for table in parts.row_groups()))
