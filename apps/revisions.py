"""Compare the results of revisions: commits, branches, tags, experiments, or `workspace` for the files in this folder.

    make compare A=main B=rank-64            is the difference between two revisions real?
    make spread REVS="seed-1 seed-2 seed-3"  how much do results vary with the seed?

Both commands read the results that Git and DVC's cache (or its remote) hold. No stage runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from classifier.evaluation.comparison import differences
from classifier.evaluation.tasks.task import MEASURES
from classifier.files.formats import array_of, read_table
from classifier.files.places import ADAPTER, METRICS, PREDICTIONS, RAW, VALIDATION

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
NOT_SCORED = "its model has not scored the test split"
TEXTS = ("text", "text_pair")
METRIC_FILES = [f"{METRICS}/{name}.json" for name in ("training", "evaluate")]


@contextmanager
def dvc_revision(revision: str) -> Iterator[str | None]:
    """Yield the revision as DVC's API names it: None for `workspace`.

    Raises SystemExit with one line if the name is empty, or if DVC cannot read the revision in the `with` block.
    """
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError

    if not revision:
        raise SystemExit("a revision is missing: make compare A=main B=rank-64, or make spread REVS='main rank-64'")
    try:
        yield None if revision == "workspace" else revision
    except (DvcException, SCMError, OSError) as error:
        raise SystemExit(f"{revision}: {error}; name a revision whose results are in DVC's cache") from None


def read_predictions(revision: str, split: str) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
    """Read the predictions of a revision for the split `validation` or `test`.

    Returns:
        (table, values). The table has the columns text, text_pair (for pairs only) and label, and the columns of the
        task's predictions. `values` maps the name of each metric to its value for each row. `make compare` compares
        the means of these values.
    """
    from dvc.api import DVCFileSystem

    with dvc_revision(revision) as rev:
        files = DVCFileSystem(rev=rev)
        if split == "test" and not has_test_results(files):
            raise SystemExit(f"{revision}: {NOT_SCORED}; `dvc exp apply` it, then `dvc repro`")
        names = [PREDICTIONS] if split == "test" else [VALIDATION, RAW / "validation.parquet"]
        (table, _), (raw, metadata) = (read_table(files.open(name.as_posix())) for name in (names[0], names[-1]))
        task = metadata.get("task", "single-label")  # older code wrote no task; it had single labels only
        values = MEASURES[task].paired_values(table, metadata["labels"])
        return table.assign(**{name: raw[name] for name in TEXTS if name in raw}), values


def has_test_results(files) -> bool:
    """Return whether a revision's test results belong to its model, by dvc.lock.

    An experiment that ran `train` alone still has the test results of its parent commit.
    """
    from ruamel.yaml import YAML

    stages = YAML(typ="safe").load(files.read_text("dvc.lock"))["stages"]
    trained, evaluated = (
        [entry["md5"] for entry in stages.get(stage, {}).get(kind, []) if entry["path"] == ADAPTER.as_posix()]
        for stage, kind in (("train", "outs"), ("evaluate", "deps"))
    )
    return trained == evaluated


def is_paired(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Return whether two tables of predictions have the same texts with the same labels, row by row."""
    texts = [table.filter(TEXTS) for table in (first, second)]
    return texts[0].equals(texts[1]) and np.array_equal(array_of(first["label"]), array_of(second["label"]))


@app.command()
def compare(first: str, second: str) -> None:
    """Show the paired differences between two revisions on the same texts.

    Choose between revisions by the validation split, and report the test split.
    """
    rows = []
    for split in ("validation", "test"):
        tables, values = zip(*(read_predictions(revision, split) for revision in (first, second)), strict=True)
        if not is_paired(*tables):
            print(f"{split}: the two revisions have different texts or labels, so their results cannot be paired\n")
            continue
        for name, row in differences(*values).items():
            words = name.replace("_", " ") + ", points" * (values[0][name].dtype == bool)
            rows.append({"split": split, "texts": len(tables[0]), "metric": words, **row})
    if not rows:
        raise SystemExit(1)
    table = pd.DataFrame(rows).rename(columns={"first": first, "second": second, "low": "95% from", "high": "to"})
    print(table.to_markdown(index=False, floatfmt=("", ",", "", *[".4f"] * 5, ".3g")))


@app.command()
def spread(revisions: Annotated[list[str], typer.Argument(help="Two revisions or more.")]) -> None:
    """Show mean, standard deviation, minimum and maximum of each metric over revisions that differ by their seed."""
    from dvc.api import DVCFileSystem, metrics_show

    if len(revisions) < 2:
        raise SystemExit('two revisions or more are needed: make spread REVS="seed-1 seed-2"')
    columns, files = {}, METRIC_FILES
    for revision in revisions:
        with dvc_revision(revision) as rev:
            if not has_test_results(DVCFileSystem(rev=rev)):
                print(f"{revision}: {NOT_SCORED}, so the table has the metrics of training alone\n")
                files = METRIC_FILES[:1]
    for revision in revisions:
        with dvc_revision(revision) as rev:
            columns[revision] = pd.json_normalize(metrics_show(*files, rev=rev)).iloc[0]
    # Values that are words become NaN, and so do metrics that a revision lacks. dropna() removes these rows.
    table = pd.DataFrame(columns).apply(pd.to_numeric, errors="coerce").dropna()
    table = table[table.nunique(axis=1) > 1].astype(float)
    table = table.assign(mean=table.mean(axis=1), sd=table.std(axis=1), min=table.min(axis=1), max=table.max(axis=1))
    print(table[["mean", "sd", "min", "max", *revisions]].rename_axis("metric").to_markdown(floatfmt=".4f"))


if __name__ == "__main__":
    app()
