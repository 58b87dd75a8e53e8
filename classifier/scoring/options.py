"""The options --format of apps.infer, KEY=VALUE for each key of `Format`, and --pair."""

import csv
import io
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pydantic import ValidationError

from classifier.errors import InputError
from classifier.model.loading import trained_settings
from classifier.params.format import Format
from classifier.runner.params import problem_of
from classifier.text.pairs import Text


def parse_format(options: Sequence[str]) -> Format:
    r"""Return the format that options such as `delimiter=;` and `header=label,text` describe.

    The value of `header` is a line of CSV. In the value of `delimiter`, `\t` is a tab.

    Raises:
        InputError: An option has another form or an unknown key, a key occurs twice, or a value is refused.
    """
    values = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise InputError(f"--format {option!r:.60}: should be KEY=VALUE, such as encoding=cp1252")
        if key not in Format.model_fields:
            near = get_close_matches(key, Format.model_fields, n=1) or Format.model_fields
            raise InputError(f"--format {option!r:.60}: unknown key; did you mean {' or '.join(near)}?")
        if key in values:
            raise InputError(f"--format {option!r:.60}: gives {key} again; give each key once")
        if key == "header":
            value = next(csv.reader([value]), [])
        values[key] = value.replace(r"\t", "\t") if key == "delimiter" else value
    try:
        return Format(**values)
    except ValidationError as error:
        raise InputError(f"--format {error.errors()[0]['loc'][0]}: {problem_of(error)}") from None


def format_options(form: Format) -> Iterator[str]:
    """Yield the options that `parse_format` reads as this format."""
    for key, value in form.model_dump(exclude_defaults=True).items():
        if key == "header":
            line = io.StringIO()
            csv.writer(line, lineterminator="").writerow(value)
            value = line.getvalue()
        yield f"{key}={value}"


def text_pairs(texts: list[str], pair: bool) -> list[Text]:
    """Return the texts of the command line as the model reads them: one by one, or in pairs.

    Raises InputError if --pair does not fit the model or the number of texts.
    """
    reads_pairs = trained_settings().get("pair", False)
    if reads_pairs and not pair:
        raise InputError('the model reads pairs of texts; give it pairs with --pair "TEXT" "TEXT"')
    if pair and not reads_pairs:
        raise InputError("the model reads single texts; leave --pair out")
    if pair and len(texts) % 2:
        raise InputError(f"--pair: {len(texts)} texts, but two are needed for each pair; add one or leave one out")
    return list(zip(texts[::2], texts[1::2], strict=True)) if pair else texts
