"""`python -m apps.new`: splits and labels by files, folders and a column."""

from pathlib import Path

import pandas as pd
from new_command import ROWS, add, entry, rows_read

from apps.new.layout import has_label_folders

FRAME = pd.DataFrame(ROWS, columns=["text", "label"])


def test_folders_of_labels(place):
    for split in ("train", "test"):
        for number, (text, label) in enumerate(ROWS):
            folder = Path("elsewhere/reviews", split, label)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.txt").write_text(f"{split} {text}")
    Path("elsewhere/reviews/README").write_text("Reviews.")
    add("elsewhere/reviews")
    assert entry()["source"] == {"train": "reviews/train", "test": "reviews/test"}
    assert entry()["format"] == {"kind": "folders"}
    assert entry()["test"] is None
    assert {text for text, _ in rows_read()} == {f"train {text}" for text, _ in ROWS}


def test_a_folder_of_labels_with_a_table_beside_the_texts(place):
    """Whichever file the file system lists first, the first by name decides."""
    for first, (text, label) in zip("ab" * 20, ROWS, strict=True):
        folder = Path("elsewhere/reviews", label)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "z.json").write_text("{}")
        (folder / f"{first}{len(text)}.txt").write_text(text)
    assert has_label_folders(Path("elsewhere/reviews"))


def test_a_folder_of_labels_in_another_encoding(place):
    for number, (text, label) in enumerate(ROWS):
        folder = Path("elsewhere/news", label)
        folder.mkdir(parents=True, exist_ok=True)
        content = text if number == 39 else text.replace("ö", "o")
        (folder / f"{number}").write_bytes(content.encode("cp1252"))
    add("elsewhere/news")
    assert entry()["format"] == {"kind": "folders", "encoding": "cp1252"}
    assert ROWS[39] in rows_read()


def test_a_file_for_each_split(place):
    """The test file of a competition has no labels, and is not used."""
    folder = Path("elsewhere/task")
    folder.mkdir()
    FRAME.to_csv(folder / "train.tsv", sep="\t", index=False)
    FRAME.assign(text="dev " + FRAME["text"]).to_csv(folder / "dev.tsv", sep="\t", index=False)
    FRAME[["text"]].to_csv(folder / "test.tsv", sep="\t", index=False)
    shown = add("elsewhere/task")
    assert "test is not used: no column 'label'" in shown
    assert entry()["source"] == {"train": "task/train.tsv", "validation": "task/dev.tsv"}
    assert (entry()["validation"], entry()["test"]) == (None, "20%")


def test_parts_in_a_folder_of_a_download(place):
    folder = Path("elsewhere/download/data")
    folder.mkdir(parents=True)
    for number in range(5):
        FRAME[number::5].to_parquet(folder / f"train-{number:05}-of-00005.parquet")
    FRAME.assign(label=None).to_parquet(folder / "test-00000-of-00001.parquet")
    (folder.parent / "README.md").write_text("Reviews.")
    shown = add("elsewhere/download")
    assert "test is not used: no row has a label" in shown
    assert entry()["source"] == {"train": "download/data/train-0000*-of-00005.parquet"}
    assert sorted(rows_read()) == sorted(ROWS)


def test_parts_without_splits(place):
    folder = Path("elsewhere/a.parquet")
    folder.mkdir()
    FRAME[:20].to_parquet(folder / "part-0.parquet")
    FRAME[20:].to_parquet(folder / "part-1.parquet")
    (folder / "_SUCCESS").touch()
    add("elsewhere/a.parquet")
    assert entry()["source"] == {"train": ["a.parquet/part-0.parquet", "a.parquet/part-1.parquet"]}
    assert rows_read() == ROWS


def test_a_folder_that_datasets_saved(place):
    from datasets import ClassLabel, Dataset, DatasetDict

    numbers = FRAME.assign(label=FRAME["label"].map({"bad": 0, "good": 1}))
    train = Dataset.from_pandas(numbers).cast_column("label", ClassLabel(names=["bad", "good"]))
    DatasetDict(train=train, test=train.select(range(6))).save_to_disk("elsewhere/saved")
    add("elsewhere/saved")
    files = {split: f"saved/{split}/data-00000-of-00001.arrow" for split in ("train", "test")}
    assert entry()["source"] == files
    assert entry()["labels"] == {0: "bad", 1: "good"}
    assert rows_read() == ROWS


def test_a_column_of_splits(place):
    splits = ["train"] * 24 + ["dev"] * 8 + ["test"] * 8
    FRAME.assign(split=splits).to_csv("elsewhere/a.csv", index=False)
    add("elsewhere/a.csv")
    assert entry()["source"] == {
        "train": {"files": "a.csv", "where": {"split": "train"}},
        "validation": {"files": "a.csv", "where": {"split": "dev"}},
        "test": {"files": "a.csv", "where": {"split": "test"}},
    }
    assert rows_read() == ROWS[:24]
