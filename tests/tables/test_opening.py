"""Compressed files and encodings."""

import bz2
import gzip
import re
import zipfile

import pandas as pd
import pyarrow as pa
import pytest

from classifier.errors import InputError
from classifier.params.format import Format
from classifier.tables.reading import read_rows

CONTENT = "text,label\nschön,1\n\u201equote\u201c,0\n"
ROWS = [["schön", "1"], ["\u201equote\u201c", "0"]]


def read(path, **form) -> list[list[str]]:
    return pd.concat(read_rows(path, Format(**form))).to_numpy().tolist()


def write_zip(path, **members) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)


def compressed(suffix: str, content: bytes) -> bytes:
    if suffix == ".zst":
        return pa.compress(content, "zstd", asbytes=True)
    return {".gz": gzip.compress, ".bz2": bz2.compress}[suffix](content)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst", ".GZ"])
def test_compressed_files(tmp_path, suffix):
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(compressed(suffix.lower(), CONTENT.encode()))
    assert read(path) == ROWS
    path.write_bytes(compressed(suffix.lower(), CONTENT.encode() * 100)[:-9])
    with pytest.raises(InputError, match=f"a.csv{suffix}: not a valid {suffix.lower()} file: .*; compress the table"):
        read(path)


def test_gzip_files_that_were_joined(tmp_path):
    """As `cat a.csv.gz b.csv.gz` writes them."""
    head, tail = CONTENT[:20].encode(), CONTENT[20:].encode()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(head) + gzip.compress(tail))
    assert read(tmp_path / "a.csv.gz") == ROWS


def test_zip_files(tmp_path):
    write_zip(tmp_path / "a.csv.zip", a_csv=CONTENT)
    assert read(tmp_path / "a.csv.zip") == ROWS
    write_zip(tmp_path / "archive.zip", a_tsv=CONTENT.replace(",", "\t"))  # the file inside says how it is written
    assert read(tmp_path / "archive.zip") == ROWS
    write_zip(tmp_path / "two.zip", a_csv=CONTENT, b_csv=CONTENT)
    with pytest.raises(InputError, match=r"two.zip: the zip has 2 files, a.csv, b.csv; unpack it, and name the table"):
        read(tmp_path / "two.zip")


@pytest.mark.parametrize("name", ["a.csv.zip", "archive.zip", "a.csv"])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_damaged_zip_files(tmp_path, method, name):
    with zipfile.ZipFile(tmp_path / "good.zip", "w", method) as archive:
        archive.writestr("a.csv", CONTENT * 1000)
    content = (tmp_path / "good.zip").read_bytes()
    damaged = [content[:-30]]  # without the list of files
    if name != "a.csv":
        damaged += [
            content[:60] + b"\xff" * 50 + content[110:],
            content[: -len("a.csv") - 46] + b"PK\x05\x06" + b"\xff" * 18,
        ]
    for part in damaged:
        (tmp_path / name).write_bytes(part)
        with pytest.raises(InputError, match=f"{name}: not a valid .zip file: .*; compress the table again"):
            read(tmp_path / name)


def test_hidden_files_in_a_zip_do_not_count(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for member in ("data/a.csv", "data/.DS_Store", "__MACOSX/data/._a.csv"):
            archive.writestr(member, CONTENT)
    assert read(tmp_path / "a.zip") == ROWS


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf16", "U16", "cp1252"]
)
def test_encodings(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes(CONTENT.encode(encoding))
    assert read(tmp_path / "a.csv", encoding=encoding) == ROWS
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CONTENT.encode(encoding)))
    assert read(tmp_path / "a.csv.gz", encoding=encoding) == ROWS
    if "-16-" in encoding:
        (tmp_path / "a.csv").write_bytes(f"\ufeff{CONTENT}".encode(encoding))  # with a mark
        assert read(tmp_path / "a.csv", encoding=encoding) == ROWS
        assert read(tmp_path / "a.csv", encoding=encoding, header=["a", "b"])[0] == ["text", "label"]


@pytest.mark.parametrize(
    ("encoding", "problem"),
    [
        ("cp1252", "line 2, byte 4: not UTF-8; set `format.encoding` to the file's encoding (perhaps cp1252)"),
        ("utf-16", "is UTF-16 text; set `format.encoding` to utf-16, or save it as UTF-8"),
        ("utf-32", "is UTF-32 text; set `format.encoding` to utf-32, or save it as UTF-8"),
        ("utf-16-le", "has zero bytes; if it is UTF-16 without a mark, set `format.encoding` to utf-16-le"),
        ("utf-16-be", "has zero bytes; if it is UTF-16 without a mark, set `format.encoding` to utf-16-be"),
    ],
)
def test_another_encoding_than_utf_8_is_refused_with_the_setting(tmp_path, encoding, problem):
    (tmp_path / "a.csv").write_bytes(CONTENT.encode(encoding))
    with pytest.raises(InputError, match=re.escape(f"a.csv: {problem}")):
        read(tmp_path / "a.csv")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CONTENT.encode(encoding)))
    with pytest.raises(InputError, match=re.escape(f"a.csv.gz: {problem}")):
        read(tmp_path / "a.csv.gz")


def test_bytes_that_the_encoding_lacks_are_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text,label\ngood,1\nb\x81d,0\n")
    with pytest.raises(InputError, match=r"a.csv: line 3, byte 2: not CP1252; set `format.encoding`"):
        read(tmp_path / "a.csv", encoding="cp1252")
    (tmp_path / "a.csv").write_bytes("text,label\n".encode("utf-16") + b"\x00\xd8\x00\x00")
    with pytest.raises(InputError, match=r"a.csv: not UTF-16; set `format.encoding`"):
        read(tmp_path / "a.csv", encoding="utf-16")
    (tmp_path / "a.csv").write_bytes(CONTENT.encode())
    with pytest.raises(InputError, match=r"a.csv: not UTF-16; set `format.encoding` to .* \(perhaps utf-8\)"):
        read(tmp_path / "a.csv", encoding="utf-16")


def test_a_zero_byte_in_a_text_is_a_character(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\ngo\0od,1\n")
    assert read(tmp_path / "a.csv") == [["go\0od", "1"]]


@pytest.mark.parametrize("encoding", ["utf-9", "base64", "rot13", "", "undefined"])
def test_names_of_no_text_encoding_are_refused(encoding):
    with pytest.raises(ValueError, match="should be the name of a text encoding, such as utf-8"):
        Format(encoding=encoding)


@pytest.mark.parametrize(
    ("start", "problem"),
    [
        (gzip.compress(b"text", mtime=0), "is a gzip file; name it a.csv.gz"),
        (bz2.compress(b"text"), "is a bzip2 file; name it a.csv.bz2"),
        (pa.compress(b"text", "zstd", asbytes=True), "is a Zstandard file; name it a.csv.zst"),
        (b"PAR1", "is a Parquet file; name it a.parquet"),
        (b"ARROW1", "is an Arrow file; name it a.arrow"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1",
            "is an old Excel file (.xls), or a workbook with a password; "
            "save the table as .xlsx without a password, or as CSV UTF-8",
        ),
        (b"\n <!DOCTYPE html><html>", "is an HTML page, perhaps a page of errors or for signing in; download the file"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "is a Git LFS pointer, not the file itself; run `git l",
        ),
    ],
)
def test_files_that_their_first_bytes_give_away(tmp_path, start, problem):
    (tmp_path / "a.csv").write_bytes(start)
    with pytest.raises(InputError, match=re.escape(f"a.csv: {problem}")):
        read(tmp_path / "a.csv")


def test_zip_files_under_another_name(tmp_path):
    write_zip(tmp_path / "a.csv", a_csv=CONTENT)
    with pytest.raises(InputError, match=r"a.csv: is a zip file; name it a.csv.zip"):
        read(tmp_path / "a.csv")
    write_zip(tmp_path / "a.csv", **{"xl/workbook_xml": ""})
    with pytest.raises(InputError, match=r"a.csv: is an Excel file; name it a.xlsx"):
        read(tmp_path / "a.csv")
