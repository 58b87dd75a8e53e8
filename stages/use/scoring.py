"""The trained classifier on texts in memory and on files of any size.

In: models/base/ and models/adapter/.
"""

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tqdm import tqdm

from stages.classifier import checkpoint
from stages.classifier.processes import ALONE, Processes, launch
from stages.files import ADAPTER, BASE, if_none_runs
from stages.rows.tables import joined, read_rows
from stages.run import only_one
from stages.settings.errors import InputError
from stages.settings.params import load_params
from stages.use.arrow import PART, arrow_errors_refused, arrow_table, examined, row_groups, write_whole
from stages.use.loading import check_folders
from stages.use.threshold import confidence_threshold

# What shapes a part: a run that goes on uses those of the run before.
CODE = [Path("stages") / name for name in ("use", "classifier", "rows", "text.py")]
LIBRARIES = ("numpy", "pandas", "peft", "pyarrow", "scipy", "tokenizers", "torch", "transformers")


UNCERTAIN = "uncertain"  # in place of a label whose confidence is too low


class Classifier:
    """models/adapter, loaded once: `classifier(texts) -> [(label, confidence), ...]`.

    min_confidence: below it the label is UNCERTAIN.
    """

    def __init__(self, min_confidence: float = 0.0):
        from stages.use.loading import load_classifier

        self.model, self.tokenizer = load_classifier()
        self.min_confidence = min_confidence
        if min_confidence and UNCERTAIN in self.model.config.label2id:
            raise InputError(f"the data set has a label {UNCERTAIN!r} of its own; leave the threshold out")

    def __call__(self, texts: list[str | None]) -> list[tuple[str | None, float | None]]:
        """(None, None) for a text that is missing or blank."""
        said = [bool(text and text.strip()) for text in texts]
        if not any(said):
            return [(None, None)] * len(texts)
        rows = iter(self.probabilities(list(itertools.compress(texts, said))))
        return [self.answer(next(rows)) if each else (None, None) for each in said]

    def probabilities(self, texts: list[str]):
        """(texts, labels) float64, of texts that are not blank."""
        import numpy as np
        from scipy.special import softmax

        from stages.classifier.forward import logits, mean_by_text
        from stages.text import encode

        windows = encode(texts, self.tokenizer, **self.model.config.tokenize)
        places = np.repeat(np.arange(len(windows)), [len(of_text) for of_text in windows])
        scores = logits(self.model, [np.array(ids) for of_text in windows for ids in of_text])
        return softmax(mean_by_text(scores, places).astype(np.float64), axis=1)

    def answer(self, probabilities) -> tuple[str, float]:
        """(label, confidence) by the probabilities, (labels,), of one text."""
        label, confidence = self.model.config.id2label[probabilities.argmax()], float(probabilities.max())
        return (label if confidence >= self.min_confidence else UNCERTAIN), confidence


def confidence_needed(wanted: str | None) -> float:
    """What --min-confidence says: a number, or `target`, the confidence that evaluate.target_accuracy needs."""
    if wanted == "target":
        return confidence_threshold(load_params().evaluate.target_accuracy)
    try:
        number = float(wanted or 0)
    except ValueError:
        number = -1
    if not 0 <= number <= 1:
        raise InputError(f"--min-confidence {wanted}: a number from 0 to 1, or target, is needed")
    return number


@dataclass(frozen=True)
class Job:
    """A file to score and where its rows go. columns: of texts; several are joined by the separator, as the data set's
    are.
    """

    path: Path
    out: Path = Path("scored.parquet")
    columns: tuple[str, ...] = ("text",)
    separator: str = "\n"
    min_confidence: float = 0.0

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
        schema, total = examined(path, job.columns)
        folder = parts_folder(job)
        if launches:
            launch("infer", *job.arguments)
        else:
            score_parts(job, schema, total, folder)
        if path.stat().st_mtime_ns != changed:
            raise InputError(f"{path}: changed during the run; start it again")
        if (scored := sum(read_metadata(part).num_rows for part in folder.glob("*.parquet"))) != total:
            raise InputError(f"{folder}: holds {scored:,} of {total:,} rows; start it again")
        write_whole(out, read_schema(folder / PART.format(0)), row_groups(folder))
        shutil.rmtree(folder)
        return total


def score_share(job: Job, processes: Processes) -> None:
    """What one of several processes does of `score_file`, which has started them and waits."""
    with only_writer(job.out, launches=False):
        folder = parts_folder(job, begin=False)
        score_parts(job, *examined(job.path, job.columns), folder, processes)


@contextmanager
def only_writer(out: Path, launches: bool) -> Iterator[None]:
    """Hold a lock, beside `out` so that all who could write it see it, that ends with this process."""
    from filelock import Timeout

    try:
        with only_one(out.with_name(f".{out.name}.lock"), launches):
            yield
    except Timeout as busy:
        fix = f"wait for that or give another --out{if_none_runs(busy)}"
        raise InputError(f"{out}: another run is writing it; {fix}") from None


def parts_folder(job: Job, begin: bool = True) -> Path:
    """The folder of what is scored already of this file for this `out`, emptied if that was of other contents or by
    another model, library or code, or refused if not to `begin` anew.
    """
    name, stat = bytes(job.path.resolve()), job.path.stat()
    about = {"columns": job.columns, "separator": job.separator, "min_confidence": job.min_confidence}
    about |= {"size": stat.st_size, "changed": stat.st_mtime_ns}
    about |= {library: metadata.version(library) for library in LIBRARIES}
    folder = job.out.with_name(f".{job.out.name}.{hashlib.sha256(name).hexdigest()[:8]}.parts")
    run_key = folder / checkpoint.key(about, [BASE, ADAPTER, *CODE])
    if not run_key.is_file():
        if not begin:
            raise InputError(f"{folder}: not of the model, libraries and code that are here; start it again")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        run_key.touch()
    return folder


def score_parts(job: Job, schema, total: int, folder: Path, processes: Processes = ALONE) -> None:
    """Write what is missing of a file's parts, one for each table of its rows, or of this process's share of them."""
    import pandas as pd
    import pyarrow as pa

    classifier = Classifier(job.min_confidence)
    with tqdm(total=total, desc="infer", unit="text", unit_scale=True, disable=None) as bar:
        for number, table in enumerate(filter(len, read_rows(job.path))):
            part = folder / PART.format(number)
            if part.is_file() or number % processes.count != processes.rank:
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
