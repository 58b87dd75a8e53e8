"""Using the model: texts, files, pipes, kills."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from conftest import read, reviews

from stages import infer
from stages.infer import predict
from stages.scoring import ROWS, score_file

COMMAND = [sys.executable, "-m", "stages.infer"]


def command(*args: str, ok: bool = True, **kwargs) -> str:
    """What `python -m stages.infer ARGS` prints; where it must fail, its one line of error."""
    process = subprocess.run([*COMMAND, *args], capture_output=True, text=True, **kwargs)
    assert process.returncode == (0 if ok else 1), process.stderr
    if ok:
        return process.stdout
    assert len(process.stderr.splitlines()) == 1, process.stderr
    return process.stderr


def test_texts(finished):
    texts = ["a great film , i loved it", "boring and too long"]
    answers = predict(texts)
    header, *rows = command(*texts).splitlines()
    assert header.split() == ["label", "confidence", "text"]
    for row, text, (label, confidence) in zip(rows, texts, answers, strict=True):
        assert row.split(maxsplit=2) == [label, f"{confidence:.1%}", text]
    samples = read("metrics/samples.json")
    assert [(sample["label"], sample["confidence"]) for sample in samples] == [
        (label, round(confidence, 4)) for label, confidence in predict([sample["text"] for sample in samples])
    ]
    # The order and company of the texts change nothing, and the evaluation saw the same model.
    table = pd.read_parquet("data/predictions.parquet").sample(frac=1, random_state=0)
    labels = ["negative", "positive"]
    for row, (label, confidence) in zip(table.itertuples(), predict(table["text"].tolist()), strict=True):
        assert label == labels[row.predicted]
        assert confidence == pytest.approx(row.confidence, abs=1e-5)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_file(finished, suffix):
    """More than one part; quotes, line breaks, blank and missing texts; other columns stay as they are."""
    rows = [(text, number) for number, (text, _) in enumerate(reviews(ROWS + 40, seed=5))]
    rows[3] = ('a "great" film,\nloved it', 3)
    rows[5], rows[ROWS + 1] = ("  ", 5), (None, ROWS + 1)
    table = pd.DataFrame(rows, columns=["review", "id"])
    path = Path(f"reviews{suffix}")
    if suffix == ".csv":
        table.to_csv(path, index=False)
    elif suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_parquet(path, row_group_size=300)
    assert score_file(path, "review", Path("out.parquet")) == len(table)
    scored = pd.read_parquet("out.parquet")
    assert list(scored) == ["review", "id", "predicted", "confidence"]
    assert scored["id"].astype(int).tolist() == table["id"].tolist()
    assert scored["review"].fillna("").tolist() == table["review"].fillna("").tolist()
    blank = table["review"].fillna("").str.strip() == ""
    assert (scored["predicted"].isna() == blank).all()
    assert (scored["confidence"].isna() == blank).all()
    answers = predict(table["review"][~blank].tolist())
    assert scored["predicted"][~blank].tolist() == [label for label, _ in answers]
    assert scored["confidence"][~blank].tolist() == pytest.approx([confidence for _, confidence in answers], abs=1e-5)
    assert sorted(Path().glob(".out*")) == []


def test_killed_run_goes_on(finished, monkeypatch):
    rng = random.Random(1)
    rows = [" ".join(rng.choices(["good", "bad", "the", "film"], k=20)) for _ in range(30 * ROWS + 7)]
    pd.DataFrame({"text": rows}).to_csv("many.csv", index=False)
    shutil.copy("many.csv", "same.csv")
    scored = []
    batch = infer.Classifier.rows
    monkeypatch.setattr(infer.Classifier, "rows", lambda self, texts: scored.extend(texts) or batch(self, texts))

    process = subprocess.Popen([*COMMAND, "--file", "many.csv", "--out", "out.parquet"], stderr=subprocess.DEVNULL)
    parts = Path(".out.parquet.parts")
    while len(list(parts.glob("*.parquet"))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list(parts.glob("*.parquet")))
    assert done < 30
    assert not Path("out.parquet").exists()

    score_file(Path("many.csv"), "text", Path("out.parquet"))
    assert scored == rows[done * ROWS :]
    scored.clear()
    score_file(Path("same.csv"), "text", Path("uninterrupted.parquet"))
    assert scored == rows
    assert Path("out.parquet").read_bytes() == Path("uninterrupted.parquet").read_bytes()


def test_interrupted_run_goes_on(finished):
    pd.DataFrame({"text": ["a good film"] * 30 * ROWS}).to_csv("many.csv", index=False)
    call = [*COMMAND, "--file", "many.csv", "--out", "out.parquet"]
    process = subprocess.Popen(
        call,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in a background job
    )
    first = Path(".out.parquet.parts/0000000.parquet")
    while not first.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == "infer: interrupted; with --file the same command goes on where it was\n"
    assert process.returncode == 1
    written = first.stat().st_mtime_ns
    process = subprocess.Popen(call, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # removed at the end
            assert first.stat().st_mtime_ns == written
        time.sleep(0.01)
    assert len(pd.read_parquet("out.parquet")) == 30 * ROWS


def test_disk_full(finished):
    """One line, nothing half-written at the name asked for, and the same command succeeds with room."""
    pd.DataFrame({"text": ["a good film"] * 3, "noise": [random.Random(0).randbytes(9000).hex()] * 3}).to_csv("a.csv")
    Path("small").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", "small"], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        assert "No space left on device" in command("--file", "a.csv", "--out", "small/out.parquet", ok=False)
        assert not Path("small/out.parquet").exists()
        subprocess.run(["mount", "-o", "remount,size=1m", "small"], check=True)
        command("--file", "a.csv", "--out", "small/out.parquet")
        assert len(pd.read_parquet("small/out.parquet")) == 3
    finally:
        subprocess.run(["umount", "small"], check=True)


def test_parts_of_another_file_or_model_are_not_used(finished, monkeypatch):
    path, out, scored = Path("few.csv"), Path("out.parquet"), []
    batch = infer.Classifier.rows

    def rows(self, texts):
        scored.append(len(texts))
        if interrupted and len(scored) == 2:
            raise RuntimeError("a fault in the second part")
        return batch(self, texts)

    monkeypatch.setattr(infer.Classifier, "rows", rows)

    def score(text: str) -> list[int]:
        """The sizes of the parts that are scored for the file ROWS times "good film" and then the text."""
        scored.clear()
        pd.DataFrame({"text": ["good film"] * ROWS + [text]}).to_csv(path, index=False)
        os.utime(path, (0, 0))
        if not interrupted:
            score_file(path, "text", out)
        else:
            with pytest.raises(RuntimeError):
                score_file(path, "text", out)
        return scored

    interrupted = True
    assert score("bad film") == [ROWS, 1]
    assert score("good film , great") == [ROWS, 1]
    with Path("models/adapter/config.json").open("a") as file:
        file.write("\n")
    assert score("good film , great") == [ROWS, 1]
    interrupted = False
    assert score("good film , great") == [1]
    assert pd.read_parquet(out)["predicted"].tolist() == ["positive"] * (ROWS + 1)


def test_pipe_answers_each_line_at_once(finished):
    with subprocess.Popen([*COMMAND, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for text in ("good film", "", "bad film"):
            process.stdin.write(text + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())  # while the pipe is still open
            assert answer["text"] == text
            if text:
                ((label, confidence),) = predict([text])
                assert (answer["label"], answer["confidence"]) == (label, round(confidence, 4))
            else:
                assert answer["label"] is answer["confidence"] is None
        process.stdin.close()
        assert process.wait() == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "none.csv: no such file"),
        ("a.txt", "good", "a.txt: must end in .csv, .jsonl or .parquet"),
        ("a.csv", "review\ngood\n", "a.csv: no column 'text'; it has review; name one with --column"),
        ("a.csv", "text\n", "a.csv: has no rows"),
        ("a.csv", "text,text\na,b\n", "a.csv: has several columns 'text'; rename all but one"),
        ("a.csv", "text,predicted\na,b\n", "a.csv: has a column 'predicted' already; rename it"),
        ("a.csv", "id,text\n1,a\n2,b,c\n", "Row #3: Expected 2 columns, got 3"),
        ("a.csv", b"text\ngood\ng\xff\n", "invalid UTF8"),
        ("a.jsonl", '{"text": 1}\n', "a.jsonl: column 'text' holds int64, not text"),
        ("a.jsonl", '{"text": "a"}\n{"text"\n', "JSON parse error"),
        ("a.parquet", "no", "a.parquet"),
    ],
)
def test_mistakes(finished, name, content, message):
    if content is not None:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert message in command("--file", name, "--out", "out.parquet", ok=False)
    assert not Path("out.parquet").exists()


def test_more_mistakes(finished):
    assert "give either texts or --file" in command("good", "--file", "a.csv", ok=False)
    assert "out.csv: must end in .parquet" in command("--file", "a.csv", "--out", "out.csv", ok=False)
    Path("bad.txt").write_bytes(b"good\ng\xff\n")
    with Path("bad.txt").open("rb") as file:
        assert "line 2: not UTF-8" in command("-", ok=False, stdin=file)
    shutil.rmtree("models/adapter")
    assert "dvc checkout models/adapter" in command("good film", ok=False)
