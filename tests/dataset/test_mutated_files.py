"""Whatever bytes a data file has: splits of its rows, or one line that says what to fix, and the last outputs stay."""

from pathlib import Path

import pandas as pd
from commands import contents, read
from hypothesis import example, given
from hypothesis import strategies as st
from local_data import run_data
from mutations import line_of, spliced, within
from tiny import ROOT, reviews

from classifier.errors import InputError
from classifier.files.formats import read_table
from classifier.files.places import RAW
from classifier.runner.params import load_params

FRAME = pd.DataFrame(reviews(60), columns=["text", "label"])
CSV = FRAME.to_csv(index=False).encode()
JSONL = FRAME.to_json(orient="records", lines=True).encode()
PARQUET = FRAME.to_parquet()
FILES = {"csv": CSV, "jsonl": JSONL, "parquet": PARQUET}


def local_arguments(suffix: str) -> dict:
    params = load_params(ROOT / "params.yaml")
    entry = {
        "source": {"train": f"reviews.{suffix}"},
        "labels": ["negative", "positive"],
        "train": None,
        "validation": 10,
        "test": 10,
    }
    return {"dataset": type(params.datasets["imdb"]).model_validate(entry), "seed": 1}


@within
@given(file=st.sampled_from(sorted(FILES)).flatmap(lambda suffix: st.tuples(st.just(suffix), spliced(FILES[suffix]))))
@example(file=("csv", CSV))
@example(file=("csv", CSV + CSV.partition(b"\n")[2].upper()))  # each text twice
@example(file=("csv", b""))
@example(file=("csv", CSV.replace(b"label", b"lable", 1)))
@example(file=("csv", b"text,label\n" + b"good,0\n" * 60))
@example(file=("jsonl", b"[]"))
@example(file=("jsonl", b'{"text": {"a": 1}, "label": [0]}\n' * 60))
@example(file=("parquet", b"PAR1"))
def test_a_damaged_data_file(project, file):
    """A refusal names the file, or the size that does not fit it, and changes nothing; else the splits are whole."""
    suffix, content = file
    path = Path(f"data/local/reviews.{suffix}")
    path.write_bytes(content)
    before = contents(project)
    try:
        run_data(**local_arguments(suffix))
    except InputError as error:
        line = line_of(error)
        assert line.startswith((f"{path}: ", "params.yaml: ")), line
        assert contents(project) == before
        return
    splits = {name: read_table(RAW / f"{name}.parquet")[0] for name in ("train", "validation", "test")}
    counts = read("metrics/data.json")
    assert {name: len(split) for name, split in splits.items()} == {name: counts[name] for name in splits}
    assert counts["validation"] == counts["test"] == 10
    rows = pd.concat(splits.values())
    assert list(rows) == ["text", "label"]
    assert set(rows["label"]) == {0, 1}
    texts = rows["text"].map(lambda text: " ".join(text.casefold().split()))  # of which no two are equal
    assert texts.is_unique
    assert all(texts)
    assert 20 < len(rows) <= len(FRAME) + 12  # a splice can add a few rows, of few letters
