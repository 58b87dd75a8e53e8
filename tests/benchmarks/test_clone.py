"""The clone in which benchmarks change params."""

import subprocess
from pathlib import Path

from tiny import edit_params

from benchmarks.clone import in_clone
from classifier.files.places import ADAPTER
from classifier.runner.params import load_params


def test_a_benchmark_works_in_a_clone_of_the_last_commit(finished, forked_commands):
    committed = Path("params.yaml").read_bytes()
    edit_params(finished, **{"train.seed": 15})
    params = Path("params.yaml").read_bytes()
    with in_clone("train.seed=16"):
        assert load_params().train.seed == 16
    with in_clone():
        assert Path("params.yaml").read_bytes() == committed
        assert Path.cwd() != finished
        edit_params(Path.cwd(), **{"train.seed": 14})
        subprocess.run(["dvc", "checkout", "--quiet", str(ADAPTER)], check=True)  # from the project's cache
        assert ADAPTER.is_dir()
        clone = Path.cwd()
    assert Path.cwd() == finished
    assert Path("params.yaml").read_bytes() == params
    assert not clone.exists()
