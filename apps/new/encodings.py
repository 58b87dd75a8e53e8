"""Find the encoding of a file of texts: charset-normalizer proposes encodings, which are tried on the whole file."""

import codecs
from pathlib import Path

from classifier.errors import InputError
from classifier.tables.opening import likely_encodings, open_bytes

CHUNK = 2**20  # bytes to read at a time
SAMPLE = 2**16  # bytes to guess by
MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"} | {
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def common_encoding(paths: list[Path]) -> str:
    """Return the encoding of files: UTF-8, or that of the first file which is not UTF-8.

    Raises InputError if some of the files are UTF-8, with characters beyond ASCII, and others are not.
    """
    found = {path: find_encoding(path) for path in paths}
    other = next((path for path, encoding in found.items() if encoding != "utf-8"), None)
    if other is None:
        return "utf-8"
    if utf_8 := next((path for path, encoding in found.items() if encoding == "utf-8" and not is_ascii(path)), None):
        raise InputError(f"{other}: is not UTF-8, but {utf_8} is; save all files in one encoding, or remove one")
    return found[other]


def find_encoding(path: Path) -> str:
    """Return the encoding of a file.

    UTF-16 and UTF-32 are known by the first bytes. Otherwise it is UTF-8 if the whole file can be decoded in it, or
    else the likeliest encoding in which the whole file can be decoded. Raises InputError if most lines beyond ASCII are
    UTF-8 and others are not.
    """
    try:
        with open_bytes(path) as file:
            start = file.read(4096)
    except ValueError as error:  # such as a zip of several files
        raise InputError(f"{path}: {error}") from None
    if mark := next((mark for mark in MARKS if start.startswith(mark)), None):
        return MARKS[mark]
    if start.count(0) > len(start) / 5:
        return "utf-16-le" if start[1::2].count(0) >= start[::2].count(0) else "utf-16-be"
    if decodes(path, "utf-8"):
        return "utf-8"
    refuse_damaged_utf_8(path)
    return next(encoding for encoding in [*proposals(path), "cp1252", "latin-1"] if decodes(path, encoding))


def refuse_damaged_utf_8(path: Path) -> None:
    """Raise InputError if more lines beyond ASCII can be decoded as UTF-8 than cannot, and name the first of these."""
    right = wrong = first_wrong = 0
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            if line.isascii():
                continue
            try:
                line.decode()
                right += 1
            except UnicodeDecodeError:
                wrong, first_wrong = wrong + 1, first_wrong or number
    if right > wrong:
        fix = "correct it, or name the encoding by --encoding"
        raise InputError(f"{path}: line {first_wrong} is not UTF-8, but {right:,} other lines beyond ASCII are; {fix}")


def is_ascii(path: Path) -> bool:
    """Return whether a file has ASCII characters alone."""
    return decodes(path, "ascii")


def decodes(path: Path, encoding: str) -> bool:
    """Return whether a whole file can be decoded in an encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with open_bytes(path) as file:
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    except ValueError as error:  # a damaged compressed file
        raise InputError(f"{path}: {error}") from None
    return True


def proposals(path: Path) -> list[str]:
    """Return encodings that the lines beyond ASCII may have, the likeliest first."""
    sample = b""
    with open_bytes(path) as file:
        for line in file:
            if not line.isascii():
                sample += line[:SAMPLE]
            if len(sample) > SAMPLE:
                break
    return likely_encodings(sample)
