"""Score a file of any size with the trained classifier of models/base and models/adapter.

`score_file` works in three steps: it examines the whole file, it scores the parts that an earlier run has not finished,
and it joins all parts into the output file.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from classifier.dataset.tables import join_columns, read_rows
from classifier.distributed.processes import ALONE, Processes
from classifier.errors import InputError
from classifier.files.places import ADAPTER
from classifier.model.integrity import check_models_exist
from classifier.model.loading import trained_settings
from classifier.predict.classifier import Classifier
from classifier.runner.launch import launch
from classifier.runner.locks import single_run
from classifier.scoring.arrow import ADDED, arrow_table, examine, input_errors_of_arrow, write_parquet
from classifier.scoring.parts import Parts, remove_other_parts


@dataclass(frozen=True)
class Job:
    """A file to score and how to score it.

    Attributes:
        path: The input: a .csv, .jsonl or .parquet file.
        out: The output, a .parquet file.
        columns: The columns of texts. The texts of several columns are joined.
        separator: The string between joined texts.
        min_confidence: The confidence below which the label is "uncertain".
    """

    path: Path
    out: Path = Path("scored.parquet")
    columns: tuple[str, ...] = ("text",)
    separator: str = "\n"
    min_confidence: float = 0.0

    @classmethod
    def like_training(cls, path: Path, out: Path, columns: Sequence[str] = (), separator: str | None = None, **more):
        """Return a job that reads the texts as the training did, unless columns or a separator are given."""
        trained = trained_settings()
        separator = trained["separator"] if separator is None else separator
        return cls(path, out, tuple(columns or trained["columns"]), separator, **more)

    @property
    def arguments(self) -> list[str]:
        """The arguments of apps.infer for this job."""
        columns = [f"--column={name}" for name in self.columns]
        options = [f"--out={self.out}", f"--separator={self.separator}", f"--min-confidence={self.min_confidence}"]
        return [f"--file={self.path}", *columns, *options]

    def parts(self) -> Parts:
        """Return the parts that belong to the input as it is now."""
        return Parts.of(**asdict(self))


def score_file(job: Job, overwrite: bool = False) -> int:
    """Write the rows of a file to `job.out` with the columns predicted and confidence, and return their number.

    Memory does not grow with the file: it is read and scored in parts, which are written to a folder beside the output.
    After a kill, the same call resumes after the finished parts. If the file, the settings, the model, a library or the
    code has changed since, the call starts from the beginning. With LAUNCH in the environment, several processes share
    the parts. A row whose text is missing, blank or without readable tokens gets null in both columns.

    Args:
        job: The input, the output and the settings.
        overwrite: Replace the output if it exists.

    Raises:
        InputError: Before any row is scored: the model is missing, a row cannot be read, the output exists and must
            not be overwritten, or another call is writing it. While rows are scored: an integer of JSON is too large
            for a column of fractions, or the file has changed.
    """
    if job.out.suffix != ".parquet":
        raise InputError(f"{job.out}: must end in .parquet")
    if not job.path.is_file():
        raise InputError(f"{job.path}: no such file")
    launches = bool(os.environ.get("LAUNCH"))
    with only_writer(job.out, launches):
        check_models_exist()
        check_output(job.out, overwrite)
        changed = job.path.stat().st_mtime_ns
        schema, row_count = examine(job.path, job.columns, model_labels())
        parts = job.parts()
        parts.begin()
        if launches:
            launch("apps.infer", *job.arguments)  # each process calls score_share
        else:
            score_missing_parts(job, schema, row_count, parts)
        if job.path.stat().st_mtime_ns != changed:
            raise InputError(f"{job.path}: changed during the run; start the command again")
        join_parts(parts, row_count, job.out)
    return row_count


def score_share(job: Job, processes: Processes) -> None:
    """Score this process's share of the parts. `score_file` has started the processes and waits for them."""
    with only_writer(job.out, launches=False):
        parts = job.parts()
        parts.check_begun()
        score_missing_parts(job, *examine(job.path, job.columns, model_labels()), parts, processes)


def only_writer(out: Path, launches: bool) -> AbstractContextManager[None]:
    """Return `single_run` for an output file, which raises InputError if another process writes it.

    The lock file lies beside the output, where all runs that could write the output see it. The lock ends with this
    process.
    """
    refusal = f"{out}: another run is writing it; wait for that run or give another --out"
    return single_run(out.with_name(f".{out.name}.lock"), launches, refusal)


def check_output(out: Path, overwrite: bool) -> None:
    """Raise InputError if the output is a folder, or exists and must not be overwritten."""
    if out.is_dir():
        raise InputError(f"{out}: is a folder; give another --out")
    if out.exists() and not overwrite:
        raise InputError(f"{out}: exists already; give another --out, or --overwrite to replace it")


def model_labels() -> list[str]:
    """Return the names of the model's labels without loading the model."""
    from transformers import AutoConfig

    return list(AutoConfig.from_pretrained(ADAPTER, local_files_only=True).id2label.values())


def score_missing_parts(job: Job, schema, row_count: int, parts: Parts, processes: Processes = ALONE) -> None:
    """Score and write the parts that are not finished, or this process's share of them.

    Args:
        job: The input and the settings.
        schema: The pyarrow schema of all rows of the input.
        row_count: The number of rows, for the progress bar.
        parts: The folder of the parts, which `Parts.begin` has made ready.
        processes: This process among those that share the parts.
    """
    classifier, skipped = Classifier(job.min_confidence), 0
    with tqdm(total=row_count, desc="infer", unit="text", unit_scale=True, disable=None) as bar:
        for number, table in enumerate(filter(len, read_rows(job.path))):
            if number % processes.count != processes.rank or parts.is_finished(number):
                skipped += len(table)
                bar.initial = skipped  # these rows do not count for the mean rate
            else:
                with input_errors_of_arrow(job.path, table):
                    rows = arrow_table(table, schema)
                scored = add_answers(rows, job, classifier)
                write_parquet(parts.part(number), scored.schema, [scored])
            bar.update(len(table))


def add_answers(rows, job: Job, classifier: Classifier):
    """Return a pyarrow Table with the columns of ADDED at its end."""
    import pandas as pd
    import pyarrow as pa

    texts = pd.DataFrame({name: rows[name].to_pylist() for name in job.columns}, dtype=object)
    answers = classifier(join_columns(texts, job.columns, job.separator).tolist())
    for name, kind, values in zip(ADDED, (pa.string(), pa.float32()), zip(*answers, strict=True), strict=True):
        rows = rows.append_column(name, pa.array(values, kind))
    return rows


def join_parts(parts: Parts, row_count: int, out: Path) -> None:
    """Write all parts to one file. Then remove them, and the parts that other runs have left for this output.

    Raises:
        InputError: The parts do not hold as many rows as the input.
    """
    from pyarrow.parquet import read_schema

    if (finished := parts.row_count()) != row_count:
        raise InputError(f"{parts.folder}: holds {finished:,} of {row_count:,} rows; start the command again")
    write_parquet(out, read_schema(parts.part(0)), parts.row_groups())
    shutil.rmtree(parts.folder)
    remove_other_parts(out)
