"""`python -m apps.infer --precision`: what is scored in bf16, and what says so."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from commands import infer_command, predict
from forking import run_module
from tiny import reviews

from apps import infer
from classifier.errors import InputError
from classifier.files.formats import metadata_of
from classifier.predict import Classifier

TEXTS = [text for text, _ in reviews(40, seed=7)]


@pytest.fixture
def has_bf16(monkeypatch):
    """Return a function that sets whether the CPU multiplies in bf16."""
    monkeypatch.setenv("DEVICE", "cpu")
    return lambda has: monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has})


def test_answers_in_bf16_are_near(finished):
    """An error of about 1% of the logit changes a confidence by less than 0.02."""
    fp32, bf16 = predict(TEXTS), predict(TEXTS, precision="bf16")
    gaps = np.abs([one[1] - other[1] for one, other in zip(fp32, bf16, strict=True) if one[0] == other[0]])
    assert 0 < gaps.max() < 0.02
    unsure = [one[1] for one, other in zip(fp32, bf16, strict=True) if one[0] != other[0]]
    assert all(confidence < 0.52 for confidence in unsure)
    assert predict(TEXTS, precision="fp32") == fp32
    assert Classifier(min_accuracy=0.65, precision="bf16").min_confidence == Classifier(0, 0.65).min_confidence


def test_texts_and_lines(finished, has_bf16, capsys):
    has_bf16(True)
    infer.main(TEXTS[:2])
    printed = capsys.readouterr()
    assert printed.err == ""
    infer.main(TEXTS[:2], precision="bf16")
    rounded = capsys.readouterr()
    assert rounded.err == "infer: scoring in bf16\n"
    assert [line.split()[0] for line in rounded.out.splitlines()] == [
        line.split()[0] for line in printed.out.splitlines()
    ]
    status, out, err = run_module("apps.infer", ["--precision", "bf16", "-"], "\n".join(TEXTS).encode())
    assert status == 0
    assert err.startswith("infer: scoring in bf16")  # on a CPU without bf16 the line goes on
    answers = [(line["label"], line["confidence"]) for line in map(json.loads, out.splitlines())]
    assert answers == [(label, round(confidence, 4)) for label, confidence in predict(TEXTS, precision="bf16")]


@pytest.mark.parametrize(
    ("has", "option", "printed", "used"),
    [
        (True, "auto", "bf16", "bf16"),
        (False, "auto", "fp32: cpu does not multiply in bf16", "fp32"),
        (True, "bf16", "bf16", "bf16"),
        (False, "bf16", "bf16: cpu does not multiply in bf16, so bf16 is slower than fp32", "bf16"),
        (True, "fp32", None, "fp32"),
    ],
)
def test_a_file_says_its_precision(finished, has_bf16, capsys, has, option, printed, used):
    """A file in fp32 has no metadata, however fp32 was chosen. A .csv has none either; stderr names the precision."""
    has_bf16(has)
    pd.DataFrame({"text": TEXTS}).to_parquet("a.parquet")
    for out in (Path("out.parquet"), Path("table.csv")):
        infer.main(file=Path("a.parquet"), out=out, precision=option)
        assert capsys.readouterr().err == ("" if printed is None else f"infer: scoring in {printed}\n")
    table = pq.read_table("out.parquet")
    assert metadata_of(table.schema) == ({} if used == "fp32" else {"scoring_precision": "bf16"})
    answers = predict(TEXTS, precision=used)
    assert table["predicted"].to_pylist() == [label for label, _ in answers]
    assert table["confidence"].to_pylist() == [np.float32(confidence) for _, confidence in answers]
    columns = pd.read_csv("table.csv")
    assert columns["confidence"].tolist() == pytest.approx(table["confidence"].to_pylist(), abs=1e-7)


def test_the_bytes_in_fp32_are_those_without_the_option(finished):
    Path("a.csv").write_text("text\na good film\n")
    for out, option in (("a.parquet", ()), ("b.parquet", ("--precision", "fp32"))):
        infer_command("--file", "a.csv", "--out", out, *option)
    assert Path("a.parquet").read_bytes() == Path("b.parquet").read_bytes()
    assert pq.read_schema("a.parquet").metadata is None


def test_mistakes_end_in_a_line(finished):
    Path("a.csv").write_text("text\na good film\n")
    for arguments in (["a good film"], ["--file", "a.csv"]):
        refused = infer_command("--precision", "fp16", *arguments, ok=False)
        assert refused == "infer: precision: 'fp16': should be fp32, bf16 or auto\n"
    assert sorted(Path().glob("*scored*")) == []
    for option in (["--explain"], ["--explain-label", "positive"]):
        refused = infer_command("--precision", "bf16", *option, "a good film", ok=False)
        assert refused == "infer: --explain: explains in fp32 only; leave --precision out\n"
    with pytest.raises(InputError, match="should be fp32, bf16 or auto"):
        Classifier(precision="half")
