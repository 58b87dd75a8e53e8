"""`make table` and `make push`. (test_experiments.py and test_remotes.py run them on experiments and on remotes.)"""

import re

from forking import run_module
from tiny import edit_params

from apps.table import HIDDEN_COLUMNS

SHOWN = [
    *("Experiment", "validation_loss", "metrics/training.json:validation_accuracy"),
    *("dataset", "model", "method", "train.seed", "methods.lora.peft.r"),
]
HIDDEN = [
    *(
        "Created",
        "State",
        "Executor",
        "bias.negative",
        "thresholds.film",
        "labels.positive.f1",
        "above_threshold.coverage",
    ),
    *("accuracy", "n", "learning_rate", "metrics/evaluate.json:accuracy", "metrics/training.json:steps"),
]


def test_columns_of_the_table():
    """The test split's metrics are hidden, because settings are chosen by validation."""
    hidden = re.compile("|".join(HIDDEN_COLUMNS))  # DVC matches each column's name from its start
    assert [name for name in SHOWN if hidden.match(name)] == []
    assert [name for name in HIDDEN if not hidden.match(name)] == []


def test_table_takes_options_of_dvc(finished):
    edit_params(finished, **{"train.seed": 14})  # the last commit and the workspace are two rows
    status, out, err = run_module("apps.table", ["--csv"])
    assert status == 0, err
    assert [line.split(",")[-1] for line in out.split()] == ["train.seed", "14", "13"]


def test_push_without_a_remote(finished):
    status, _, err = run_module("apps.push")
    assert status == 1, err
    assert "no remote" in err
    assert "Traceback" not in err
