"""Many settings at once: DVC's queue with two workers, and the search of docs/how-to/experiments.md."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import contents, dvc, git, run_stages, stages_run
from tiny import ROOT, edit_params

PAGE = (ROOT / "docs/how-to/experiments.md").read_text()


def trained() -> dict[str, str]:
    """What `train` makes, by digest."""
    made = ("models/adapter/", "metrics/training.", "metrics/validation.")
    return {path: digest for path, digest in contents(Path()).items() if path.startswith(made)}


@pytest.mark.scale
def test_a_queue_with_two_workers_gives_what_runs_one_by_one_do(finished):
    (line,) = re.findall(r"^dvc exp run --queue .*choice.*", PAGE, re.MULTILINE)
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


@pytest.mark.scale
def test_search_of_the_docs(finished):
    """The script as it stands there, with one trial; started again, it proposes the same and trains nothing."""
    edit_params(finished, **{"train.epochs": 1})
    git("commit", "-qam", "shorter")
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    code = script.replace("n_trials=20", "n_trials=1")
    assert code != script
    search = [sys.executable, "-c", code]
    first, again = (subprocess.run(search, check=True, capture_output=True, text=True).stdout for _ in range(2))
    assert stages_run(first) == ["train"]
    assert stages_run(again) == []
    best = first.splitlines()[-1]
    assert re.fullmatch(r"\{'train.learning_rate': [\d.e-]+, 'methods.lora.peft.r': \d+\}", best)
    assert again.splitlines()[-1] == best
    git("diff", "--exit-code", "--stat", "metrics/evaluate.json")  # the test split was not scored
