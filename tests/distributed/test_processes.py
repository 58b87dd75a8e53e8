"""Several processes train, evaluate and score like one, end together, and go on in another number."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import contents, dvc, flat, infer_command, read, run_stages
from encoders import small_bert
from group import take_steps
from killing import repro_until
from safetensors.numpy import load_file
from tiny import ROOT, edit_params

from classifier.dataset import tables
from classifier.distributed.processes import Processes
from classifier.model import forward
from classifier.scoring import files as scoring
from classifier.scoring.arrow import examine
from classifier.scoring.parts import Parts
from classifier.text.tokens import open_tokens
from classifier.training.batches import epoch_batches

ROWS, BATCH = 160, 53  # so the last batch of an epoch has a single row, and all processes but one none of it


def torchrun(count: int) -> str:
    return f"torchrun --nproc-per-node {count}"


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shares_have_every_row_once(count):
    rows = np.arange(13)
    shares = [Processes(rank, count).share(rows) for rank in range(count)]
    assert sorted(np.concatenate(shares)) == rows.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(
    ("count", "peft"),
    [
        (2, {"peft_type": "LORA", "r": 4}),
        (3, {"peft_type": "LORA", "r": 4}),
        pytest.param(
            2,
            {"peft_type": "ADALORA", "init_r": 6, "target_r": 2, "tinit": 1, "tfinal": 2},
            marks=pytest.mark.scale,
        ),
    ],
    ids=["2", "3", "2 adalora"],
)
def test_the_weights_after_twenty_steps_are_those_of_one_process(finished, tmp_path, monkeypatch, count, peft):
    """On the same rows at each step, each taken by one process; fp32, no dropout."""
    batches = {"train.batch_size": BATCH, "train.micro_batch_size": 16, "train.epochs": 4, "train.short_epoch": 8}
    edit_params(finished, **batches, **{"methods.lora.peft": peft, "train.class_weights": {"positive": 3.0}})
    together, alone = tmp_path / "together", tmp_path / "alone"
    together.mkdir()
    alone.mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{finished}:{os.environ['PYTHONPATH']}")
    subprocess.run([*torchrun(count).split(), str(ROOT / "tests" / "group.py"), str(together)], check=True)
    take_steps(alone)
    shares = [read(together / f"{rank}.json") for rank in range(count)]
    lengths = open_tokens("train").lengths
    epochs = [np.minimum(lengths, 8), lengths, lengths, lengths, lengths]
    plan = [batch.tolist() for epoch, each in enumerate(epochs) for batch in epoch_batches(each, BATCH, 13, epoch)]
    assert read(alone / "0.json") == plan
    steps = list(zip(*shares, strict=True))
    assert [sorted(itertools.chain(*parts)) for parts in steps] == [sorted(batch) for batch in plan]
    assert any(not share for parts in steps for share in parts)
    expected, weights = (load_file(folder / "weights.safetensors") for folder in (alone, together))
    assert weights.keys() == expected.keys()
    for name, tensor in weights.items():
        np.testing.assert_allclose(tensor, expected[name], atol=1e-5, err_msg=name)


def test_each_process_scores_its_share(finished, monkeypatch):
    model, sequences = small_bert().eval(), [np.full(2 + row % 60, 9) for row in range(1000)]
    whole = forward.logits(model, sequences)
    monkeypatch.setattr(Processes, "sum", lambda self, tensor: tensor)  # what each would give to it
    shares = [forward.logits(model, sequences, None, Processes(rank, 3)) for rank in range(3)]
    assert (sum((share != 0).astype(int) for share in shares) == 1).all()
    assert np.array_equal(sum(shares), whole)

    path, parts = Path("rows.jsonl"), Parts(Path("parts"), Path("parts/key"))
    path.write_text('{"text": "a good film"}\n' * (3 * tables.ROWS_PER_TABLE))
    parts.begin()
    rows = examine(path, ["text"], ["negative", "positive"])
    scoring.score_missing_parts(scoring.Job(path), *rows, parts, Processes(1, 2))
    assert {*parts.folder.iterdir()} == {parts.key, parts.part(1)}


def processes_of(project: Path) -> dict[str, psutil.Process]:
    """What runs of stage train: the ranks by number, and the launcher."""
    found = {}
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if process.cwd() == str(project) and "stages.train" in command:
                rank = process.environ().get("RANK")
                found[rank or ("launcher" if any("torchrun" in word for word in command) else "stage")] = process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            pass
    return found


@pytest.mark.scale
def test_killed_in_any_place_and_gone_on_with_in_another_number(finished, monkeypatch):
    """One rank, the launcher, and the stage with all that it started (Ctrl-C): each ends all of them in a line."""
    edit_params(
        finished, **{"train.seed": 14, "train.epochs": 80, "train.validations": 8, "train.learning_rate": 0.001}
    )
    before = contents(finished)

    def broken_off(count: int, step: int, victim: str, how: signal.Signals) -> str:
        monkeypatch.setenv("LAUNCH", torchrun(count))
        alive, output = repro_until(
            lambda: f"step {step}: validation" in Path("repro.log").read_text(),
            how,
            victim=lambda: processes_of(finished)[victim].pid,
        )
        assert alive
        ended = time.monotonic()
        while processes_of(finished):
            assert time.monotonic() < ended + 30
            time.sleep(0.1)
        lines = [line for line in output.splitlines() if re.match(r"train: (?!going on|\d+ texts)", line)]
        if (victim, how) == ("stage", signal.SIGKILL):
            assert lines == []
        else:
            assert len(lines) == 1, output
            assert contents(finished) == before, "outputs are put back"
        assert "Traceback" not in output
        return output

    output = broken_off(2, 200, "1", signal.SIGKILL)
    assert "train: a process was ended by SIGKILL" in output
    output = broken_off(3, 600, "launcher", signal.SIGKILL)
    assert re.search(r"train: going on from step \d+ ", output)
    assert "(processes 2, now 3: so not to the bytes of a whole run)" in output
    output = broken_off(2, 1000, "stage", signal.SIGINT)
    assert re.search(r"train: going on from step \d+ ", output)
    assert "train: interrupted" in output
    broken_off(2, 1400, "stage", signal.SIGKILL)

    monkeypatch.setenv("LAUNCH", torchrun(2))
    output = dvc("repro")
    assert re.search(r"train: going on from step \d+ of 1600\n", output), output
    together, weights = flat(read("metrics/training.json")), load_file("models/adapter/adapter_model.safetensors")
    scored = contents(finished)
    monkeypatch.delenv("LAUNCH")
    run_stages("evaluate")
    assert contents(finished) == scored, "evaluate gives the same bytes in any number"
    run_stages("train")
    assert flat(read("metrics/training.json")) == pytest.approx(together, abs=2e-3)
    for name, tensor in load_file("models/adapter/adapter_model.safetensors").items():
        np.testing.assert_allclose(tensor, weights[name], atol=1e-3, err_msg=name)


def test_a_files_rows_are_scored_alike(finished, monkeypatch):
    rows = Path("rows.jsonl")
    rows.write_text(
        "".join(json.dumps({"text": f"a good film, number {n}" if n % 3 else None}) + "\n" for n in range(3000))
    )
    alone = infer_command("--file", str(rows), "--out", "alone.parquet")
    monkeypatch.setenv("LAUNCH", torchrun(2))
    assert infer_command("--file", str(rows), "--out", "together.parquet") == alone.replace("alone", "together")
    assert Path("alone.parquet").read_bytes() == Path("together.parquet").read_bytes()
    assert {path.name for path in Path().glob(".*parquet*")} == set()
    monkeypatch.setenv("LAUNCH", "mpirun")
    assert "has no torchrun" in infer_command("--file", str(rows), "--out", "other.parquet", ok=False)  # so it was read


@pytest.mark.parametrize(
    ("launch", "changes", "line"),
    [
        (torchrun(2), {"train.learning_rate": 1e9, "train.max_grad_norm": 1e9}, "the training diverged by step"),
        (f"{torchrun(2)} --no-such-option", {}, "unrecognized arguments: --no-such-option"),
        ("no-such-launcher torchrun", {}, "LAUNCH=no-such-launcher torchrun in the environment: No such file or dir"),
        ("mpirun -n 2", {}, "LAUNCH=mpirun -n 2 in the environment: has no torchrun"),
        ('torchrun "', {}, "in the environment: No closing quotation"),
    ],
)
def test_refused_in_one_line(finished, monkeypatch, launch, changes, line):
    edit_params(finished, **changes)
    monkeypatch.setenv("LAUNCH", launch)
    before = contents(finished)
    process = subprocess.run([sys.executable, "-m", "stages.train"], capture_output=True, text=True)
    assert process.returncode == 1
    assert [line in each for each in process.stderr.splitlines()] == [True], process.stderr
    assert process.stderr.startswith("train: ")
    assert contents(finished) == before
