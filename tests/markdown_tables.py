"""Tables in Markdown, as benchmarks print them and pages show them."""

import re

NUMBER = re.compile(r"[\d.,]+%?( \w+| to [\d.,]+%?)?( \([^()]*\))?")


def rows_of(page: str) -> list[list[str]]:
    """Return the cells of each table row of a page, without the header of its first table."""
    return [re.split(r" *\| *", line)[1:-1] for line in page.splitlines() if line.startswith("| ")][1:]


def numbers_of(page: str) -> list[list[str]]:
    """Return the cells that are numbers, of each table row that has some."""
    rows = [[cell.strip("* ") for cell in row] for row in rows_of(page)]
    return [numbers for row in rows if (numbers := [cell for cell in row if NUMBER.fullmatch(cell)])]


def shows(page: str, table: str) -> bool:
    """Return whether a page has the numbers of a table in consecutive rows, whatever the words around them."""
    wanted, present = numbers_of(table), numbers_of(page)
    assert wanted
    return any(present[start : start + len(wanted)] == wanted for start in range(len(present)))
