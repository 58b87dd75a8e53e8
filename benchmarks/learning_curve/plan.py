"""Plan the runs of a learning curve: numbers of labels, seeds, options, and which experiments exist already."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from benchmarks.overrides import params_with
from benchmarks.settings import precision
from classifier.dataset.selection import Source, read_source
from classifier.dataset.splitting import draw_splits, validation_size
from classifier.errors import InputError
from classifier.files.digests import digest_of
from classifier.files.places import LOCAL
from classifier.runner.inputs import code_paths, pipeline
from classifier.runner.params import PARAMS, arguments, select, stage_function
from classifier.runner.versions import VERSIONS
from classifier.tasks.task import TASKS

STAGES = ("data", "base_model", "tokenize", "baseline", "train", "evaluate")  # the stages of a run
ONCE = 1000  # a size of this many labels or more is drawn once


class Run(NamedTuple):
    """One experiment: a number of labels, drawn with a seed.

    Args:
        name: name of the experiment.
        seed: seed of the splits.
        labels: number of labelled texts, train and validation together.
        train, validation: number of labelled texts of each of the two splits.
        options: arguments of `dvc exp run`.
    """

    name: str
    seed: int
    labels: int
    train: int
    validation: int
    options: list[str]


def git(*args: str) -> list[str]:
    """Return the lines that a Git command prints, and no lines if it fails."""
    return subprocess.run(["git", *args], capture_output=True, text=True).stdout.splitlines()


def check_git() -> None:
    """Raise InputError if there is no commit for an experiment to start from, or if Git does not track all code."""
    if not git("rev-parse", "--verify", "HEAD"):
        raise InputError("Git has no commit here, and an experiment starts from one; `git commit` this folder first")
    code = ("stages", "classifier", "dvc.yaml", str(PARAMS), str(VERSIONS))
    if unknown := git("ls-files", "--others", "--exclude-standard", *code):
        raise InputError(f"{unknown[0]}: Git does not track it, so an experiment would lack it; `git add` it")


def default_sizes(limit: int) -> list[int]:
    """Return 100, 200, 500, 1,000 and so on up to three quarters of all labels, and then all labels.

    Data sets with less than 1,000 labels start at 50.
    """
    steps = (digit * 10**power for power in range(1, 10) for digit in (1, 2, 5))
    return [*(size for size in steps if (50 if limit < 1000 else 100) <= size <= 0.75 * limit), limit]


def run_digest(params: BaseModel, local: list[Path]) -> str:
    """Return a digest of everything that a run depends on.

    The digest covers the settings, dvc.yaml, the code, the libraries, this machine's precision, and the files `local`
    of data/local/. It may change although DVC would run no stage again, for example after an edit of a comment in
    dvc.yaml. The new run is then short.
    """
    stages = pipeline()
    files = {path for name in STAGES for path in code_paths(stages[name]["deps"])}
    settings = {name: arguments(stage_function(name), params) for name in STAGES} | {"precision": precision(params)}
    return digest_of(settings, [Path("dvc.yaml"), VERSIONS, *files, *local])[:8]


def plan(overrides: list[str], sizes: list[int], draws: int) -> list[Run]:
    """Return the runs of a curve, by size.

    The stage `data` chooses the test split first and by its seed, so all sizes of one seed have the same test texts.

    Args:
        overrides: settings of every run, as `dvc exp run -S` takes them.
        sizes: numbers of labels. If there are none, the default sizes are taken, except those for which the data set
            has too few rows; a printed line names each that is left out.
        draws: how often a size below ONCE is drawn.

    Raises:
        InputError: if a run would refuse its settings or its rows.
    """
    check_git()
    params = params_with(overrides)
    dataset, key = select(params, "dataset"), f"datasets.{params.dataset}"
    if TASKS[dataset.task].SCORE != "accuracy":
        raise InputError(f"{key}: a learning curve shows the accuracy, which the task {dataset.task} does not have")
    source = read_source(dataset)
    local = [path for path in source.mtimes if path.is_relative_to(LOCAL)]
    whole = {name: len(split) for name, split in draw_splits(source.splits, dataset, params.data.seed).items()}
    limit, runs = whole["train"] + whole["validation"], []
    if sizes and max(sizes) > limit:
        raise InputError(
            f"SIZES: {max(sizes):,} is above the {limit:,} labels that {key} has for train and validation; lower it, "
            f"or raise {key}.train if the source has more"
        )
    for labels in sorted(set(sizes)) or default_sizes(limit):
        changes = [*overrides, "evaluate.explained=0"]
        if labels < limit:
            held_out = validation_size(labels, len(dataset.label_names))
            # The source may have a validation split. It then limits validation, as the source's train limits train.
            if "validation" in source.splits:
                held_out = min(max(held_out, labels - whole["train"]), whole["validation"])
            changes += [f"{key}.train={labels - held_out}", f"{key}.validation={held_out}"]
        try:
            runs += [planned_draw(labels, n, changes, source, local) for n in range(draws if labels < ONCE else 1)]
        except InputError as error:
            if sizes:
                raise InputError(f"{labels:,} labels: {error}") from None
            print(f"{labels:,} labels are left out: {error}")
    return runs


def planned_draw(labels: int, number: int, changes: list[str], source: Source, local: list[Path]) -> Run:
    """Return one run of a size.

    Args:
        labels: the size.
        number: number of the draw, from 0. It is added to the seeds of params.yaml.
        changes: the overrides of all draws of this size.
        source: the rows of the data set.
        local: the files of data/local/ that the data set reads.

    Raises:
        InputError: the run would refuse its settings or its rows.
    """
    params = params_with(changes)
    seed, train_seed = params.data.seed + number, params.train.seed + number
    overrides = [*changes, f"data.seed={seed}", f"train.seed={train_seed}"]
    settings = params_with(overrides)
    splits = draw_splits(source.splits, select(settings, "dataset"), seed)
    name = f"labels-{labels}-seed-{seed}-{run_digest(settings, local)}"
    untracked = [path for path in local if not git("--literal-pathspecs", "ls-files", str(path))]
    options = [part for path in untracked for part in ("-C", str(path))]
    options += [part for override in overrides for part in ("-S", override)]
    return Run(name, seed, labels, len(splits["train"]), len(splits["validation"]), options)


def missing_runs(runs: list[Run]) -> list[Run]:
    """Return the runs without an experiment of their name, whichever commit an experiment started from."""
    names = git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps/*/*/labels-*")
    return [run for run in runs if run.name not in names]
