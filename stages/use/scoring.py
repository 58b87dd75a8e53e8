"""The trained classifier on texts in memory and on files of any size.

In: models/base/ and models/adapter/.
"""

import glob
import hashlib
import itertools
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from numbers import Real
from pathlib import Path

from tqdm import tqdm

from stages.classifier import checkpoint
from stages.classifier.processes import ALONE, Processes, launch
from stages.files import ADAPTER, BASE, if_none_runs
from stages.rows.tables import joined, read_rows
from stages.run import only_one
from stages.settings.errors import InputError
from stages.text import blank, encode, special_ids
from stages.use.arrow import PART, arrow_errors_refused, arrow_table, examined, is_whole, row_groups, write_whole
from stages.use.loading import check_folders, trained_settings
from stages.use.threshold import confidence_threshold, rows_needed

# What shapes a part: a run that goes on uses those of the run before.
CODE = [Path("stages") / name for name in ("use", "classifier", "rows", "text.py")]
LIBRARIES = ("numpy", "pandas", "peft", "pyarrow", "scipy", "tokenizers", "torch", "transformers")


UNCERTAIN = "uncertain"  # in place of a label whose confidence is too low


Answer = tuple[str | None, float | None]  # label and confidence; None of a text that is missing or blank


class Classifier:
    """models/adapter, loaded once: `classifier(texts) -> [(label, confidence), ...]`.

    min_confidence: below it the label is UNCERTAIN. min_accuracy, in its place: a share of the other answers that is
    right (see threshold.py). Raises InputError if the model is missing, or for a share that is none.
    """

    def __init__(self, min_confidence: float = 0.0, min_accuracy: float | None = None):
        from stages.use.loading import load_classifier

        min_confidence = confidence_needed(min_confidence, min_accuracy)
        self.model, self.tokenizer = load_classifier()
        self.min_confidence = min_confidence
        if min_confidence and UNCERTAIN in self.model.config.label2id:
            raise InputError(f"the data set has a label {UNCERTAIN!r} of its own; leave the threshold out")

    def __call__(self, texts: str | Iterable[str | None]) -> Answer | list[Answer]:
        """The answer to a text, or those to an iterable of texts, such as a column of pandas, NumPy, Arrow or datasets.

        Raises InputError for what is no text.
        """
        if isinstance(texts, str):
            return self([texts])[0]
        texts = listed_texts(texts)
        windows = self.windows([text or "" for text in texts])
        said = [bool(text and not blank(text) and read) for text, read in zip(texts, windows, strict=True)]
        if not any(said):
            return [(None, None)] * len(texts)
        rows = iter(self.by_windows(list(itertools.compress(windows, said))))
        return [self.answer(next(rows)) if each else (None, None) for each in said]

    def windows(self, texts: list[str]) -> list[list[list[int]]]:
        """The token ids of each text's windows; none of a text in which the tokenizer finds nothing to read."""
        encoded = encode(texts, self.tokenizer, **self.model.config.tokenize)
        special = special_ids(self.tokenizer)
        return [[] if special.issuperset(of_text[0]) else of_text for of_text in encoded]

    def probabilities(self, texts: list[str]):
        """(texts, labels) float64, of texts that are not blank."""
        return self.by_windows(self.windows(texts))

    def by_windows(self, windows: list[list[list[int]]]):
        """(texts, labels) float64, of texts that each have a window."""
        import numpy as np
        from scipy.special import softmax

        from stages.classifier.forward import logits, mean_by_text

        places = np.repeat(np.arange(len(windows)), [len(of_text) for of_text in windows])
        scores = logits(self.model, [np.array(ids) for of_text in windows for ids in of_text])
        return softmax(mean_by_text(scores, places).astype(np.float64), axis=1)

    def answer(self, probabilities) -> Answer:
        """(label, confidence) by the probabilities, (labels,), of one text."""
        label, confidence = self.model.config.id2label[probabilities.argmax()], float(probabilities.max())
        return (label if confidence >= self.min_confidence else UNCERTAIN), confidence


def listed_texts(given: Iterable) -> list[str | None]:
    """The texts of an iterable, None for a missing one: None, NaN, pandas' NA, Arrow's null, what NumPy masks.

    Raises InputError for what is no text, or no iterable of values.
    """
    import numpy as np
    import pandas as pd

    one_by_one = isinstance(given, Iterable) and getattr(given, "ndim", 1) == 1
    if not one_by_one or isinstance(given, bytes | bytearray | Mapping):
        raise InputError(f"a text, or a list or a column of texts, is needed, not {type(given).__name__}")
    texts = [value.as_py() if hasattr(value, "as_py") else value for value in given]
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            missing = text is np.ma.masked or (pd.api.types.is_scalar(text) and pd.isna(text))
            if not missing:
                shown = " ".join(repr(text).split())
                raise InputError(f"text {number + 1} of {len(texts)}: {shown:.40} is no text; give it as a string")
            texts[number] = None
        elif text.encode(errors="ignore").decode() != text:
            raise InputError(f"text {number + 1} of {len(texts)}: {text!a:.60}: half of a character; give it whole")
    return texts


def confidence_needed(min_confidence: float = 0.0, min_accuracy: float | None = None, level: float = 0.05) -> float:
    """The confidence below which an answer is uncertain: the one given, or the one that an accuracy needs, which is
    missed with a chance of `level` at most.

    Raises InputError for shares that are none, if both are given, or if no confidence is enough.
    """
    if not is_share(min_confidence):
        raise InputError(f"min_confidence: {min_confidence!r}: a number from 0 to 1 is needed")
    if min_accuracy is None:
        return min_confidence
    if not is_share(min_accuracy) or min_accuracy in (0, 1):
        raise InputError(f"min_accuracy: {min_accuracy!r}: a number between 0 and 1 is needed")
    if min_confidence:
        raise InputError("min_confidence and min_accuracy: give one of them")
    if (threshold := confidence_threshold(min_accuracy, level)) is None:
        raise InputError(
            f"no confidence is shown to give an accuracy of {min_accuracy:.1%}: among the validation rows too many "
            f"mistakes are of high confidence, or the rows are too few (at least {rows_needed(min_accuracy, level)} "
            "are needed); ask for less, or train with more of them"
        )
    return threshold


def is_share(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= value <= 1


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
            launch("infer", *job.arguments)
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
