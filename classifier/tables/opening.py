"""Open a file of texts as a stream: compressed or not, in any encoding."""

import codecs
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from classifier.params.format import Format

COMPRESSED = (".gz", ".bz2", ".zst", ".zip")  # a suffix after the table's own, as in reviews.csv.gz
SAMPLE_BYTES = 100_000  # from which the encoding is guessed
LIKELY_ENCODINGS = ["ascii", "utf_8", "cp1252", "cp1250", "cp1251", "utf_16", "gb18030", "shift_jis", "big5", "euc_kr"]
# A file that each workbook has inside -> (the words for it in a message, its suffix). A workbook is a zip.
WORKBOOKS = {"xl/workbook.xml": ("is an Excel file", ".xlsx"), "content.xml": ("is a LibreOffice file", ".ods")}
MARKS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
# Encodings in which the bytes cannot be divided into lines: a byte 10 can also be a part of another character.
WIDE_ENCODINGS = ("utf-16", "utf-32")


def is_wide(encoding: str) -> bool:
    """Return whether an encoding, under any of its names, is one of WIDE_ENCODINGS or a variant of one."""
    return codecs.lookup(encoding).name.startswith(WIDE_ENCODINGS)


def plain_name(path: Path) -> Path:
    """Return the name of the table in lower case, without the suffix of a compression.

    A .zip whose own name has no other suffix, such as archive.zip, has the name of the file inside.
    """
    name = Path(path.name.lower())
    if name.suffix not in COMPRESSED:
        return name
    if name.suffix == ".zip" and not Path(name.stem).suffix and path.is_file():
        return Path(Path(only_member(path)).name.lower())
    return Path(name.stem)


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed on the way.

    Raises:
        ValueError: A .zip file does not hold exactly one file, or the compressed content is damaged.
    """
    suffix = path.suffix.lower()
    if suffix not in COMPRESSED:
        with path.open("rb") as file:
            yield file
        return
    import pyarrow as pa

    try:
        if suffix == ".zip":
            with zipfile.ZipFile(path) as archive, archive.open(only_member(path)) as file:
                yield file
        else:
            compression = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}[suffix]
            with pa.OSFile(str(path)) as raw, pa.CompressedInputStream(raw, compression) as file:
                yield io.BufferedReader(file)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError) as error:
        if getattr(error, "errno", None):  # an error of the disk, not of the file's content
            raise
        problem = str(error).partition("\n")[0]
        raise ValueError(f"not a valid {suffix} file: {problem}; compress the table again") from None


def names_in_zip(path: Path) -> list[str]:
    """Return the names of the files in a zip. Raises ValueError if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [info.filename for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise ValueError(f"not a valid .zip file: {error}; compress the table again") from None


def workbook(path: Path) -> tuple[str, str] | None:
    """Return the value in WORKBOOKS for a zip that is a workbook; None for another zip. Raises ValueError as above."""
    names = names_in_zip(path)
    return next((kind for inside, kind in WORKBOOKS.items() if inside in names), None)


def only_member(path: Path) -> str:
    """Return the name of the only file in a zip. Raises ValueError if there are several; hidden ones do not count."""
    names = [name for name in names_in_zip(path) if not name.startswith("__MACOSX/")]
    names = [name for name in names if not Path(name).name.startswith(".")]
    if len(names) != 1:
        raise ValueError(f"the zip has {len(names)} files, {', '.join(names)!s:.60}; unpack it, and name the table")
    return names[0]


@contextmanager
def open_text(path: Path, form: Format, newline: str = "") -> Iterator[TextIO]:
    """Open a file as text. `newline` is as in `open`. A byte order mark is left out."""
    encoding = codecs.lookup(form.encoding).name
    with open_bytes(path) as file, io.BufferedReader(file) as buffered:
        if encoding == "utf-8":
            encoding = "utf-8-sig"
        elif encoding in MARKS and buffered.peek(2).startswith(MARKS[encoding]):
            encoding = "utf-16"
        with io.TextIOWrapper(buffered, encoding, newline=newline) as text:
            yield text


def describe_undecodable(path: Path, encoding: str) -> str:
    """Return where a file is not in its encoding, and the fix.

    The file is read again, since the decoder that failed does not know the line.
    """
    place, sample = "", b""
    with open_bytes(path) as file:
        if is_wide(encoding):
            sample = file.read(SAMPLE_BYTES)
        for number, line in enumerate(file if not sample else (), start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                place = f"line {number}, byte {error.start + 1}: "
                sample = line[max(0, error.start - 2000) : error.start + 2000] + file.read(SAMPLE_BYTES)
                break
    guess = "".join(f" (perhaps {name})" for name in likely_encodings(sample)[:1])
    fix = f"set `format.encoding` to the file's encoding{guess}, or save it as UTF-8"
    return f"{place}not {encoding.upper()}; {fix}"


def likely_encodings(sample: bytes) -> list[str]:
    """Return the encodings that bytes may have, the likeliest first. Of equally likely ones, the commonest is first."""
    from charset_normalizer import from_bytes

    ranks = {}
    for guess in from_bytes(sample, cp_isolation=LIKELY_ENCODINGS):
        for name in (guess.encoding, *guess.could_be_from_charset):
            rank = guess.chaos, -guess.coherence, LIKELY_ENCODINGS.index(name)
            ranks[name] = min(rank, ranks.get(name, rank))
    return [name.replace("_", "-") for name in sorted(ranks, key=ranks.get)]
