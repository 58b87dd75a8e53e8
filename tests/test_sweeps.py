"""Many settings at once: DVC's queue with two workers, and the search of docs/search.md."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, contents, dvc, edit_params, git, run_stages, stages_run

SEARCH = (ROOT / "docs/search.md").read_text()


def trained() -> dict[str, str]:
    """What `train` makes, by digest."""
    made = ("models/adapter/", "metrics/training.", "metrics/validation.")
    return {path: digest for path, digest in contents(Path()).items() if path.startswith(made)}


@pytest.mark.scale
def test_a_queue_with_two_workers_gives_what_runs_one_by_one_do(finished):
    (line,) = re.findall(r"^dvc exp run --queue .*", SEARCH, re.MULTILINE)
    subprocess.run(line, shell=True, check=True)
    dvc("queue", "start", "--jobs", "2")
    deadline = time.monotonic() + 600
    while (status := dvc("queue", "status")).count("Success") < 4:
        assert "Failed" not in status
        assert time.monotonic() < deadline, status
        time.sleep(1)
    names = re.findall(r"^\w{7} +(\S+) .* Success$", status, re.MULTILINE)
    queued = {}
    for name in names:
        dvc("exp", "apply", name)
        git("diff", "--exit-code", "--stat", "metrics/evaluate.json")  # the test split was not scored
        settings = Path("params.yaml").read_text()
        queued[settings] = trained()
    assert len(queued) == len({str(made) for made in queued.values()}) == 4
    for settings, made in queued.items():
        Path("params.yaml").write_text(settings)
        run_stages("train")  # by hand: DVC would take it from its cache
        assert trained() == made


def test_search_of_the_docs(finished):
    """The script as it stands there, with fewer trials; killed and started again, it trains only what is new."""
    edit_params(finished, **{"train.epochs": 1})
    git("commit", "-qam", "shorter")
    (script,) = re.findall(r"```python\n(.*?)```", SEARCH, re.DOTALL)
    trainings, best = [], ""
    for trials in (1, 2):
        code = script.replace("n_trials=20", f"n_trials={trials}")
        assert code != script
        output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        trainings += stages_run(output)
        best = output.splitlines()[-1]
    assert trainings == ["train", "train"]
    assert re.fullmatch(r"\{'train.learning_rate': [\d.e-]+, 'methods.lora.peft.r': \d+\}", best)
    git("diff", "--exit-code", "--stat", "metrics/evaluate.json")  # the test split was not scored
