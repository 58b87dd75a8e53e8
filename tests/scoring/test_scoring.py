"""Scoring of files of any size: the result, a full disk, memory. Interrupted runs are in test_parts.py."""

import json
import random
import subprocess
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import infer_command, predict
from memory import peaks
from tiny import reviews

from classifier.scoring import parts
from classifier.scoring.files import score_file
from classifier.scoring.job import Job
from classifier.tables import columnar
from classifier.tables import rows as table_rows
from classifier.tables.rows import ROWS_PER_TABLE as ROWS


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_file(finished, suffix):
    """A file of two parts with quotes, line breaks, blank and missing texts. Other columns keep their values."""
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
    assert score_file(Job(path, Path("out.parquet"), ("review",))) == len(table)
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


def test_text_in_several_columns(finished, monkeypatch):
    """The texts are joined as those of a data set are: missing and blank ones are left out."""
    monkeypatch.setattr(table_rows, "ROWS_PER_TABLE", 2)
    rows = [("good film", "i loved it"), ("bad", None), (None, "great fun"), (" ", ""), (None, None)]
    pd.DataFrame(rows, columns=["title", "body"]).to_parquet("a.parquet")
    infer_command("--file", "a.parquet", "--column", "title", "--column", "body", "--separator", " , ")
    scored = pd.read_parquet("scored.parquet")
    assert list(scored) == ["title", "body", "predicted", "confidence"]
    labels, confidences = zip(*predict(["good film , i loved it", "bad", "great fun"]), strict=True)
    assert scored["predicted"][:3].tolist() == list(labels)
    assert scored["confidence"][:3].tolist() == pytest.approx(list(confidences), abs=1e-5)
    assert scored["predicted"][3:].isna().all()
    refused = infer_command("--file", "a.parquet", "--column", "title", "--column", "txt", "--overwrite", ok=False)
    assert "a.parquet: no column 'txt'; the texts are read from title, txt, and the file has title, body" in refused


def test_json_lines_of_different_keys_and_types(finished, monkeypatch):
    """The types are those of all tables together: texts stay texts, and integers stay integers."""
    monkeypatch.setattr(table_rows, "ROWS_PER_TABLE", 2)
    rows = [{"text": "good film", "stars": 1, "reply": None, "day": "2020-01-01"} for _ in range(5)]
    rows += [{"text": None}, {"stars": 1.5, "reply": "no", "text": "bad film", "more": {"a": ["2020-01-01"]}}]
    rows += [{"text": "good", "day": "Monday", "more": {"a": []}, "id": 2**60 + 1, "self": "x"}, {}, {}]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert score_file(Job(Path("a.jsonl"), Path("out.parquet"))) == 10
    table = pq.read_table("out.parquet")
    assert table.schema.field("id").type == pa.int64()
    *scored, empty, _ = table.to_pylist()
    assert set(empty.values()) == {None}
    assert [row["id"] for row in scored] == [None] * 7 + [2**60 + 1]
    assert [row["self"] for row in scored] == [None] * 7 + ["x"]
    assert [row["stars"] for row in scored] == [1.0] * 5 + [None, 1.5, None]
    assert [row["reply"] for row in scored] == [None] * 6 + ["no", None]
    assert [row["day"] for row in scored] == ["2020-01-01"] * 5 + [None, None, "Monday"]
    assert [row["more"] for row in scored] == [None] * 6 + [{"a": ["2020-01-01"]}, {"a": []}]
    assert [row["predicted"] is None for row in scored] == [row.get("text") is None for row in rows[:8]]


@pytest.mark.parametrize("text", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_parquet_keeps_its_types(finished, text):
    columns = {
        "text": pa.array(["a good film", None]).cast(text),
        "whole": pa.array([2**60 + 1, None], pa.uint64()),
        "cents": pa.array([Decimal("1.10"), None]),
        "time": pa.array([1, None], pa.timestamp("us", "Europe/Berlin")),
        "kind": pa.array(["film", None]).dictionary_encode(),
        "bytes": pa.array([b"\xff", None]),
        "replies": pa.array([[{"stars": 1}], None]),
        "nothing": pa.nulls(2),
    }
    pq.write_table(pa.table(columns), "a.parquet")
    score_file(Job(Path("a.parquet"), Path("out.parquet")))
    assert pq.read_table("out.parquet").drop_columns(["predicted", "confidence"]) == pq.read_table("a.parquet")


def test_row_groups_are_few_and_bounded(finished, monkeypatch):
    """A row group has about 64k rows or 16 MB; the parts, which are smaller, are put together."""
    pd.DataFrame({"id": range(6 * ROWS + 1), "text": [""] * 6 * ROWS + ["good"]}).to_csv("a.csv", index=False)

    def group_sizes() -> list[int]:
        score_file(Job(Path("a.csv"), Path("out.parquet")), overwrite=True)
        assert pd.read_parquet("out.parquet")["id"].astype(int).tolist() == list(range(6 * ROWS + 1))
        metadata = pq.read_metadata("out.parquet")
        return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]

    assert group_sizes() == [6 * ROWS + 1]
    monkeypatch.setattr(parts, "GROUP_ROWS", 4 * ROWS)
    assert group_sizes() == [4 * ROWS, 2 * ROWS + 1]
    monkeypatch.setattr(parts, "GROUP_BYTES", 1)
    assert group_sizes() == [ROWS] * 6 + [1]


def test_a_finished_file_is_replaced_only_when_asked(finished):
    Path("a.csv").write_text("text\na good film\n")
    infer_command("--file", "a.csv")
    Path("a.csv").write_text("text\na bad film\n")
    refused = "infer: scored.parquet: exists already; give another --out, or --overwrite to replace it\n"
    assert infer_command("--file", "a.csv", ok=False) == refused
    assert pd.read_parquet("scored.parquet")["text"].tolist() == ["a good film"]
    infer_command("--file", "a.csv", "--overwrite")
    assert pd.read_parquet("scored.parquet")["text"].tolist() == ["a bad film"]
    assert sorted(Path().glob(".scored*")) == []


def score_with_a_small_buffer(path: Path) -> None:
    columnar.PARQUET_BUFFER_BYTES = 2**18  # so that small files are enough
    score_file(Job(path, Path(f"{path.stem}.out.parquet")), overwrite=True)


@pytest.mark.parametrize(
    "suffix", [".csv", *(pytest.param(name, marks=pytest.mark.scale) for name in (".jsonl", ".parquet"))]
)
def test_memory_does_not_grow_with_the_file(finished, suffix):
    """The rows have 10 kB each, and one in a hundred has a text, so that the model takes little time.

    The smaller file is large enough to fill the buffers: memory grows by 24 to 45 MB from 2,000 to 4,000 rows, and
    by 16 to 29 MB from there to 24,000.
    """
    paths = []
    for rows in (4_000, 14_000):
        texts, payload = (["a good film"] + [""] * 99) * (rows // 100), "x" * 10_000
        paths.append(path := Path(f"{rows}{suffix}"))
        if suffix == ".parquet":  # a single row group, which must be read in pieces
            table = pa.table({"text": texts, "payload": [payload] * rows})
            pq.write_table(table, path, row_group_size=rows, use_dictionary=False, compression="none")
        else:
            line = "{},{}\n" if suffix == ".csv" else '{{"text": "{}", "payload": "{}"}}\n'
            with path.open("w") as file:
                file.writelines(["text,payload\n"] if suffix == ".csv" else [])
                file.writelines(line.format(text, payload) for text in texts)
    small, large = peaks(score_with_a_small_buffer, *paths)
    assert pq.read_metadata("14000.out.parquet").num_rows == 14_000
    assert paths[1].stat().st_size - paths[0].stat().st_size > 99e6
    assert large - small < 50e6


def test_disk_full(finished):
    """The error is one line, no half-written output is left, and the same command succeeds once there is room."""
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
