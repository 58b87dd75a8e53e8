"""Results of revisions beside each other: commits, branches, tags, experiments, or `workspace`.

    make compare A=main B=rank-64            is the difference real?
    make spread REVS="seed-1 seed-2 seed-3"  what a seed is worth

Both read what the revisions have in Git and in DVC's cache (or its remote); nothing runs.
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
UNSCORED = "its model has not scored the test split"
METRIC_FILES = [f"{METRICS}/{name}.json" for name in ("training", "evaluate")]


@contextmanager
def refused(revision: str) -> Iterator[str | None]:
    """The revision as DVC's API names it; what DVC raises for one that it cannot read, in a line."""
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError

    if not revision:
        raise SystemExit("two revisions are needed: make compare A=main B=rank-64")
    try:
        yield None if revision == "workspace" else revision
    except (DvcException, SCMError, OSError) as error:
        raise SystemExit(f"{revision}: {error}; a revision with its results in DVC's cache is needed") from None


def predictions(revision: str, split: str) -> pd.DataFrame:
    """text, label, predicted and the probability of each label, of validation or test."""
    from dvc.api import DVCFileSystem

    with refused(revision) as rev:
        files = DVCFileSystem(rev=rev)
        if split == "test" and not scored(files):
            raise SystemExit(f"{revision}: {UNSCORED}; `dvc exp apply` it, then `dvc repro`")
        names = [PREDICTIONS] if split == "test" else [VALIDATION, RAW / "validation.parquet"]
        tables = [pd.read_parquet(files.open(name.as_posix())) for name in names]
        return tables[0].assign(text=tables[-1]["text"])


def scored(files) -> bool:
    """Whether a revision's test results are its own model's; an experiment that only trained has its parent's."""
    from ruamel.yaml import YAML

    stages = YAML(typ="safe").load(files.read_text("dvc.lock"))["stages"]
    trained, evaluated = (
        [entry["md5"] for entry in stages.get(stage, {}).get(kind, []) if entry["path"] == ADAPTER.as_posix()]
        for stage, kind in (("train", "outs"), ("evaluate", "deps"))
    )
    return trained == evaluated


def differences(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Of the accuracy, in points, and of the log loss: both values, second less first with its 95% interval, and p.

    first, second: rows of the same texts, as predictions() returns them. The interval and the p-value are the paired
    t-test's, but for the accuracy p is McNemar's.
    """
    from scipy.stats import ttest_rel

    right = [(table["predicted"] == table["label"]).to_numpy() for table in (first, second)]
    result = {}
    for name, values in {
        "accuracy, points": [100.0 * each for each in right],
        "log loss": [losses(table) for table in (first, second)],
    }.items():
        equal = np.array_equal(*values)  # which the t-test has no answer to
        test = ttest_rel(values[1], values[0])
        low, high = (0.0, 0.0) if equal else test.confidence_interval()
        result[name] = {
            "first": values[0].mean(),
            "second": values[1].mean(),
            "difference": (values[1] - values[0]).mean(),
            "low": low,
            "high": high,
            "p": mcnemar(right[1], right[0]) if name.startswith("accuracy") else 1.0 if equal else test.pvalue,
        }
    return result


def losses(table: pd.DataFrame) -> np.ndarray:
    """The negative logarithm of the label's probability in each row, cut off as in scikit-learn's log_loss."""
    probabilities = table.filter(regex="^probability_").to_numpy()[np.arange(len(table)), table["label"]]
    return -np.log(np.maximum(probabilities, np.finfo(np.float64).eps))


@app.command()
def compare(first: str, second: str) -> None:
    """The paired difference of two revisions on the same texts: validation to choose by, test to report."""
    rows = []
    for split in ("validation", "test"):
        tables = [predictions(revision, split) for revision in (first, second)]
        if not tables[0][["text", "label"]].equals(tables[1][["text", "label"]]):
            print(f"{split}: the two have other texts or labels there, so no difference can be paired\n")
            continue
        for name, row in differences(*tables).items():
            rows.append({"split": split, "texts": len(tables[0]), "metric": name, **row})
    if not rows:
        raise SystemExit(1)
    table = pd.DataFrame(rows).rename(columns={"first": first, "second": second, "low": "95% from", "high": "to"})
    print(table.to_markdown(index=False, floatfmt=("", ",", "", *[".4f"] * 5, ".3g")))


@app.command()
def spread(revisions: Annotated[list[str], typer.Argument(help="Two or more.")]) -> None:
    """Mean, standard deviation and ends of each metric over revisions that differ by chance, such as by their seed."""
    from dvc.api import DVCFileSystem, metrics_show

    if len(revisions) < 2:
        raise SystemExit("two revisions or more are needed")
    columns, files = {}, METRIC_FILES
    for revision in revisions:
        with refused(revision) as rev:
            if not scored(DVCFileSystem(rev=rev)):
                print(f"{revision}: {UNSCORED}, so the metrics of training alone\n")
                files = METRIC_FILES[:1]
    for revision in revisions:
        with refused(revision) as rev:
            columns[revision] = pd.json_normalize(metrics_show(*files, rev=rev)).iloc[0]
    table = pd.DataFrame(columns).dropna()  # what one of them lacks, such as the difference to a baseline
    table = table[table.nunique(axis=1) > 1].astype(float)
    table = table.assign(mean=table.mean(axis=1), sd=table.std(axis=1), min=table.min(axis=1), max=table.max(axis=1))
    print(table[["mean", "sd", "min", "max", *revisions]].rename_axis("metric").to_markdown(floatfmt=".4f"))


if __name__ == "__main__":
    app()
