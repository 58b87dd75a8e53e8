"""Scoring files of any size: what comes out, kills, a full disk, memory."""

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
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import INFER, infer_command, peak_memory, reviews

from stages import infer
from stages.infer import predict
from stages.rows import streams
from stages.rows.streams import ROWS
from stages.use.scoring import score_file


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


def test_json_lines_of_different_keys_and_types(finished, monkeypatch):
    """What stands in the first block alone says nothing of the rest; texts stay texts."""
    monkeypatch.setattr(streams, "BLOCK", 100)
    rows = [{"text": "good film", "stars": 1, "reply": None, "day": "2020-01-01"} for _ in range(5)]
    rows += [{"text": None}, {"stars": 1.5, "reply": "no", "text": "bad film", "more": {"a": ["2020-01-01"]}}]
    rows += [{"text": "good", "day": "Monday", "more": {"a": []}}]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert score_file(Path("a.jsonl"), "text", Path("out.parquet")) == 8
    scored = pq.read_table("out.parquet").to_pylist()
    assert [row["stars"] for row in scored] == [1.0] * 5 + [None, 1.5, None]
    assert [row["reply"] for row in scored] == [None] * 6 + ["no", None]
    assert [row["day"] for row in scored] == ["2020-01-01"] * 5 + [None, None, "Monday"]
    assert [row["more"] for row in scored] == [None] * 6 + [{"a": ["2020-01-01"]}, {"a": []}]
    assert [row["predicted"] is None for row in scored] == [row.get("text") is None for row in rows]


def test_two_runs_do_not_write_one_file(finished):
    pd.DataFrame({"text": ["a good film"] * 30 * ROWS}).to_csv("many.csv", index=False)
    pd.DataFrame({"text": ["a bad film"] * 3}).to_csv("few.csv", index=False)
    first = subprocess.Popen([*INFER, "--file", "many.csv", "--out", "out.parquet"], stderr=subprocess.DEVNULL)
    while not Path(".out.parquet.parts").exists():
        assert first.poll() is None
        time.sleep(0.01)
    refused = infer_command("--file", "few.csv", "--out", "out.parquet", ok=False)
    assert refused == "infer: out.parquet: another run is writing it; wait for that or give another --out\n"
    infer_command("--file", "few.csv", "--out", "other.parquet")
    assert first.wait() == 0
    assert len(pd.read_parquet("out.parquet")) == 30 * ROWS


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_memory_does_not_grow_with_the_file(finished, suffix):
    """Rows of 10 kB, of which one in a hundred has a text: the model takes little of the time."""
    code = """if True:
        import sys
        from pathlib import Path
        from stages.use import scoring
        from stages.rows import streams
        streams.BLOCK = 2**18  # small files will do
        scoring.score_file(Path(sys.argv[1]), "text", Path("out.parquet"))
    """
    peaks = []
    for rows in (2_000, 12_000):
        texts, payload = (["a good film"] + [""] * 99) * (rows // 100), "x" * 10_000
        path = Path(f"{rows}{suffix}")
        if suffix == ".parquet":  # one row group: reading it whole is not enough
            table = pa.table({"text": texts, "payload": [payload] * rows})
            pq.write_table(table, path, row_group_size=rows, use_dictionary=False, compression="none")
        else:
            line = "{},{}\n" if suffix == ".csv" else '{{"text": "{}", "payload": "{}"}}\n'
            with path.open("w") as file:
                file.writelines(["text,payload\n"] if suffix == ".csv" else [])
                file.writelines(line.format(text, payload) for text in texts)
        peaks.append(peak_memory([sys.executable, "-c", code, str(path)], stderr=subprocess.DEVNULL))
        assert pq.read_metadata("out.parquet").num_rows == rows
    assert path.stat().st_size > 120e6
    assert peaks[1] - peaks[0] < 40e6


def test_killed_run_goes_on(finished, monkeypatch):
    rng = random.Random(1)
    rows = [" ".join(rng.choices(["good", "bad", "the", "film"], k=20)) for _ in range(30 * ROWS + 7)]
    pd.DataFrame({"text": rows}).to_csv("many.csv", index=False)
    shutil.copy("many.csv", "same.csv")
    scored = []
    batch = infer.Classifier.rows
    monkeypatch.setattr(infer.Classifier, "rows", lambda self, texts: scored.extend(texts) or batch(self, texts))

    process = subprocess.Popen([*INFER, "--file", "many.csv", "--out", "out.parquet"], stderr=subprocess.DEVNULL)
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
    call = [*INFER, "--file", "many.csv", "--out", "out.parquet"]
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
        assert "No space left on device" in infer_command("--file", "a.csv", "--out", "small/out.parquet", ok=False)
        assert not Path("small/out.parquet").exists()
        subprocess.run(["mount", "-o", "remount,size=1m", "small"], check=True)
        infer_command("--file", "a.csv", "--out", "small/out.parquet")
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
