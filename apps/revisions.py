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

from classifier.evaluation.intervals import mcnemar
from classifier.files.places import ADAPTER, METRICS, PREDICTIONS, RAW, VALIDATION

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
NOT_SCORED = "its model has not scored the test split"
METRIC_FILES = [f"{METRICS}/{name}.json" for name in ("training", "evaluate")]


@contextmanager
def dvc_revision(revision: str) -> Iterator[str | None]:
    """Yield the revision as DVC's API names it: None for `workspace`.

    Raises SystemExit with one line if DVC cannot read the revision.
    """
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError

    if not revision:
        raise SystemExit("a revision is missing: make compare A=main B=rank-64, or make spread REVS='main rank-64'")
    try:
        yield None if revision == "workspace" else revision
    except (DvcException, SCMError, OSError) as error:
        raise SystemExit(f"{revision}: {error}; name a revision whose results are in DVC's cache") from None


def read_predictions(revision: str, split: str) -> pd.DataFrame:
    """Read the predictions of a revision for the split `validation` or `test`.

    Returns:
        A table with the columns text, label and predicted, and a column for the probability of each label.
    """
    from dvc.api import DVCFileSystem

    with dvc_revision(revision) as rev:
        files = DVCFileSystem(rev=rev)
        if split == "test" and not has_test_results(files):
            raise SystemExit(f"{revision}: {NOT_SCORED}; `dvc exp apply` it, then `dvc repro`")
        names = [PREDICTIONS] if split == "test" else [VALIDATION, RAW / "validation.parquet"]
        tables = [pd.read_parquet(files.open(name.as_posix())) for name in names]
        return tables[0].assign(text=tables[-1]["text"])


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


def differences(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Compare two tables of predictions for the same texts, as read_predictions() returns them.

    Returns:
        For the accuracy, in points, and for the log loss: the value of each table, the difference (second minus first),
        its 95% interval (low, high) by the paired t-test, and a p-value: McNemar's for the accuracy, the paired
        t-test's for the log loss.
    """
    right = [(table["predicted"] == table["label"]).to_numpy() for table in (first, second)]
    accuracy = paired_difference(100.0 * right[0], 100.0 * right[1])
    return {
        "accuracy, points": accuracy | {"p": mcnemar(right[1], right[0])},
        "log loss": paired_difference(log_losses(first), log_losses(second)),
    }


def paired_difference(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Compare two values of each text, (texts,) floats, by the paired t-test.

    Returns:
        The two means (first, second), the mean difference, its 95% interval (low, high) and the p-value (p).
    """
    from scipy.stats import ttest_rel

    means = {"first": first.mean(), "second": second.mean(), "difference": (second - first).mean()}
    if np.array_equal(first, second):  # the t-test of equal values is undefined
        return means | {"low": 0.0, "high": 0.0, "p": 1.0}
    test = ttest_rel(second, first)
    low, high = test.confidence_interval()
    return means | {"low": low, "high": high, "p": test.pvalue}


def log_losses(table: pd.DataFrame) -> np.ndarray:
    """Return the log loss of each row, with probabilities clipped from below as in scikit-learn's log_loss."""
    probabilities = table.filter(regex="^probability_").to_numpy()[np.arange(len(table)), table["label"]]
    return -np.log(np.maximum(probabilities, np.finfo(np.float64).eps))


@app.command()
def compare(first: str, second: str) -> None:
    """Show the paired differences between two revisions on the same texts.

    Choose between revisions by the validation split, and report the test split.
    """
    rows = []
    for split in ("validation", "test"):
        tables = [read_predictions(revision, split) for revision in (first, second)]
        if not tables[0][["text", "label"]].equals(tables[1][["text", "label"]]):
            print(f"{split}: the two revisions have different texts or labels, so their results cannot be paired\n")
            continue
        for name, row in differences(*tables).items():
            rows.append({"split": split, "texts": len(tables[0]), "metric": name, **row})
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
    table = pd.DataFrame(columns).dropna()  # a metric that one revision lacks, such as the difference to a baseline
    table = table[table.nunique(axis=1) > 1].astype(float)
    table = table.assign(mean=table.mean(axis=1), sd=table.std(axis=1), min=table.min(axis=1), max=table.max(axis=1))
    print(table[["mean", "sd", "min", "max", *revisions]].rename_axis("metric").to_markdown(floatfmt=".4f"))


if __name__ == "__main__":
    app()
