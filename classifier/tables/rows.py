"""Put the rows of a file into tables of a limited size, name their columns, and list places of rows for messages."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

ROWS_PER_TABLE = 1024  # at most
PLACES_SHOWN = 10  # at most, in a message


def as_tables(
    rows: Iterator[tuple[int | str, list | dict]], columns: list[str] | None = None, place: str = "line"
) -> Iterator[pd.DataFrame]:
    """Yield (place, row) pairs as tables of at most ROWS_PER_TABLE rows; one empty table if there are no rows."""
    part = list(itertools.islice(rows, ROWS_PER_TABLE))
    while True:
        index = pd.Index([where for where, _ in part], name=place)
        yield pd.DataFrame([row for _, row in part], index=index, columns=columns, dtype=object)
        if not (part := list(itertools.islice(rows, ROWS_PER_TABLE))):
            return


def column_names(header: list[str], place: str) -> list[str]:
    """Return the names of columns, with a name for each that has none.

    place: Where the header is, for the ValueError that is raised if several columns have one name.
    """
    if repeated := [name for name in header if name and header.count(name) > 1]:
        problem = f"{place}: several columns are named {repeated[0]!r:.40}"
        raise ValueError(f"{problem}; rename all but one, or set `format.header` to names if this is no header")
    return [name or f"unnamed {number}" for number, name in enumerate(header, start=1)]


def list_places(kind: str, places: Sequence, count: int, notes: Iterable[str] = ()) -> str:
    """Return places of rows as words.

    Args:
        kind: What a place is: line, row or file.
        places: The first places.
        count: The number of all places.
        notes: What stands in brackets after each of the first places.

    >>> list_places("line", [3, 7], 2), list_places("line", [3], 1, ["5 fields"])
    ('lines 3, 7', 'line 3 (5 fields)')
    """
    shown = [f"{place:,}" if isinstance(place, int) else str(place) for place in places[:PLACES_SHOWN]]
    notes = list(notes) or [""] * len(shown)
    words = ", ".join(f"{place} ({note})" if note else place for place, note in zip(shown, notes, strict=False))
    more = f" and {count - len(shown):,} more" if count > len(shown) else ""
    return f"{kind}{'s' * (count > 1)} {words}{more}"
