"""The trained classifier on texts in memory and on files of any size.

In: models/base/ and models/adapter/.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from stages.classifier import checkpoint
from stages.files import ADAPTER, BASE
from stages.rows.streams import read_batches, write_whole
from stages.settings.errors import InputError

# What shapes a part: a run that goes on uses those of the run before.
CODE = [Path("stages") / name for name in ("use", "classifier/forward.py", "rows", "text.py")]


class Classifier:
    """models/adapter, loaded once: `classifier(texts) -> [(label, confidence), ...]`."""

    def __init__(self):
        from stages.use.loading import load_classifier

        self.model, self.tokenizer = load_classifier()

    def __call__(self, texts: list[str]) -> list[tuple[str, float]]:
        import numpy as np
        from scipy.special import softmax

        from stages.classifier.forward import logits
        from stages.text import encode

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


@contextmanager
def only_writer(out: Path) -> Iterator[None]:
    """Hold a lock that ends with this process."""
    from filelock import FileLock, Timeout

    lock = Path(".dvc/tmp") / f"{hashlib.sha256(bytes(out.resolve())).hexdigest()}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout:
        raise InputError(f"{out}: another run is writing it; wait for that or give another --out") from None


def score_file(path: Path, column: str, out: Path) -> int:
    """Write the rows of `path` to `out` (Parquet) with the columns predicted and confidence; return their number.

    Memory does not grow with the file: it is read and scored by parts, each written to a folder beside `out`.
    After a kill the same call goes on from the last part; a changed file, model or code starts anew. Rows whose text
    is missing or blank get no prediction. Raises InputError, before anything is scored, if a row cannot be read, or
    if another call is writing `out`.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if out.suffix != ".parquet":
        raise InputError(f"{out}: must end in .parquet")
    with only_writer(out):
        total = 0
        for batch in read_batches(path, column):
            if taken := {"predicted", "confidence"}.intersection(batch.schema.names):
                raise InputError(f"{path}: has a column {taken.pop()!r} already; rename it")
            total += batch.num_rows
        if not total:
            raise InputError(f"{path}: has no rows")
        stat = path.stat()
        about = {"path": str(path.resolve()), "size": stat.st_size, "changed": stat.st_mtime_ns, "column": column}
        about |= {"pyarrow": pa.__version__}
        parts = out.with_name(f".{out.name}.parts")
        run_key = parts / checkpoint.key(about, [BASE, ADAPTER, *CODE])
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
        if path.stat().st_mtime_ns != stat.st_mtime_ns:
            raise InputError(f"{path}: changed during the run; start it again")
        write_whole(out, (parquet.read_table(name) for name in names))
        shutil.rmtree(parts)
        return total
