"""`python -m apps.infer --file`: the forms of tables that are read and written, columns to keep, and pipes."""

import bz2
import csv
import datetime
import gzip
import json
import os
import subprocess
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import INFER, infer_command, predict

from classifier.errors import InputError
from classifier.params.format import Format
from classifier.scoring import files as scoring
from classifier.scoring.files import score_file
from classifier.scoring.job import Job
from classifier.scoring.options import parse_format

TEXTS = ["a good film", 'bad; "awful",\nboring', "für mich great fun", " "]
TABLE = pd.DataFrame({"label": ["1", "2", "3", "4"], "text": TEXTS})
CSV = TABLE.to_csv(index=False)


def labels(texts: list[str]) -> list[str | None]:
    return [label for label, _ in predict(texts)]


def zip_of(content: str) -> bytes:
    with zipfile.ZipFile("made.zip", "w") as archive:
        archive.writestr("inside.csv", content)
    return Path("made.zip").read_bytes()


def arrow_stream(path: Path) -> None:
    with pa.ipc.new_stream(path, pa.Schema.from_pandas(TABLE)) as writer:
        writer.write_table(pa.Table.from_pandas(TABLE))


FORMS = [
    ("a.csv", lambda path: path.write_text(CSV), []),
    ("a.TSV", lambda path: TABLE.to_csv(path, index=False, sep="\t"), []),
    ("a.ndjson", lambda path: TABLE.to_json(path, orient="records", lines=True), []),
    ("a.json", lambda path: TABLE.to_json(path, orient="records", indent=1), []),
    ("a.parquet", TABLE.to_parquet, []),
    ("a.arrow", arrow_stream, []),
    ("a.csv.gz", lambda path: path.write_bytes(gzip.compress(CSV.encode())), []),
    ("a.csv.bz2", lambda path: path.write_bytes(bz2.compress(CSV.encode())), []),
    ("a.csv.zst", lambda path: path.write_bytes(pa.compress(CSV.encode(), "zstd", asbytes=True)), []),
    ("a.csv.zip", lambda path: path.write_bytes(zip_of(CSV)), []),
    (
        "a.txt",
        lambda path: path.write_text(TABLE.to_csv(index=False, header=False, sep=";"), encoding="cp1252"),
        ["delimiter=;", "encoding=cp1252", "header=label,text"],
    ),
]


def test_each_form_is_read(finished):
    expected = labels(TEXTS)
    for name, write, options in FORMS:
        write(Path(name))
        score_file(Job(Path(name), Path("out.jsonl"), form=parse_format(options)), overwrite=True)
        rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
        assert [(row["label"], row["text"]) for row in rows] == list(TABLE.itertuples(index=False, name=None)), name
        assert [row["predicted"] for row in rows] == expected


def test_fasttext_is_read(finished):
    Path("a.txt").write_text("__label__1 a good film\nbad , boring\n")
    infer_command("--file", "a.txt", "--format", "kind=fasttext")
    scored = pd.read_parquet("scored.parquet")
    assert scored["text"].tolist() == ["a good film", "bad , boring"]
    assert scored["predicted"].tolist() == labels(["a good film", "bad , boring"])


def test_a_sheet_is_read(finished):
    for library in ("openpyxl", "python_calamine"):
        pytest.importorskip(library)
    rows = [("good film", 1, "x"), ("bad film", 2.5, 1), (None, None, datetime.date(2020, 1, 31))]
    pd.DataFrame(rows, columns=["text", "number", "mixed"], dtype=object).to_excel("a.xlsx", index=False)
    score_file(Job(Path("a.xlsx"), Path("out.jsonl")))
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [(line["text"], line["number"]) for line in lines] == [row[:2] for row in rows]
    assert [line["mixed"] for line in lines[:2]] == ["x", 1]
    assert [line["predicted"] for line in lines] == [*labels(["good film", "bad film"]), None]


def test_the_output_has_the_form_of_its_suffix(finished):
    """The same rows in each form, and the same bytes each time."""
    TABLE.assign(id=[1, 2, 3, 4], share=[0.5, 1.25, None, 2]).to_json("a.jsonl", orient="records", lines=True)
    for suffix in (".parquet", ".csv", ".jsonl"):
        infer_command("--file", "a.jsonl", "--out", f"out{suffix}")
        first = Path(f"out{suffix}").read_bytes()
        infer_command("--file", "a.jsonl", "--out", f"out{suffix}", "--overwrite")
        assert Path(f"out{suffix}").read_bytes() == first
    expected = pq.read_table("out.parquet").to_pylist()
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    with Path("out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in expected] == [row["text"] for row in lines] == [row["text"] for row in rows] == TEXTS
    assert expected[3]["predicted"] is lines[3]["confidence"] is lines[3]["predicted"] is None
    assert rows[3]["predicted"] == rows[3]["confidence"] == ""
    for number, row in enumerate(expected):
        confidence = row.pop("confidence")
        if confidence is not None:  # a number of 32 bits
            assert lines[number].pop("confidence") == float(rows[number].pop("confidence")) == pytest.approx(confidence)
            assert lines[number] == row
            assert rows[number] == {name: "" if value is None else str(value) for name, value in row.items()}
    assert sorted(Path().glob(".out*")) == []


def test_columns_to_keep(finished):
    rows = [{"text": "good", "id": 1, "predicted": "no", "meta": 1}, {"text": "bad", "id": 2, "meta": "x"}]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    infer_command("--file", "a.jsonl", "--keep", "meta", "--keep", "id", "--out", "out.jsonl")
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [[*line] for line in lines] == [["meta", "id", "predicted", "confidence"]] * 2
    assert [(line["meta"], line["id"], line["predicted"]) for line in lines] == [
        (1, 1, *labels(["good"])),
        ("x", 2, *labels(["bad"])),
    ]
    refused = infer_command("--file", "a.jsonl", "--keep", "idd", ok=False)
    assert refused == "infer: a.jsonl: no column 'idd' to keep; the file has text, id, predicted, meta\n"
    refused = infer_command("--file", "a.jsonl", "--keep", "predicted", ok=False)
    assert "a.jsonl: has a column 'predicted' already" in refused
    pq.write_table(pa.table({"id": [1], "text": ["good"], "predicted": [2]}), "a.parquet")
    infer_command("--file", "a.parquet", "--keep", "id")
    assert pq.read_schema("scored.parquet").names == ["id", "predicted", "confidence"]


def test_a_column_of_several_types_does_no_harm(finished, capsys):
    rows = [{"text": "good", "meta": {"a": 1}}, {"text": "bad", "meta": {"a": "x"}}, {"meta": 5}]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    score_file(Job(Path("a.jsonl"), Path("out.parquet")))
    assert capsys.readouterr().err == "infer: column 'meta' has values of several types: written as JSON\n"
    scored = pd.read_parquet("out.parquet")
    assert [json.loads(value) for value in scored["meta"]] == [row["meta"] for row in rows]
    assert scored["predicted"].tolist()[:2] == labels(["good", "bad"])
    score_file(Job(Path("a.jsonl"), Path("out.jsonl")))
    assert capsys.readouterr().err == ""  # JSON Lines have the values as they were


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_texts_inside_objects(finished, suffix):
    reviews = [{"text": "good film"}, None, {"text": "bad film"}, {"text": None}]
    if suffix == ".parquet":
        pq.write_table(pa.table({"review": reviews}), "a.parquet")
    else:
        Path("a.jsonl").write_text("\n".join(json.dumps({"review": review}) for review in reviews))
    infer_command("--file", f"a{suffix}", "--column", "review.text", "--out", "out.jsonl")
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["review"] for row in rows] == reviews
    assert [row["predicted"] for row in rows] == [*labels(["good film", "", "bad film", ""])]
    refused = infer_command("--file", f"a{suffix}", "--column", "review.body", "--overwrite", ok=False)
    assert (
        f"a{suffix}: no column 'review.body'; the texts are read from review.body, and the file has review;" in refused
    )


def test_a_pipe(finished, monkeypatch):
    """It is copied beside the output, and the copy is removed, whatever happens."""
    os.mkfifo("a.csv.gz")

    def score(content: bytes) -> None:
        writer = threading.Thread(target=Path("a.csv.gz").write_bytes, args=[gzip.compress(content)])
        writer.start()
        try:
            score_file(Job(Path("a.csv.gz"), Path("out/out.csv")), overwrite=True)
        finally:
            writer.join()

    score(CSV.encode())
    assert pd.read_csv("out/out.csv")["predicted"].tolist()[:3] == labels(TEXTS[:3])
    with pytest.raises(InputError, match=r"^a\.csv\.gz: line 3 \(1 field\): the header has 2 fields"):
        score(b"id,text\n1,good\n2\n")
    assert sorted(Path("out").glob(".*")) == []
    with monkeypatch.context() as broken:
        broken.setattr(scoring, "join_parts", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            score(CSV.encode())
    assert [path.suffix for path in Path("out").glob(".*")] == [".parts"]
    os.mkfifo("b.csv")
    threading.Thread(target=Path("b.csv").write_bytes, args=[gzip.compress(CSV.encode())]).start()
    with pytest.raises(InputError, match=r"^b\.csv: is a gzip file; give the file itself, not a pipe$"):
        score_file(Job(Path("b.csv"), Path("out/other.csv")))
    os.mkfifo("fifo")
    with pytest.raises(InputError, match=r"^fifo: a file without a suffix may hold anything; set `format.delimiter`"):
        score_file(Job(Path("fifo"), Path("out/other.csv")))  # before the pipe is read, which would wait here


def test_standard_input_and_process_substitution(finished, forked_commands):
    Path("a.csv").write_text(CSV)
    command = " ".join(INFER)
    script = f"""
    cat a.csv | {command} --file /dev/stdin --format kind=csv --out first.csv &&
    {command} --file <(cat a.csv) --format kind=csv --keep label --out second.csv
    """
    subprocess.run(["bash", "-c", script], check=True)
    for name in ("first.csv", "second.csv"):
        assert pd.read_csv(name)["predicted"].tolist()[:3] == labels(TEXTS[:3])
    assert sorted(Path().glob(".first*")) == []


def test_a_launched_process_reads_the_same(finished, monkeypatch):
    """The arguments that ranks get describe the same job."""
    from apps import infer

    form = Format(delimiter=";", header=["label", "text, long"], encoding="cp1252")
    job = Job(Path("a.txt"), Path("b.csv"), ("text, long",), "-", 0.5, form, ("label", "text, long"))
    job = replace(job, precision="bf16", sets=0.9)
    jobs = []
    monkeypatch.setattr(infer, "run_job", lambda job, overwrite: jobs.append(job))
    infer.main(file=job.path, form=[])
    given = [argument.removeprefix("--").partition("=")[::2] for argument in job.arguments]
    options = {name: [value for key, value in given if key == name] for name, _ in given}
    infer.main(
        file=Path(*options["file"]),
        out=Path(*options["out"]),
        column=options["column"],
        keep=options["keep"],
        form=options["format"],
        separator=options["separator"][0],
        min_confidence=options["min-confidence"][0],
        precision=options["precision"][0],
        sets=float(options["sets"][0]),
    )
    assert jobs[1] == job
