"""Several processes train, evaluate and score like one. They end together, and a run can resume with another number."""

import itertools
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from commands import contents, dvc, flat, infer_command, read, run_stages, torchrun
from encoders import small_bert
from group import take_steps
from killing import repro_until
from safetensors.numpy import load_file
from tiny import ROOT, edit_params

from classifier.distributed.processes import Processes
from classifier.model import forward
from classifier.scoring import files as scoring
from classifier.scoring.examining import examine
from classifier.scoring.job import Job
from classifier.scoring.parts import Parts
from classifier.tables import rows as table_rows
from classifier.text.tokens import open_tokens
from classifier.training.batches import epoch_batches

ROWS, BATCH = 160, 53  # the last batch of an epoch has a single row, so all ranks but one have an empty shard


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shards_have_every_row_once(count):
    rows = np.arange(13)
    shards = [Processes(rank, count).shard(rows) for rank in range(count)]
    assert sorted(np.concatenate(shards)) == rows.tolist()
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


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
def test_the_weights_after_twenty_steps_are_those_of_one_process(
    finished, forked_commands, tmp_path, monkeypatch, count, peft
):
    """In fp32 and without dropout. Each step takes the same rows, each row on one rank."""
    changes = {"train.batch_size": BATCH, "train.micro_batch_size": 16, "train.epochs": 4, "train.short_epoch": 8}
    edit_params(finished, **changes, **{"methods.lora.peft": peft, "train.class_weights": {"positive": 3.0}})
    together, alone = tmp_path / "together", tmp_path / "alone"
    together.mkdir()
    alone.mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{finished}:{os.environ['PYTHONPATH']}")
    subprocess.run([*torchrun(count).split(), str(ROOT / "tests" / "group.py"), str(together)], check=True)
    take_steps(alone)
    lengths = open_tokens("train").lengths
    epochs = enumerate([np.minimum(lengths, 8), lengths, lengths, lengths, lengths])
    batches = [batch.tolist() for epoch, rows in epochs for batch in epoch_batches(rows, BATCH, 13, epoch)]
    assert read(alone / "0.json") == batches
    shards_by_step = list(zip(*(read(together / f"{rank}.json") for rank in range(count)), strict=True))
    assert [sorted(itertools.chain(*shards)) for shards in shards_by_step] == [sorted(batch) for batch in batches]
    assert any(not shard for shards in shards_by_step for shard in shards)
    expected, weights = (load_file(folder / "weights.safetensors") for folder in (alone, together))
    assert weights.keys() == expected.keys()
    for name, tensor in weights.items():
        np.testing.assert_allclose(tensor, expected[name], atol=1e-5, err_msg=name)


def test_each_rank_scores_its_shard(finished, monkeypatch):
    model, sequences = small_bert().eval(), [np.full(2 + row % 60, 9) for row in range(1000)]
    expected = forward.logits(model, sequences)
    monkeypatch.setattr(Processes, "all_reduce", lambda self, tensor: tensor)  # shows what a rank adds to the sum
    summands = [forward.logits(model, sequences, None, Processes(rank, 3)) for rank in range(3)]
    assert (sum((summand != 0).astype(int) for summand in summands) == 1).all()
    assert np.array_equal(sum(summands), expected)

    path, parts = Path("rows.jsonl"), Parts(Path("parts"), Path("parts/key"))
    path.write_text('{"text": "a good film"}\n' * (3 * table_rows.ROWS_PER_TABLE))
    parts.begin()
    rows = examine(Job(path), ["negative", "positive"])
    scoring.score_missing_parts(Job(path), *rows, parts, Processes(1, 2))
    assert {*parts.folder.iterdir()} == {parts.key, parts.part(1)}


def processes_of(project: Path) -> dict[str, psutil.Process]:
    """Return the running processes of stage train: "stage", "launcher", and the ranks by number."""
    running = {}
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if process.cwd() == str(project) and "stages.train" in command:
                rank = process.environ().get("RANK")
                running[rank or ("launcher" if any("torchrun" in word for word in command) else "stage")] = process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            pass
    return running


@pytest.mark.scale
@pytest.mark.usefixtures("checkpoint_after_each_step")
def test_any_process_is_killed_and_the_run_resumes_with_another_number(finished, monkeypatch):
    """A killed rank, a killed launcher, an interrupted stage and a killed stage each end all processes.

    All but the killed stage print one line. Every run after that resumes.
    """
    edit_params(
        finished, **{"train.seed": 14, "train.epochs": 80, "train.validations": 8, "train.learning_rate": 0.001}
    )
    before = contents(finished)

    def train_and_kill(count: int, step: int, victim: str, how: signal.Signals) -> str:
        """Run `dvc repro` with `count` processes, send the signal to the victim after a step, and return the output."""
        monkeypatch.setenv("LAUNCH", torchrun(count))
        alive, output = repro_until(
            lambda: f"step {step}: validation" in Path("repro.log").read_text(),
            how,
            victim=lambda: processes_of(finished)[victim].pid,
        )
        assert alive
        deadline = time.monotonic() + 30
        while processes_of(finished):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        lines = [line for line in output.splitlines() if re.match(r"train: (?!going on|\d)", line)]
        if (victim, how) == ("stage", signal.SIGKILL):
            assert lines == []
        else:
            assert len(lines) == 1, output
            assert contents(finished) == before, "the outputs are put back"
        assert "Traceback" not in output
        return output

    output = train_and_kill(2, 200, "1", signal.SIGKILL)
    assert "train: a process was ended by SIGKILL" in output
    output = train_and_kill(3, 600, "launcher", signal.SIGKILL)
    assert re.search(r"train: going on from step \d+ ", output)
    assert "(processes 2, now 3: the weights will not be byte for byte those of an uninterrupted run)" in output
    output = train_and_kill(2, 1000, "stage", signal.SIGINT)
    assert re.search(r"train: going on from step \d+ ", output)
    assert "train: interrupted" in output
    train_and_kill(2, 1400, "stage", signal.SIGKILL)

    monkeypatch.setenv("LAUNCH", torchrun(2))
    output = dvc("repro")
    assert re.search(r"train: going on from step \d+ of 1600\n", output), output
    together, weights = flat(read("metrics/training.json")), load_file("models/adapter/adapter_model.safetensors")
    scored = contents(finished)
    monkeypatch.delenv("LAUNCH")
    run_stages("evaluate")
    assert contents(finished) == scored, "evaluate writes the same bytes with any number of processes"
    run_stages("train")
    assert flat(read("metrics/training.json")) == pytest.approx(together, abs=2e-3)
    for name, tensor in load_file("models/adapter/adapter_model.safetensors").items():
        np.testing.assert_allclose(tensor, weights[name], atol=1e-3, err_msg=name)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_file_is_scored_to_the_same_bytes(finished, forked_commands, monkeypatch, precision):
    rows = Path("rows.jsonl")
    rows.write_text(
        "".join(json.dumps({"text": f"a good film, number {n}" if n % 3 else None}) + "\n" for n in range(3000))
    )
    arguments = ("--file", str(rows), "--precision", precision)
    alone = infer_command(*arguments, "--out", "alone.parquet")
    monkeypatch.setenv("LAUNCH", torchrun(2))
    assert infer_command(*arguments, "--out", "together.parquet") == alone.replace("alone", "together")
    assert Path("alone.parquet").read_bytes() == Path("together.parquet").read_bytes()
    assert read("alone.parquet.summary.json") == read("together.parquet.summary.json")
    assert read("alone.parquet.summary.json")["distance"]["texts"] == 1000  # of 2,000 rows, each second one is blank
    assert {path.name for path in Path().glob(".*parquet*")} == set()
    monkeypatch.setenv("LAUNCH", "mpirun")
    # LAUNCH is read here too.
    assert "has no torchrun" in infer_command("--file", str(rows), "--out", "other.parquet", ok=False)
