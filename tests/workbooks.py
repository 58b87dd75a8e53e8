"""Write workbooks for which the tests have no library."""

import zipfile
from pathlib import Path

NAMES = " ".join(f'xmlns:{n}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"' for n in ("office", "table", "text"))
START, END = '<table:table-cell office:value-type="string"><text:p>', "</text:p></table:table-cell>"


def write_ods(path: Path, rows: list[list[str]]) -> None:
    """Write a workbook of LibreOffice with one sheet of texts."""
    cells = ["".join(f"{START}{cell}{END}" for cell in row) for row in rows]
    content = "".join(f"<table:table-row>{row}</table:table-row>" for row in cells)
    content = f'<table:table table:name="reviews">{content}</table:table>'
    content = f"<office:body><office:spreadsheet>{content}</office:spreadsheet></office:body>"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("META-INF/manifest.xml", "<manifest/>")
        file.writestr("content.xml", f"<office:document-content {NAMES}>{content}</office:document-content>")
