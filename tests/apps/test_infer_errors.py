"""`python -m apps.infer`: each mistake of a user ends in one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import infer_command, predict, read
from forking import run_module

from apps import infer
from classifier.errors import InputError
from classifier.predict.classifier import Classifier


def test_a_confidence_that_cannot_be(finished):
    for wanted in ("2", "-1", "half", "nan", "", "0_1", "1.2.3"):
        refused = infer_command("good", f"--min-confidence={wanted}", ok=False)
        assert refused == f"infer: --min-confidence {wanted}: should be a number from 0 to 1, or target\n"
    for wanted in ("2", "-1", "nan", "0", "1"):
        refused = infer_command("good", f"--min-accuracy={wanted}", ok=False)
        assert refused == f"infer: --min-accuracy {wanted}: should be a number between 0 and 1\n"
    both = ("--min-accuracy", "0.7", "--min-confidence", "0.7")
    assert "give only one of them" in infer_command("good", *both, ok=False)
    problem = "infer: the validation rows show no confidence that gives an accuracy of 99.0%: "
    refused = infer_command("good", "--min-accuracy", "0.99", ok=False)
    assert refused.startswith(problem)
    assert "(at least 368 are needed)" in refused
    for wanted in (90, True, "0.9", None, -0.1):
        with pytest.raises(InputError, match=r"min_confidence: .*: a number from 0 to 1 is needed"):
            predict(["good"], wanted)
    assert predict("a good film", np.float32(0.1)) == predict("a good film", np.int64(0))
    refused = infer_command("--min-confidence", "", ok=False)
    assert "give either texts" in refused
    validation = Path("models/adapter/validation.parquet")
    validation.unlink()
    validation.write_text("no")
    assert "bring it back with `dvc checkout --force" in infer_command("good", "--min-accuracy", "0.8", ok=False)
    validation.unlink()
    problem = "models/adapter/validation.parquet: not found"
    assert problem in infer_command("good", "--min-confidence", "target", ok=False)
    config = read("models/adapter/config.json")
    labels = {"id2label": {"0": "uncertain", "1": "positive"}, "label2id": {"uncertain": 0, "positive": 1}}
    Path("models/adapter/config.json").write_text(json.dumps(config | labels))
    assert "a label 'uncertain' of its own" in infer_command("good", "--min-confidence", "0.9", ok=False)


def test_a_quote_that_swallows_rows_of_a_file_is_refused(finished):
    """Such rows are recognized if the file has a column of labels."""
    Path("a.csv").write_text('text,label\ngood,positive\n"bad,negative\nfun,positive\ngreat",positive\nend,negative\n')
    refused = infer_command("--file", "a.csv", ok=False)
    assert refused.startswith("infer: a.csv: line 3: the quoted field that begins here holds 3 whole rows of the table")
    Path("a.csv").write_text('text,more\ngood,x\n"bad,y\nfun,z\ngreat",positive\nend,w\n')
    infer_command("--file", "a.csv")
    assert len(pd.read_parquet("scored.parquet")) == 3


def test_an_adapter_of_an_older_version_is_refused_in_a_line(finished):
    path = Path("models/adapter/config.json")
    path.write_text(json.dumps({name: value for name, value in read(path).items() if name != "trained"}))
    Path("a.csv").write_text("text\ngood\n")
    told = "infer: models/adapter: made by an older version of the code; train it again with `dvc repro train`\n"
    assert infer_command("--file", "a.csv", ok=False) == told


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "none.csv: no such file"),
        ("a.txt", "good", "a.txt: a .txt file may hold anything; set `--format delimiter=` if it has fields"),
        (
            "a.csv",
            "review\ngood\n",
            "a.csv: no column 'text'; the texts are read from text, and the file has review",
        ),
        ("a.csv", "text\n", "a.csv: has no rows"),
        ("a.csv", "text,text\na,b\n", "a.csv: line 1: several columns are named 'text'; rename all but one"),
        ("a.csv", "text,predicted\na,b\n", "a.csv: has a column 'predicted' already; rename it, or leave it out with"),
        (
            "a.csv",
            "id,text\n1,a\n2,b,c\n3,d\n4\n",
            "a.csv: lines 3 (3 fields), 5 (1 field): the header has 2 fields; complete the rows",
        ),
        ("a.csv", "id;text\n1;a\n", 'semicolons: give --format "delimiter=;"'),
        ("a.csv", "sep=;\nid;text\n1;a\n", 'delimiter: give --format "delimiter=;" and --format "comment=sep="'),
        ("a.csv", b"text\ngood\ng\xff\n", "a.csv: line 3, byte 2: not UTF-8"),
        ("a.csv", b"text,caf\xe9\ngood,1\n", "a.csv: line 1, byte 9: not UTF-8"),
        (
            "a.jsonl",
            '{"text": 1}\n{"text": null}\n{"text": "a"}\n{"text": []}\n',
            "a.jsonl: column 'text': not a text in lines 1, 4; write it as a string, or name another column",
        ),
        ("a.jsonl", '{"text": null}\n{}\n', "a.jsonl: column 'text': no text in any row; name another"),
        ("a.jsonl", '{"text": "a"}\n{"text"\n', "a.jsonl: line 2, character 8: not JSON"),
        ("a.jsonl", b'{"text": "g\xff"}\n', "a.jsonl: line 1, byte 12: not UTF-8"),
        ("a.parquet", "no", "a.parquet: not a valid Parquet file: "),
    ],
)
def test_mistakes(finished, name, content, message):
    if content is not None:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    refused = infer_command("--file", name, "--out", "out.parquet", ok=False)
    assert message in refused
    assert "params.yaml" not in refused
    assert sorted(Path().glob("*out.parquet*")) == []


def test_out_of_memory_is_one_line(finished, monkeypatch):
    def full(*args):
        raise RuntimeError("MPS backend out of memory (MPS allocated: 8 GiB)")

    monkeypatch.setattr(Classifier, "__call__", full)
    with pytest.raises(SystemExit, match=r"^infer: out of memory; if a GPU's memory is full, set DEVICE=cpu"):
        infer.main(["a good film"])


def test_more_mistakes(finished):
    assert "give either texts" in infer_command("good", "--file", "a.csv", ok=False)
    assert "give either texts" in infer_command("--out", "a.parquet", ok=False)
    for option in ("--column=text", "--keep=id", "--format=kind=csv"):
        assert "--format, --keep, --out and --overwrite: give them with --file" in infer_command("a", option, ok=False)
    texts = pa.array([b"g\xff"]).view(pa.string())
    pq.write_table(pa.table({"text": texts}), "a.parquet")
    assert "Invalid UTF8" in infer_command("--file", "a.parquet", "--out", "out.parquet", ok=False)
    for out in ("out.tsv", "out.CSV", "out"):
        refused = infer_command("--file", "a.csv", "--out", out, ok=False)
        assert refused == f"infer: {out}: must end in .parquet, .csv, .jsonl\n"
    Path("folder.parquet").mkdir()
    refused = infer_command("--file", "a.parquet", "--out", "folder.parquet", "--overwrite", ok=False)
    assert refused == "infer: folder.parquet: is a folder; give another --out\n"
    status, printed, error = run_module("apps.infer", ["-"], b"good\ng\xff\n")
    assert status == 1
    assert json.loads(printed)["text"] == "good"  # the line before
    assert "line 2: not UTF-8" in error
    weights = Path("models/base/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")  # of the same shapes
    assert "models/adapter: was trained on another models/base; bring both back with `dvc checkout" in infer_command(
        "good film", ok=False
    )
    shutil.rmtree("models/adapter")
    assert "dvc checkout models/adapter" in infer_command("good film", ok=False)
    Path("a.csv").write_text("text\ngood\n")
    assert "dvc checkout models/adapter" in infer_command("--file", "a.csv", ok=False)
    assert list(Path().glob(".scored*")) == []
