"""Read a sheet of a workbook: .xlsx of Excel or .ods of LibreOffice. The optional group `excel` has the library."""

import io
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from classifier.params.format import Format
from classifier.tables.rows import as_tables, column_names


def read_sheet(path: Path, form: Format) -> Iterator[pd.DataFrame]:
    """Yield the tables of a sheet, with the first row as header unless the format has one.

    Raises ValueError, with the fix, for a faulty header, and as `sheet_rows` does.
    """
    rows, width = sheet_rows(path, form)
    line, header = (1, form.header) if form.header else next(rows, (1, []))
    names = ["" if cell is None else str(cell).removesuffix(".0" * isinstance(cell, float)) for cell in header]
    if not names:
        raise ValueError("the sheet is empty; fill it, or set `format.sheet` to another sheet")
    columns = column_names(names, f"row {line}")
    if width and len(columns) != width:
        raise ValueError(f"`format.header` has {len(columns)} names for {width} columns; name each column")
    yield from as_tables(rows, columns, place="row")


def sheet_rows(path: Path, form: Format) -> tuple[Iterator[tuple[int, list]], int]:
    """Return (the number and the cells of each row that is not empty, the number of columns). An empty cell is None.

    Raises:
        ValueError: The library is missing, the workbook is damaged, or the sheet is not named although there are
            several.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        fix = "install it with `uv pip install --group excel -c requirements.txt`, or save the table as CSV UTF-8"
        raise ValueError(f"a library for Excel files is missing; {fix}") from None
    try:
        try:
            book = CalamineWorkbook.from_path(str(path))  # of the program that the suffix names
        except CalamineError as error:
            try:
                book = CalamineWorkbook.from_filelike(io.BytesIO(path.read_bytes()))  # of the other program
            except CalamineError:
                raise error from None
        with book:
            names = book.sheet_names
            if form.sheet not in names and (form.sheet or len(names) != 1):
                problem = f"has no sheet {form.sheet!r:.40}" if form.sheet else f"has {len(names)} sheets"
                raise ValueError(f"{problem}; set `format.sheet` to one of: {', '.join(names)}")
            cells = book.get_sheet_by_name(form.sheet or names[0]).to_python(skip_empty_area=False)
    except CalamineError as error:
        raise ValueError(f"not a valid Excel file: {error}; save it again, or save the table as CSV UTF-8") from None
    rows = ((number, [None if cell == "" else cell for cell in row]) for number, row in enumerate(cells, start=1))
    return ((number, row) for number, row in rows if any(cell is not None for cell in row)), len(
        cells[0]
    ) if cells else 0
