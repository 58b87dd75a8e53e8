"""`apps.new`: files whose texts are in different encodings, or damaged."""

import zipfile
from pathlib import Path

import pytest
from new_command import FILE, FRAME, add, entry, refused, rows_read, write


def write_folders(encodings: dict[str, str]) -> None:
    """Write a folder for each label, whose texts are in the encoding of the label."""
    for row in FRAME.itertuples():
        path = Path("elsewhere", "texts", row.label, f"{row.Index}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(row.text, encoding=encodings[row.label])


def test_texts_of_two_encodings_are_refused(place):
    write_folders({"good": "utf-8", "bad": "cp1252"})
    error = refused("elsewhere/texts")
    assert "elsewhere/texts/bad/0.txt: is not UTF-8, but elsewhere/texts/good/1.txt is" in error
    write_folders({"good": "cp1252", "bad": "cp1252"})
    Path("elsewhere/texts/bad/0.txt").write_text("ASCII alone.")
    add("elsewhere/texts")
    assert (FRAME["text"].iloc[1], "good") in rows_read()


@pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini"])
def test_files_of_windows_are_no_texts(place, name):
    write_folders({"good": "utf-8", "bad": "utf-8"})
    Path("elsewhere/texts/bad", name).write_bytes(b"\xd0\xcf\x11\xe0\x00\xff")
    assert f"texts/bad/{name}: is a file of Windows, not a text; remove it" in refused("elsewhere/texts")


def test_tables_of_two_encodings_are_refused(place):
    Path("elsewhere/parts").mkdir()
    FRAME.to_csv("elsewhere/parts/train-a.csv", index=False, encoding="cp1252")
    FRAME.to_csv("elsewhere/parts/test.csv", index=False)
    error = refused("elsewhere/parts")
    assert "parts/train-a.csv: is not UTF-8, but elsewhere/parts/test.csv is; save all files in one encoding" in error


def test_a_damaged_line_does_not_change_the_encoding(place):
    data = Path(write()).read_bytes()
    Path(FILE).write_bytes(data.replace("schön".encode(), b"sch\xf6n", 1))
    error = refused(FILE)
    assert "line 2 is not UTF-8, but 39 other lines beyond ASCII are; correct it, or name the encoding" in error
    add(FILE, "--encoding", "latin-1")
    assert entry()["format"]["encoding"] == "latin-1"


def test_a_fault_of_the_second_file_names_it(place):
    Path("elsewhere/parts").mkdir()
    write(path="elsewhere/parts/train.csv")
    with zipfile.ZipFile("elsewhere/parts/test.csv.zip", "w") as file:
        for name in ("a.csv", "b.csv"):
            file.writestr(name, "text,label\n")
    assert "parts/test.csv.zip: the zip has 2 files" in refused("elsewhere/parts")
