"""Check and parse the options of apps.infer and apps.serve."""

import csv
import io
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import numpy as np
from pydantic import ValidationError

from classifier.distributed.devices import device, uses_bf16
from classifier.distributed.rank import rank_and_count
from classifier.errors import InputError
from classifier.files.places import ADAPTER
from classifier.model.loading import trained_settings
from classifier.params.format import Format
from classifier.predict.sets import required_bounds
from classifier.predict.threshold import is_share, required_confidence
from classifier.runner.command import fields_of
from classifier.runner.params import load_params, problem_of
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
            value = fields_of("--format header", value)
        values[key] = value.replace(r"\t", "\t") if key == "delimiter" else value
    try:
        return Format(**values)
    except ValidationError as error:
        raise InputError(f"--format {error.errors()[0]['loc'][0]}: {problem_of(error)}") from None


def format_options(form: Format) -> Iterator[str]:
    """Yield the options that `parse_format` reads as this format."""
    for key, value in form.model_dump(exclude_defaults=True).items():
        yield f"{key}={csv_line(value) if key == 'header' else value}"


def csv_line(fields: list[str]) -> str:
    """Return fields as a line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


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


def chosen_precision(option: str, command: str = "infer") -> str:
    """Return the precision in which to score, fp32 or bf16, for a value of --precision.

    The precision is also printed to stderr, after the name of the command, unless the option is the default fp32 or a
    launcher has started this process.

    Raises InputError if the option has another value than fp32, bf16 and auto.
    """
    if option == "fp32":
        return option
    here = device()
    precision = "bf16" if uses_bf16(option, here) else "fp32"
    if not rank_and_count():
        slower = ", so bf16 is slower than fp32" if precision == "bf16" else ""
        reason = "" if uses_bf16("auto", here) else f": {here.type} does not multiply in bf16{slower}"
        print(f"{command}: scoring in {precision}{reason}", file=sys.stderr)
    return precision


def parse_required_confidence(min_confidence: str | None, min_accuracy: float | None) -> float:
    """Return the confidence below which an answer is "uncertain", as the options ask for it."""
    if min_confidence is not None and min_accuracy is not None:
        raise InputError("--min-confidence and --min-accuracy: give only one of them")
    if min_confidence == "target":
        evaluate = load_params().evaluate
        return required_confidence(0.0, evaluate.target_accuracy, evaluate.target_level)
    if min_accuracy is not None and not 0 < min_accuracy < 1:
        raise InputError(f"--min-accuracy {min_accuracy:g}: should be a number between 0 and 1")
    if min_confidence is None:
        return required_confidence(0.0, min_accuracy)
    if not re.fullmatch(r"(\d+\.?\d*|\.\d+)(e-?\d+)?", min_confidence) or not is_share(number := float(min_confidence)):
        raise InputError(f"--min-confidence {min_confidence}: should be a number from 0 to 1, or target")
    return number


def check_sets(share: float | None, command: str = "infer") -> None:
    """Check the value of --sets, and print the labels without a bound to stderr after the name of the command.

    No line is printed if all labels have a bound. Nothing is checked or printed if a launcher has started this process:
    the process that the user started has done both.

    Raises InputError if the share is out of range or the validation rows are too few for it.
    """
    if share is None or rank_and_count():
        return
    if not is_share(share) or share in (0, 1):
        raise InputError(f"--sets {share:g}: should be a number between 0 and 1")
    without = list(itertools.compress(model_labels(), np.isnan(required_bounds(share))))
    if without:
        few = f"{len(without)} labels have too few validation rows for --sets {share}: {', '.join(without[:10])}"
        print(f"{command}: {few}{', ...' * (len(without) > 10)}; their usual thresholds decide", file=sys.stderr)


def model_labels() -> list[str]:
    """Return the names of the model's labels without loading the model."""
    from transformers import AutoConfig

    return list(AutoConfig.from_pretrained(ADAPTER, local_files_only=True).id2label.values())
