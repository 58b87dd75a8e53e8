"""Runs of a scoring that are killed, interrupted or started twice, and the finished parts that they leave."""

import contextlib
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from commands import infer_command
from forking import Command, start
from imports import imported, package

from apps import infer
from classifier.distributed.processes import Processes
from classifier.errors import InputError
from classifier.predict import Classifier
from classifier.scoring import files as scoring
from classifier.scoring import parts
from classifier.scoring.files import score_file, score_share
from classifier.scoring.job import Job
from classifier.scoring.parts import CODE, Parts
from classifier.scoring.summary import Summary
from classifier.tables.rows import ROWS_PER_TABLE as ROWS


def start_scoring() -> Command:
    """Start `python -m apps.infer` on many.csv with the output out.parquet; it prints into printed.txt."""
    with Path("printed.txt").open("w") as printed:
        return start("apps.infer", ["--file", "many.csv", "--out", "out.parquet"], printed, printed)


def test_killed_run_goes_on(finished, monkeypatch):
    rng = random.Random(1)
    rows = [" ".join(rng.choices(["good", "bad", "the", "film"], k=20)) for _ in range(30 * ROWS + 7)]
    pd.DataFrame({"text": rows}).to_csv("many.csv", index=False)
    shutil.copy("many.csv", "same.csv")
    scored = []
    batch = Classifier.answers_and_features
    monkeypatch.setattr(
        Classifier, "answers_and_features", lambda self, texts: scored.extend(texts) or batch(self, texts)
    )

    process = start_scoring()
    glob = ".out.parquet.*.parts/*.parquet"
    while len(list(Path().glob(glob))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = len(list(Path().glob(glob)))
    assert done < 30
    assert not Path("out.parquet").exists()

    score_file(Job(Path("many.csv"), Path("out.parquet")))
    assert scored == rows[done * ROWS :]
    scored.clear()
    score_file(Job(Path("same.csv"), Path("uninterrupted.parquet")))
    assert scored == rows
    assert Path("out.parquet").read_bytes() == Path("uninterrupted.parquet").read_bytes()
    summary = Path("out.parquet.summary.json").read_bytes()
    assert summary == Path("uninterrupted.parquet.summary.json").read_bytes()
    assert 30 <= json.loads(summary)["distance"]["texts"] <= 2000


def test_a_lost_part_is_noticed(finished, monkeypatch):
    pd.DataFrame({"text": ["a good film"] * 3 * ROWS}).to_csv("many.csv", index=False)
    score_missing_parts = scoring.score_missing_parts

    def lose_one(job, schema, row_count, parts):
        score_missing_parts(job, schema, row_count, parts)
        parts.part(1).unlink()

    monkeypatch.setattr(scoring, "score_missing_parts", lose_one)
    job = Job(Path("many.csv"), Path("out.parquet"))
    with pytest.raises(InputError, match=rf"parts: holds {2 * ROWS:,} of {3 * ROWS:,} rows; start the command again"):
        score_file(job)
    monkeypatch.setattr(scoring, "score_missing_parts", score_missing_parts)
    assert score_file(job) == len(pd.read_parquet("out.parquet")) == 3 * ROWS


def test_interrupted_run_goes_on(finished):
    pd.DataFrame({"text": ["a good film"] * 30 * ROWS}).to_csv("many.csv", index=False)
    process = start_scoring()
    while not (finished_parts := list(Path().glob(".out.parquet.*.parts/0000000.parquet"))):
        assert process.poll() is None
        time.sleep(0.01)
    (first,) = finished_parts
    os.kill(process.pid, signal.SIGINT)
    assert process.wait() == 1
    assert Path("printed.txt").read_text() == "infer: interrupted; with --file, repeat the command to resume\n"
    written = first.stat().st_mtime_ns
    process, looks = start_scoring(), 0
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # the parts are removed at the end
            assert first.stat().st_mtime_ns == written
            looks += 1
        time.sleep(0.01)
    assert looks > 10
    assert len(pd.read_parquet("out.parquet")) == 30 * ROWS


def test_parts_of_another_input_model_or_library_are_not_used(finished, monkeypatch):
    path, out, scored = Path("few.csv"), Path("out.parquet"), []
    batch = Classifier.answers_and_features

    def rows(self, texts):
        scored.append(len(texts))
        if interrupted and len(scored) == 2:
            raise RuntimeError("a fault in the second part")
        return batch(self, texts)

    monkeypatch.setattr(Classifier, "answers_and_features", rows)

    def score(text: str) -> list[int]:
        """Return the sizes of the parts that are scored of a file with ROWS times "good film" and then the text."""
        scored.clear()
        pd.DataFrame({"text": ["good film"] * ROWS + [text]}).to_csv(path, index=False)
        os.utime(path, (0, 0))
        if not interrupted:
            score_file(Job(path, out))
        else:
            with pytest.raises(RuntimeError):
                score_file(Job(path, out))
        return scored

    interrupted = True
    assert score("bad film") == [ROWS, 1]
    assert score("good film , great") == [ROWS, 1]
    with Path("models/adapter/config.json").open("a") as file:
        file.write("\n")
    assert score("good film , great") == [ROWS, 1]
    version = parts.metadata.version
    for library in ("torch", "transformers", "peft", "tokenizers"):
        with monkeypatch.context() as upgraded:
            upgraded.setattr(parts.metadata, "version", lambda name, new=library: version(name) + "1" * (name == new))
            assert score("good film , great") == [ROWS, 1]
    assert score("good film , great") == [ROWS, 1]
    with monkeypatch.context() as broken:  # another file for the same --out
        shutil.copy(path, "other.csv")
        broken.setattr(scoring, "write_parquet", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            score_file(Job(Path("other.csv"), out))
    interrupted = False
    assert score("good film , great") == [1]
    assert pd.read_parquet(out)["predicted"].tolist() == ["positive"] * (ROWS + 1)


def test_a_run_that_ends_at_the_summary_can_be_continued(finished, monkeypatch):
    """Output and summary appear together, after both are complete."""
    Path("few.csv").write_text("text\na good film\n")
    job = Job(Path("few.csv"), Path("out.parquet"))
    with monkeypatch.context() as killed:
        killed.setattr(Summary, "content", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            score_file(job)
    assert [path.exists() for path in (job.out, job.summary)] == [False, False]
    assert score_file(job) == 1
    assert [path.exists() for path in (job.out, job.summary)] == [True, True]


def test_parts_of_another_file_are_removed(finished, monkeypatch, capsys):
    """Parts that a killed run left for the same --out are removed once it is written; parts for another --out stay."""
    for name in ("few.csv", "other.csv"):
        Path(name).write_text("text\na good film\n")
    with monkeypatch.context() as killed:
        killed.setattr(Parts, "row_groups", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            score_file(Job(Path("other.csv"), Path("out.parquet")))
    (left,) = Path().glob(".out.parquet.*.parts")
    other_outputs = [Path(".out.parquet.b.parquet.01234567.parts"), Path(".out.parquet.mine.parts")]
    for folder in other_outputs:
        folder.mkdir()
    capsys.readouterr()
    score_file(Job(Path("few.csv"), Path("out.parquet")))
    message = f"infer: removed {left}: unfinished parts of other files for out.parquet\n"
    assert capsys.readouterr().err == message
    assert sorted(Path().glob(".out*")) == sorted(other_outputs)
    score_file(Job(Path("few.csv"), Path("out.parquet")), overwrite=True)
    assert capsys.readouterr().err == ""


def test_parts_of_another_precision_are_not_used(finished, monkeypatch):
    """`auto` stands for what it chose: a run that goes on elsewhere must not mix precisions."""
    pd.DataFrame({"text": ["a good film"] * 3 * ROWS}).to_csv("many.csv", index=False)
    monkeypatch.setenv("DEVICE", "cpu")
    batch, scored = Classifier.answers_and_features, []

    def score(precision: str, has_bf16: bool, most: int) -> list[torch.dtype]:
        """Score at most so many parts of the file; return the precision of each of them."""

        def call(classifier, texts):
            if len(scored) == most:
                raise KeyboardInterrupt
            scored.append(classifier.model.dtype)
            return batch(classifier, texts)

        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_bf16})
        monkeypatch.setattr(Classifier, "answers_and_features", call)
        scored.clear()
        with contextlib.suppress(SystemExit):
            infer.main(file=Path("many.csv"), out=Path("out.parquet"), precision=precision)
        return [*scored]

    assert score("auto", True, 1) == [torch.bfloat16]
    assert score("auto", False, 1) == [torch.float32]
    assert score("bf16", True, 2) == [torch.bfloat16] * 2
    assert score("auto", True, 3) == [torch.bfloat16]
    assert len(pd.read_parquet("out.parquet")) == 3 * ROWS


def test_a_rank_refuses_parts_of_another_model(finished):
    """A launched process must not mix its parts with those of the process that launched it."""
    Path("a.csv").write_text("text\na good film\n")
    job = Job(Path("a.csv"), Path("out.parquet"))
    job.parts().begin()
    with Path("models/adapter/config.json").open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match=r"parts: missing, or of other inputs or code; start the command again"):
        score_share(job, Processes(1, 2))


def test_a_folder_of_old_parts_that_cannot_be_removed_is_not_used(tmp_path, monkeypatch):
    """If the parts of another input cannot be removed, no part of this input is written beside them."""
    parts = Parts(tmp_path / "parts", tmp_path / "parts/key")
    parts.begin()
    parts.part(0).touch()
    parts.key.unlink()  # as if the parts were those of another input

    def refuse(path, *args, **options):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", refuse)
        with pytest.raises(PermissionError):
            parts.begin()
    assert not parts.key.exists()
    parts.begin()
    assert [*parts.folder.iterdir()] == [parts.key]


def test_parts_of_a_scoring_are_keyed_by_the_code_that_shapes_them():
    others = {"classifier/errors.py", "classifier/files", "classifier/params"}
    shaping = {package(path) for path in imported("classifier/scoring/files.py")} - others
    assert shaping == {path.as_posix() for path in CODE}


def test_two_runs_cannot_write_the_same_file(finished, monkeypatch):
    pd.DataFrame({"text": ["a good film"] * 30 * ROWS}).to_csv("many.csv", index=False)
    pd.DataFrame({"text": ["a bad film"] * 3}).to_csv("few.csv", index=False)
    first = start_scoring()
    while not list(Path().glob(".out.parquet.*.parts")):
        assert first.poll() is None
        time.sleep(0.01)
    refused = infer_command("--file", "few.csv", "--out", "out.parquet", ok=False)
    assert refused == "infer: out.parquet: another run is writing it; wait for that run or give another --out\n"
    out = Path("out.parquet").absolute()
    with monkeypatch.context() as elsewhere:
        elsewhere.chdir("data")  # as from another clone
        with pytest.raises(InputError, match="another run is writing it"):
            score_file(Job(Path("../few.csv"), out))
    infer_command("--file", "few.csv", "--out", "other.parquet")
    assert first.wait() == 0
    assert len(pd.read_parquet("out.parquet")) == 30 * ROWS
