"""Say what a file seems to be when it is not what its name or its format says, and how to have it read."""

from pathlib import Path

from classifier.tables.opening import COMPRESSED, is_wide, open_bytes, workbook

# First bytes of a file -> what it is, and the fix.
SIGNATURES = {
    b"\x1f\x8b": ("is a gzip file", "name it {name}.gz"),
    b"BZh": ("is a bzip2 file", "name it {name}.bz2"),
    b"\x28\xb5\x2f\xfd": ("is a Zstandard file", "name it {name}.zst"),
    b"PAR1": ("is a Parquet file", "name it {stem}.parquet"),
    b"ARROW1": ("is an Arrow file", "name it {stem}.arrow"),
    b"\xd0\xcf\x11\xe0": (
        "is an old Excel file (.xls), or a workbook with a password",
        "save the table as .xlsx without a password, or as CSV UTF-8",
    ),
    b"%PDF": ("is a PDF file", "extract its table"),
    b"SQLite format 3": ("is an SQLite database", "export its table as CSV"),
    b"version https://git-lfs": ("is a Git LFS pointer, not the file itself", "run `git lfs pull`"),
    b"\xff\xfe\x00\x00": ("is UTF-32 text", "set `format.encoding` to utf-32, or save it as UTF-8"),
    b"\xff\xfe": ("is UTF-16 text", "set `format.encoding` to utf-16, or save it as UTF-8"),
    b"\xfe\xff": ("is UTF-16 text", "set `format.encoding` to utf-16, or save it as UTF-8"),
}
HTML = (b"<!doctype html", b"<html")
DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ",": "commas"}


def refuse_other_content(path: Path, encoding: str) -> None:
    """Raise ValueError if a file of texts shows by its first bytes that it is something else.

    Args:
        path: The file, perhaps compressed.
        encoding: The encoding of its texts.
    """
    with open_bytes(path) as file:
        start = file.read(512)
    if not start:
        raise ValueError("is empty; save the table again")
    if is_wide(encoding):
        return
    stem = path.name.partition(".")[0]
    for signature, (kind, fix) in SIGNATURES.items():
        if start.startswith(signature):
            raise ValueError(f"{kind}; {fix.format(name=path.name, stem=stem)}")
    if start.startswith(b"PK\x03\x04") and path.suffix.lower() not in COMPRESSED:
        kind, name = "is a zip file", f"{path.name}.zip"
        if found := workbook(path):
            kind, name = found[0], f"{stem}{found[1]}"
        raise ValueError(f"{kind}; name it {name}")
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(HTML):
        raise ValueError("is an HTML page, perhaps a page of errors or for signing in; download the file itself")
    if start.count(0) > len(start) // 4:  # Latin letters in UTF-16
        order = "le" if start[1::2].count(0) >= start[::2].count(0) else "be"
        raise ValueError(f"has zero bytes; if it is UTF-16 without a mark, set `format.encoding` to utf-16-{order}")


def delimiter_hint(header: list[str], delimiter: str) -> str:
    """Return a hint that a file has another delimiter, or "" if its header does not look like that."""
    if header and header[0].lower().startswith("sep="):
        named = header[0][4:] or delimiter
        return f'line 1 names the delimiter: set `format.delimiter` to "{named}" and `format.comment` to "sep="'
    counts = {name: sum(field.count(name) for field in header) for name in DELIMITERS if name != delimiter}
    likely = max(counts, key=counts.get)
    if len(header) > 2 or not counts[likely]:
        return ""
    shown = '"\\t"' if likely == "\t" else f'"{likely}"'
    return f"the fields seem to be separated by {DELIMITERS[likely]}: set `format.delimiter` to {shown}"


def header_hint(names: list[str], labels: list[str]) -> str:
    """Return a hint that the first line of a file is a row, or "" if it does not look like one.

    Args:
        names: The fields of the first line.
        labels: The values that a label can have.
    """
    is_row = any(name.strip() in labels or len(name) > 80 or name.strip().isdigit() for name in names)
    return "the first line seems to be a row: set `format.header` to the names of the columns" if is_row else ""
