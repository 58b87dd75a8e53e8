"""The texts that `make scale` makes, and its measurement of a process."""

import json
import sys

import pytest

from benchmarks.scale import measure_process, write_texts


def test_texts_have_their_size_and_differ_and_half_have_each_label(tmp_path):
    (tmp_path / "vocab.txt").write_text("[CLS]\n##ing\nthe\nfilm\nwas\nlong\n")
    write_texts(tmp_path / "texts.jsonl", 200, tmp_path / "vocab.txt")
    rows = [json.loads(line) for line in (tmp_path / "texts.jsonl").read_text().splitlines()]
    assert len({row["text"] for row in rows}) == len(rows) == 200
    assert [row["label"] for row in rows].count("yes") == 100
    assert all(61 <= len(row["text"].split()) <= 281 for row in rows)
    assert {word for row in rows for word in row["text"].split()[1:]} == {"the", "film", "was", "long"}


def test_memory_and_time_are_those_of_the_process(tmp_path):
    code = "import time; kept = b'x' * 300_000_000; time.sleep(0.5)"
    measured = measure_process([sys.executable, "-c", code], tmp_path)
    assert 0.3 < measured["resident GB"] < 0.4
    assert 0.3 < measured["private GB"] <= measured["resident GB"]
    assert 0.5 < measured["seconds"] < 30
    with pytest.raises(SystemExit, match="failed, see above"):
        measure_process([sys.executable, "-c", "raise SystemExit(1)"], tmp_path)
