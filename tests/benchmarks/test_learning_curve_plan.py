"""`make learning-curve`: the runs that it plans, and the input that it refuses."""

import subprocess
from pathlib import Path

import pandas as pd
import pytest
from commands import git, run_stages
from dvc.utils.hydra import apply_overrides
from tiny import edit_params, reviews

from benchmarks.learning_curve import command
from benchmarks.learning_curve.command import measure
from benchmarks.learning_curve.plan import Run, default_sizes, plan
from classifier.errors import InputError
from classifier.files.formats import read_json
from classifier.files.places import RAW


def test_sizes_that_suit_the_data_set():
    assert default_sizes(7000) == [100, 200, 500, 1000, 2000, 5000, 7000]
    assert default_sizes(24_781) == [100, 200, 500, 1000, 2000, 5000, 10_000, 24_781]
    assert default_sizes(400) == [50, 100, 200, 400]
    assert default_sizes(60) == [60]


def settings_of(run: Run) -> list[str]:
    """Return the overrides among the options of a run."""
    return [option for option in run.options if "=" in option]


def test_runs_that_are_planned(project):
    """The runs make data of the planned sizes, with the same test texts for one seed. The folder stays as it is."""
    before = (project / "params.yaml").read_text()
    runs = plan(["model=minilm", "train.epochs=2"], [], 2)
    assert [(run.labels, run.seed) for run in runs] == [(size, seed) for size in (50, 100, 220) for seed in (13, 14)]
    assert len({run.name for run in runs}) == 6
    assert (project / "params.yaml").read_text() == before
    tests = {}
    for run in runs:
        apply_overrides(project / "params.yaml", settings_of(run))
        run_stages("data")
        counts = read_json(Path("metrics/data.json"))
        assert (counts["train"], counts["validation"], counts["test"]) == (run.train, run.validation, 80)
        tests.setdefault(run.seed, []).append(pd.read_parquet(RAW / "test.parquet"))
        (project / "params.yaml").write_text(before)
    assert [(run.train, run.validation) for run in runs[::2]] == [(30, 20), (80, 20), (160, 60)]
    assert all(table.equals(first) for first, *others in tests.values() for table in others)
    assert not tests[13][0].equals(tests[14][0])
    assert settings_of(runs[1]) == [
        *("model=minilm", "train.epochs=2", "evaluate.explained=0"),
        *("datasets.imdb-wheel.train=30", "datasets.imdb-wheel.validation=20", "data.seed=14", "train.seed=14"),
    ]
    assert settings_of(runs[-1])[3:] == ["data.seed=14", "train.seed=14"]  # the sizes of params.yaml


def test_a_name_changes_with_what_its_run_depends_on(project):
    def names():
        return {run.name for run in plan([], [50, 100], 1)}

    known = names()
    edit_params(project, **{"infer.texts": ["No run depends on it."]})
    git("commit", "-qam", "no run depends on it")
    assert names() == known
    edit_params(project, **{"train.weight_decay": 0.5})
    changed = names()
    assert not changed & known
    for file in ("classifier/training/batches.py", "versions.yaml"):
        with (project / file).open("a") as opened:
            opened.write("# edited\n")
        assert not names() & (known | changed)


def local_entry(**more) -> dict:
    """Return changes of params.yaml that select a data set of data/local/a.csv."""
    source = {"train": "a.csv", **more}
    entry = {"source": source, "labels": ["bad", "good"], "train": None, "validation": None, "test": 40}
    return {"datasets.mine": entry, "dataset": "mine"}


def write_local(name: str, count: int, seed: int) -> None:
    rows = pd.DataFrame(reviews(count, seed), columns=["text", "label"])
    rows.to_csv(Path("data/local") / name, index=False)


def test_files_of_data_local(project):
    """Untracked files are copied to each run and change its name. A small validation file is used up first."""
    write_local("a.csv", 240, seed=1)
    edit_params(project, **local_entry())
    (run,) = plan([], [100], 1)
    assert run.options[:2] == ["-C", "data/local/a.csv"]
    assert (run.train, run.validation) == (80, 20)
    write_local("a.csv", 240, seed=2)
    assert plan([], [100], 1)[0].name != run.name
    write_local("b.csv", 30, seed=3)
    edit_params(project, **local_entry(validation="b.csv"))
    runs = plan([], [100, 220, 230], 1)
    assert [(run.train, run.validation) for run in runs] == [(80, 20), (190, 30), (200, 30)]


def refusal(**options) -> str:
    """Run a measurement that must fail; return its one line of error."""
    with pytest.raises(SystemExit) as refused:
        measure(**options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def nothing_runs(monkeypatch):
    def fails(runs):
        raise AssertionError

    monkeypatch.setattr(command, "execute", fails)


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"sizes": "100 x"}, "SIZES: 'x' is not a whole number above 0"),
        ({"sizes": "1,000"}, "SIZES: '1,000' is not a whole number above 0"),
        ({"sizes": "0"}, "SIZES: '0' is not a whole number above 0"),
        (
            {"sizes": "100 221"},
            "SIZES: 221 is above the 220 labels that datasets.imdb-wheel has for train and validation",
        ),
        ({"sizes": "10"}, "10 labels: params.yaml: train.batch_size: 8 is above the 5 texts"),
        ({"draws": "two"}, "DRAWS: 'two' is not a whole number above 0"),
        ({"draws": ""}, "DRAWS: one number is needed, got ''"),
        ({"settings": "datasets.imdb-wheel.test=1000"}, "params.yaml: datasets.imdb-wheel.test: 1000 rows requested"),
        ({"settings": "train.sed=2"}, "SET: Could not override 'train.sed'; write NAME=VALUE"),
        ({"settings": "train.seed=range(1,3)"}, "SET: cannot represent an object: RangeSweep"),
        ({"settings": "'a"}, "SET: No closing quotation"),
        ({"settings": "model=mini"}, "params.yaml: model: no entry 'mini' under models; did you mean minilm"),
    ],
)
@pytest.mark.usefixtures("project", "nothing_runs")
def test_bad_input_is_refused_before_anything_runs(options, refused):
    assert refusal(**options).startswith(f"learning-curve: {refused}")


@pytest.mark.usefixtures("nothing_runs")
def test_untracked_code_and_a_missing_commit_are_refused(project):
    (project / "stages/new.py").touch()
    assert "stages/new.py: Git does not track it" in refusal()
    subprocess.run(["rm", "-rf", ".git"], check=True)
    git("init", "-q")
    assert "Git has no commit here" in refusal()


def test_default_sizes_that_the_rows_are_too_few_for_are_left_out(project, capsys):
    edit_params(project, **{"train.batch_size": 40})
    assert {run.labels for run in plan([], [], 1)} == {100, 220}
    assert capsys.readouterr().out.startswith(
        "50 labels are left out: params.yaml: train.batch_size: 40 is above the 30"
    )


def test_a_task_without_accuracy_is_refused(project):
    edit_params(project, **{"datasets.imdb-wheel.task": "regression", "datasets.imdb-wheel.labels": None})
    subprocess.run(["git", "commit", "--quiet", "--all", "--message", "numbers"], check=True)
    with pytest.raises(
        InputError, match="a learning curve shows the accuracy, which the task regression does not have"
    ):
        plan([], [], 1)
