"""A scoring job: the file to score, the settings of the scoring, and a copy of the input if it is a pipe."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from shutil import copyfileobj

from classifier.errors import InputError
from classifier.model.loading import trained_settings
from classifier.params.format import Format
from classifier.scoring.options import format_options
from classifier.scoring.parts import Parts
from classifier.tables.reading import kind_of
from classifier.tasks.task import TASKS


@dataclass(frozen=True)
class Job:
    """A file to score and how to score it.

    Attributes:
        path: The input: a file in any form that classifier/tables reads, or a pipe.
        out: The output, a .parquet, .csv or .jsonl file.
        columns: The columns of texts, in which a dot leads into an object of JSON. The texts of several columns are
            joined or, with `pair`, the texts of two columns are a pair.
        separator: The string between joined texts.
        min_confidence: The confidence below which the label is "uncertain".
        form: How the input is written, where its suffix does not say it.
        keep: The columns of the input that the output has; all of them if empty.
        pair: Whether the model reads pairs of texts.
        precision: fp32 or bf16, in which the texts are scored.
        sets: The share of the texts whose prediction set has the right label; None for no sets.
    """

    path: Path
    out: Path = Path("scored.parquet")
    columns: tuple[str, ...] = ("text",)
    separator: str = "\n"
    min_confidence: float = 0.0
    form: Format = field(default_factory=Format)
    keep: tuple[str, ...] = ()
    pair: bool = False
    precision: str = "fp32"
    sets: float | None = None

    @classmethod
    def like_training(cls, path: Path, out: Path, columns: Sequence[str] = (), separator: str | None = None, **more):
        """Return a job that reads the texts as the training did, unless columns or a separator are given.

        Raises InputError if the model reads pairs of texts and another number of columns than two is given.
        """
        trained = trained_settings()
        columns, pair = tuple(columns or trained["columns"]), trained.get("pair", False)
        if pair and len(columns) != 2:
            raise InputError("--column: the model reads pairs of texts; name both columns of a pair, in their order")
        separator = trained["separator"] if separator is None else separator
        return cls(path, out, columns, separator, pair=pair, **more)

    @property
    def added(self) -> dict[str, str]:
        """The columns that scoring adds and their pyarrow types: the parts of an answer, the first as "predicted"."""
        task = TASKS[trained_settings()["task"]]
        first, *others = task.ANSWER.items()
        return dict([("predicted", first[1]), *others]) | ({} if self.sets is None else task.SET)

    @property
    def summary(self) -> Path:
        """The file of the summary, beside the output."""
        return self.out.with_name(f"{self.out.name}.summary.json")

    @property
    def arguments(self) -> list[str]:
        """The arguments of apps.infer for this job."""
        columns = [f"--column={name}" for name in self.columns] + [f"--keep={name}" for name in self.keep]
        options = [f"--out={self.out}", f"--separator={self.separator}", f"--min-confidence={self.min_confidence}"]
        options += [f"--precision={self.precision}"] + [f"--sets={self.sets}"] * (self.sets is not None)
        forms = [f"--format={option}" for option in format_options(self.form)]
        return [f"--file={self.path}", *columns, *options, *forms]

    @property
    def kind(self) -> str:
        """How the input is read, a value of `Format.kind`. Raises InputError if neither suffix nor format says it."""
        return kind_of(self.path, self.form)

    def parts(self) -> Parts:
        """Return the parts that belong to the input as it is now."""
        return Parts.of(**asdict(self))


@contextmanager
def readable_twice(job: Job) -> Iterator[Job]:
    """Yield the job or, if its input is a pipe, the same job on a copy of the input. The copy is removed at the end.

    The copy lies beside the output under a fixed name, so that the next run replaces one that a kill has left. The
    caller holds the lock of the output. InputErrors of the `with` block name the pipe in place of the copy.
    """
    if job.path.is_file() and job.path.parts[:2] != ("/", "dev"):
        yield job
        return
    copied = job.form.model_copy(update={"kind": job.kind})
    copy = job.out.with_name(f".{job.out.name}.input{''.join(job.path.suffixes)}")
    try:
        with job.path.open("rb") as pipe, copy.open("wb") as file:
            copyfileobj(pipe, file)
        yield replace(job, path=copy, form=copied)
    except InputError as error:
        message = str(error).replace(str(copy), str(job.path))
        raise InputError(re.sub("; name it .*", "; give the file itself, not a pipe", message)) from None
    finally:
        copy.unlink(missing_ok=True)
