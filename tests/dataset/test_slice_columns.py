"""`slices`: columns of the source's files whose values stand beside the test texts."""

import json

import pandas as pd
import pytest
from local_data import local, run_data, splits, write, write_csv, write_frame
from tiny import reviews

from classifier.errors import InputError
from classifier.files.formats import read_table
from classifier.files.places import RAW

ROWS = [
    (text, label, f" site {n % 3} ", n % 2 == 0, n if n % 5 else None) for n, (text, label) in enumerate(reviews(80))
]
COLUMNS = ["text", "label", "site", "paid", "year"]
SLICES = ["site", "paid", "year"]
# The values as they are written: without white space around them, as whole numbers, and "" for a missing one.
WRITTEN = {
    text: (site.strip(), str(paid).lower(), "" if year is None else str(year)) for text, _, site, paid, year in ROWS
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def check(table: pd.DataFrame, slices: list[str] = SLICES) -> None:
    """Check that each row of the test split has the values that stand beside its text in the source."""
    assert len(table)
    for row in table.to_dict("records"):
        assert tuple(row[name] for name in slices) == WRITTEN[row["text"]]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_the_values_stand_beside_the_test_texts(name):
    """In Parquet the years are fractions, since one is missing, and paid is true or false. In CSV all are text."""
    write_frame(name, pd.DataFrame(ROWS, columns=COLUMNS))
    run_data(local(source={"train": name}, slices=SLICES), seed=1)
    found = splits()
    assert list(found["test"]) == ["text", "label", *SLICES]
    assert list(found["train"]) == list(found["validation"]) == ["text", "label"]
    check(found["test"])
    assert read_table(RAW / "test.parquet")[1]["slices"] == SLICES


def test_a_key_inside_of_another():
    """A row that lacks the key has no value."""
    rows = [
        {"text": text, "label": label, "meta": {"site": site} if n % 4 else {}}
        for n, (text, label, site, *_) in enumerate(ROWS)
    ]
    write("a.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    run_data(local(source={"train": "a.jsonl"}, slices="meta.site"), seed=1)
    expected = {row["text"]: row["meta"].get("site", "").strip() for row in rows}
    table = splits()["test"]
    assert table["meta.site"].tolist() == [expected[text] for text in table["text"]]
    assert "" in table["meta.site"].tolist()


def test_pairs_and_a_sample_of_an_official_test_split():
    """Only the test file needs the columns. Their names may be those of columns that the data set has otherwise."""
    rows = [(text, f"about {text}", label, n) for n, (text, label) in enumerate(reviews(120))]
    columns = ["text", "about", "label", "group"]
    write_csv("train.csv", [row[:3] for row in rows[:60]], columns[:3])
    write_csv("test.csv", rows[55:], columns)
    source = {"train": "train.csv", "test": "test.csv"}
    run_data(local(source=source, text=["text", "about"], pair=True, test=40, slices=["group", "about"]), seed=1)
    table = splits()["test"]
    assert list(table) == ["text", "text_pair", "label", "in_train", "group", "about"]
    numbers = {row[0]: str(row[3]) for row in rows}
    assert table["group"].tolist() == [numbers[text] for text in table["text"]]
    assert (table["about"] == table["text_pair"]).all()
    assert len(table) == 40


def test_a_column_may_have_two_uses():
    write_csv("a.csv", ROWS, COLUMNS)
    run_data(local(group="site", slices=SLICES, test=25, validation=25), seed=1)
    check(splits()["test"])


def test_without_slices_the_bytes_are_the_same():
    """The other splits are the same with slices, and test is too but for its further columns."""
    write_csv("a.csv", ROWS, COLUMNS)
    files = []
    for slices in ([], SLICES):
        run_data(local(slices=slices), seed=1)
        files.append({path.stem: path.read_bytes() for path in RAW.iterdir()})
    assert all(files[0][name] == files[1][name] for name in ("train", "validation"))
    table, metadata = read_table(RAW / "test.parquet")
    names = {key: value for key, value in metadata.items() if key != "slices"}
    del names["huggingface"]["info"]["features"]["site"], names["huggingface"]["info"]["features"]["paid"]
    del names["huggingface"]["info"]["features"]["year"]
    run_data(local(), seed=1)
    assert (RAW / "test.parquet").read_bytes() == files[0]["test"]
    plain, plain_metadata = read_table(RAW / "test.parquet")
    assert plain.equals(table.drop(columns=SLICES))
    assert plain_metadata == names


def test_other_libraries_read_the_columns():
    from datasets import load_dataset

    write_csv("a.csv", ROWS, COLUMNS)
    run_data(local(slices=SLICES), seed=1)
    table = load_dataset("parquet", data_files=str(RAW / "test.parquet"), split="train", cache_dir="cache")
    assert table.features["site"] == table.features["text"]
    check(table.to_pandas())


def test_a_missing_column_is_refused():
    write_csv("a.csv", ROWS, COLUMNS)
    with pytest.raises(
        InputError, match=r"a.csv: no column 'city'; set `slices` in params.yaml to a column of the file: "
    ):
        run_data(local(slices=["site", "city"]), seed=1)
    assert not RAW.exists()


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (["site", "length"], "`length` is always measured; rename the column"),
        ("predicted", "the pipeline writes a column of this name itself; rename the column"),
        ("probability_good", "the pipeline writes a column of this name itself; rename the column"),
        (["site", "site"], "slices: the columns must differ from each other"),
    ],
)
def test_names_that_cannot_be_slices(slices, message):
    with pytest.raises(ValueError, match=message):
        local(slices=slices)
