"""A text of a data set: one string, or a pair of strings such as a premise and a hypothesis."""

Text = str | tuple[str, str]
MARK = "|"  # between the two texts of a pair where both are shown, and where TF-IDF reads both


def parts(text: Text) -> tuple[str, ...]:
    """Return the two strings of a pair, or the one string of a text, as a tuple."""
    return (text,) if isinstance(text, str) else text


def joined(text: Text) -> str:
    """Return a pair as one string with MARK between its texts, and any other text unchanged.

    >>> joined("A film."), joined(("It rains.", "It is wet."))
    ('A film.', 'It rains. | It is wet.')
    """
    return f" {MARK} ".join(parts(text))


def texts_of(table) -> list[Text]:
    """Return the texts of a table: the column text, or, if the table has a column text_pair, pairs of both columns.

    table: a pandas DataFrame or a RecordBatch of pyarrow.
    """
    names = getattr(table, "column_names", table.columns)
    columns = [table[name].tolist() for name in ("text", "text_pair") if name in names]
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
