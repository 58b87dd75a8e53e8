"""fastText's lines, and a folder for each label."""

import os

import pandas as pd
import pytest

from classifier.errors import InputError
from classifier.params.format import Format
from classifier.tables.reading import read_rows


def read(path, kind: str, **form) -> pd.DataFrame:
    return pd.concat(read_rows(path, Format(kind=kind, **form)))


def test_fasttext(tmp_path):
    (tmp_path / "a.txt").write_text('__label__good A fine film.\n\n __label__bad\tDull, "very".\nno label\n')
    table = read(tmp_path / "a.txt", "fasttext")
    assert table.to_numpy().tolist() == [["A fine film.", "good"], ['Dull, "very".', "bad"], ["no label", None]]
    assert table.index.tolist() == [1, 3, 4]
    (tmp_path / "a.txt").write_text("__label__good fine\n__label__good __label__fun so so\n")
    with pytest.raises(InputError, match=r"a.txt: line 2: has 2 labels, but a text has one here; keep one"):
        read(tmp_path / "a.txt", "fasttext")


@pytest.fixture
def folders(tmp_path):
    for name, content in {"neg/2": "bad", "neg/10": "dull\nfilm", "pos/1": "sch\xf6n", "pos/.DS_Store": "x"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="latin-1")
    (tmp_path / "urls.txt").write_text("not a text")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def test_a_folder_for_each_label(folders):
    table = read(folders, "folders", encoding="latin-1")
    assert table.to_numpy().tolist() == [["dull\nfilm", "neg"], ["bad", "neg"], ["schön", "pos"]]
    assert table.index.tolist() == ["neg/10", "neg/2", "pos/1"]
    assert table.index.name == "file"


def test_faults_of_folders(folders):
    with pytest.raises(InputError, match=rf"^{folders}: pos/1: line 1, byte 4: not UTF-8; set `format.encoding`"):
        read(folders, "folders")
    (folders / "neg/more").mkdir()
    with pytest.raises(InputError, match=rf"^{folders}: neg/more: is a folder; a label's folder may hold files only"):
        read(folders, "folders", encoding="latin-1")
    (folders / "neg/more").rmdir()
    (folders / "neg/more.txt").symlink_to("nowhere")
    with pytest.raises(InputError, match=rf"^{folders}: neg/more.txt: is a link to nothing; a label's folder may"):
        read(folders, "folders", encoding="latin-1")
    (folders / "neg/more.txt").unlink()
    (folders / "neg/more.gz").write_bytes(b"text")
    with pytest.raises(InputError, match=rf"^{folders}: neg/more.gz: not a valid .gz file: "):
        read(folders, "folders", encoding="latin-1")
    with pytest.raises(InputError, match=rf"^{folders}: neg/10: not UTF-16; set `format.encoding`"):
        read(folders, "folders", encoding="utf-16")
    with pytest.raises(InputError, match=r"pos: has no folders; with `format.kind: folders` it needs"):
        read(folders / "pos", "folders")
    with pytest.raises(InputError, match=r"1: is not a folder; `format.kind: folders` needs a folder"):
        read(folders / "pos/1", "folders")


def test_a_file_whose_name_is_not_utf_8(tmp_path):
    (tmp_path / "neg").mkdir()
    (tmp_path / "neg" / os.fsdecode(b"b\xe9")).write_text("bad")
    assert read(tmp_path, "folders").index.tolist() == ["neg/b\\xe9"]
