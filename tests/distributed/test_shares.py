"""Several processes tokenize to the bytes of one: each writes a share of the texts, and the shares are joined."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from commands import contents, refusal, torchrun
from tiny import ROOT

from classifier.distributed.processes import Processes
from classifier.distributed.shares import join_shares, share_path
from classifier.files.formats import read_table, write_table
from classifier.text.tokens import open_tokens
from stages import tokenize as tokenize_stage


@pytest.mark.parametrize("count", [2, 3])
def test_shares_of_the_tokens_join_to_the_bytes_of_one_process(finished, tmp_path, monkeypatch, count):
    monkeypatch.setattr(tokenize_stage, "TEXTS_PER_BATCH", 7)
    tokenizer, metadata = tokenize_stage.load_tokenizer(24), open_tokens("test").metadata
    tokenize_stage.write_tokens(tmp_path / "alone.arrow", "test", tokenizer, metadata)
    for processes in (Processes(rank, count) for rank in range(count)):
        path = share_path(tmp_path, "test", processes)
        tokenize_stage.write_tokens(path, "test", tokenizer, metadata, processes)
    join_shares(tmp_path, "test", count)
    assert {path.name for path in tmp_path.glob("*.arrow")} == {"alone.arrow", "test.arrow"}
    assert (tmp_path / "test.arrow").read_bytes() == (tmp_path / "alone.arrow").read_bytes()
    reader = pa.ipc.open_stream((tmp_path / "test.arrow").read_bytes())
    assert len(list(reader)) > count, "several batches a process"


def test_ranks_tokenize_to_the_bytes_of_one_process(finished, forked_commands, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{finished}:{os.environ['PYTHONPATH']}")
    group = str(ROOT / "tests" / "tokens_group.py")
    for folder in ("alone", "together"):
        command = [sys.executable] if folder == "alone" else torchrun(2).split()
        subprocess.run([*command, group], check=True)
        Path("data/tokens").rename(folder)
    alone, together = (
        {path.name: path.read_bytes() for path in Path(name).iterdir()} for name in ("alone", "together")
    )
    assert together == alone
    assert {*alone} == {"train.arrow", "validation.arrow", "test.arrow"}


def test_a_text_that_one_of_the_ranks_refuses(finished, forked_commands, monkeypatch, capfd):
    """The text is in the second batch, which the second rank takes. The other ranks leave nothing half-written."""
    path = Path("data/raw/test.parquet")
    raw, metadata = read_table(path)
    rows = pd.concat([raw] * (4200 // len(raw) + 1), ignore_index=True)
    rows.loc[4099, "text"] = "\ufffd\ufffd"
    write_table(path, rows, **metadata)
    before = contents(finished)
    monkeypatch.setenv("LAUNCH", torchrun(2))
    assert refusal(tokenize_stage.tokenize, capfd, distributed=True).startswith(
        f"{path}: row 4100: the tokenizer finds nothing to read"
    )
    assert contents(finished) == before
