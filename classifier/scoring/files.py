"""The trained classifier on texts in memory and on files of any size.

In: models/base/ and models/adapter/.
"""

import glob
import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tqdm import tqdm

from classifier.dataset.tables import joined, read_rows
from classifier.distributed.processes import ALONE, Processes
from classifier.errors import InputError
from classifier.files.digests import digest_of
from classifier.files.places import ADAPTER, BASE
from classifier.model.checking import check_folders
from classifier.model.loading import trained_settings
from classifier.predict.classifier import Classifier
from classifier.runner.launch import launch
from classifier.runner.locks import single_run
from classifier.scoring.arrow import (
    PART,
    arrow_errors_refused,
    arrow_table,
    examined,
    is_whole,
    row_groups,
    write_whole,
)

# What shapes a part: a run that goes on uses those of the run before.
CODE = [Path("classifier") / room for room in ("dataset", "distributed", "model", "predict", "scoring", "text")]
LIBRARIES = ("numpy", "pandas", "peft", "pyarrow", "scipy", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Job:
    """A file to score and where its rows go. columns: of texts; several are joined by the separator."""

    path: Path
    out: Path = Path("scored.parquet")
    columns: tuple[str, ...] = ("text",)
    separator: str = "\n"
    min_confidence: float = 0.0

    @classmethod
    def like_training(cls, path: Path, out: Path, columns: Sequence[str] = (), separator: str | None = None, **more):
        """With the columns and the separator that models/adapter was trained on, where none are given."""
        trained = trained_settings()
        separator = trained["separator"] if separator is None else separator
        return cls(path, out, tuple(columns or trained["columns"]), separator, **more)

    @property
    def arguments(self) -> list[str]:
        """Of the command that does it."""
        columns = [f"--column={name}" for name in self.columns]
        options = [f"--out={self.out}", f"--separator={self.separator}", f"--min-confidence={self.min_confidence}"]
        return [f"--file={self.path}", *columns, *options]


def score_file(job: Job, overwrite: bool = False) -> int:
    """Write the rows of a file to `job.out` (Parquet) with the columns predicted and confidence; return their number.

    Memory does not grow with the file: it is read and scored by parts, each written to a folder beside `out`.
    After a kill the same call goes on from the last part; a changed file, model, library or code starts anew. With
    LAUNCH in the environment several processes share the parts. Rows whose text is missing or blank get no prediction.
    Raises InputError, before anything is scored, if there is no model, if a row cannot be read, if there is an `out`
    not to overwrite, or if another call is writing it; only at its part for a whole number of JSON that is too large
    for a column of fractions.
    """
    from pyarrow.parquet import read_metadata, read_schema

    path, out = job.path, job.out
    if out.suffix != ".parquet":
        raise InputError(f"{out}: must end in .parquet")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with only_writer(out, launches := bool(os.environ.get("LAUNCH"))):
        check_folders()
        if out.is_dir():
            raise InputError(f"{out}: is a folder; give another --out")
        if out.exists() and not overwrite:
            raise InputError(f"{out}: is there already; give another --out, or --overwrite to replace it")
        changed = path.stat().st_mtime_ns
        schema, total = examined(path, job.columns, trained_labels())
        folder = parts_folder(job)
        if launches:
            launch("apps.infer", *job.arguments)
        else:
            score_parts(job, schema, total, folder)
        if path.stat().st_mtime_ns != changed:
            raise InputError(f"{path}: changed during the run; start it again")
        if (scored := sum(read_metadata(part).num_rows for part in folder.glob("*.parquet"))) != total:
            raise InputError(f"{folder}: holds {scored:,} of {total:,} rows; start it again")
        write_whole(out, read_schema(folder / PART.format(0)), row_groups(folder))
        shutil.rmtree(folder)
        remove_other_parts(out)
        return total


def score_share(job: Job, processes: Processes) -> None:
    """What one of several processes does of `score_file`, which has started them and waits."""
    with only_writer(job.out, launches=False):
        folder = parts_folder(job, begin=False)
        score_parts(job, *examined(job.path, job.columns, trained_labels()), folder, processes)


def only_writer(out: Path, launches: bool) -> AbstractContextManager[None]:
    """Hold a lock, beside `out` so that all who could write it see it, that ends with this process."""
    refusal = f"{out}: another run is writing it; wait for that or give another --out"
    return single_run(out.with_name(f".{out.name}.lock"), launches, refusal)


def parts_folder(job: Job, begin: bool = True) -> Path:
    """The folder of what is scored already of this file for this `out`, emptied if that was of other contents or by
    another model, library or code, or refused if not to `begin` anew.
    """
    name, stat = bytes(job.path.resolve()), job.path.stat()
    about = {"columns": job.columns, "separator": job.separator, "min_confidence": job.min_confidence}
    about |= {"size": stat.st_size, "changed": stat.st_mtime_ns}
    about |= {library: metadata.version(library) for library in LIBRARIES}
    folder = job.out.with_name(f".{job.out.name}.{hashlib.sha256(name).hexdigest()[:8]}.parts")
    run_key = folder / digest_of(about, [BASE, ADAPTER, *CODE])
    if not run_key.is_file():
        if not begin:
            raise InputError(f"{folder}: not of the model, libraries and code that are here; start it again")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        run_key.touch()
    return folder


def trained_labels() -> list[str]:
    from transformers import AutoConfig

    return list(AutoConfig.from_pretrained(ADAPTER, local_files_only=True).id2label.values())


def remove_other_parts(out: Path) -> None:
    """Remove the parts that killed runs on other files left of this `out`, whose lock is held; name them on stderr."""
    removed = []
    for folder in sorted(out.parent.glob(f".{glob.escape(out.name)}.{'[0-9a-f]' * 8}.parts")):  # as parts_folder has it
        with suppress(OSError):  # another user's: `out` is written all the same
            shutil.rmtree(folder)
            removed.append(str(folder))
    if removed:
        print(f"infer: removed {', '.join(removed)}: unfinished parts of other files for {out}", file=sys.stderr)


def score_parts(job: Job, schema, total: int, folder: Path, processes: Processes = ALONE) -> None:
    """Write what is missing of a file's parts, one for each table of its rows, or of this process's share of them."""
    import pandas as pd
    import pyarrow as pa

    classifier = Classifier(job.min_confidence)
    with tqdm(total=total, desc="infer", unit="text", unit_scale=True, disable=None) as bar:
        for number, table in enumerate(filter(len, read_rows(job.path))):
            part = folder / PART.format(number)
            if number % processes.count != processes.rank or is_whole(part):
                bar.initial = bar.n + len(table)  # not part of the rate
            else:
                with arrow_errors_refused(job.path, table):
                    scored = arrow_table(table, schema)
                texts = pd.DataFrame({name: scored[name].to_pylist() for name in job.columns}, dtype=object)
                texts = joined(texts, job.columns, job.separator).tolist()
                labels, confidences = zip(*classifier(texts), strict=True)
                scored = scored.append_column("predicted", pa.array(labels, pa.string()))
                scored = scored.append_column("confidence", pa.array(confidences, pa.float32()))
                write_whole(part, scored.schema, [scored])
            bar.update(len(table))
