"""Use the trained classifier: on the sample texts of params.yaml, on the command line, on files, or from Python.

In:  models/base/ and models/adapter/.
Out: metrics/samples.json (as the pipeline's stage, that is without arguments).

    python -m stages.infer "I would watch it again tomorrow."
    python -m stages.infer --file reviews.csv --column text --out scored.parquet
    >>> from stages.infer import predict
    >>> predict(["I would watch it again tomorrow."])
    [(label, calibrated confidence)]
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from pydantic import Field

from stages.classifier.processes import Processes
from stages.files import METRICS, write_json
from stages.run import one_of_several, run
from stages.settings.environment import rank_and_count
from stages.settings.errors import InputError
from stages.use.scoring import Classifier, score_file, score_share

Text = Annotated[str, Field(min_length=1, pattern=r"\S")]


def predict(texts: list[str | None]) -> list[tuple[str | None, float | None]]:
    """(label, calibrated confidence) of each text, (None, None) of a blank one. Loads the model each time; for many
    calls keep a Classifier.

    Raises InputError if models/base or models/adapter is missing.
    """
    return Classifier()(texts)


def infer(*, texts: Annotated[list[Text], Field(min_length=1)]) -> None:
    """Score the sample texts."""
    answers = predict(texts)
    write_json(
        METRICS / "samples.json",
        [
            {"text": text, "label": label, "confidence": round(confidence, 4)}
            for text, (label, confidence) in zip(texts, answers, strict=True)
        ],
    )


def lines(stream: BinaryIO) -> Iterator[list[str]]:
    """The lines of a stream, as many at a time as have arrived: a slow writer gets its answers at once."""
    rest, count = b"", 0
    while piece := stream.read1(2**16):
        *whole, rest = (rest + piece).split(b"\n")
        yield from decoded(whole, count + 1)
        count += len(whole)
    if rest:
        yield from decoded([rest], count + 1)


def decoded(lines: list[bytes], first: int) -> Iterator[list[str]]:
    """The lines as text; if one is not UTF-8, those before it, and then the error."""
    texts = []
    for number, line in enumerate(lines, first):
        try:
            texts.append(line.decode().removesuffix("\r"))
        except UnicodeDecodeError as error:
            yield texts
            place = f"standard input: line {number}"
            raise InputError(f"{place}: not UTF-8 ({error.reason} at byte {error.start})") from None
    yield texts


def check_arguments(texts: list[str]) -> None:
    for text in texts:
        if text.encode(errors="ignore").decode() != text:
            raise InputError(f"{text!a:.60}: not UTF-8")
        if text.startswith("-") and text != "-" and "--" not in sys.argv:
            raise InputError(f"{text!r:.60}: no such option; before texts that begin with a dash put --")


def main(
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Texts to score; - for one a line.")] = None,
    file: Annotated[Path | None, typer.Option(help="Score a .csv, .jsonl or .parquet file.")] = None,
    column: Annotated[str | None, typer.Option(help="Its column of texts.  [default: text]")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where its rows go, with predicted and confidence.  [default: scored.parquet]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file if it is there.")] = False,
) -> None:
    """Score texts with the trained classifier. Without arguments: the pipeline's stage `infer`.

    \b
    python -m stages.infer "I would watch it again tomorrow." "Too long."
    python -m stages.infer --file reviews.csv --column text --out scored.parquet
    cat reviews.txt | python -m stages.infer - > scored.jsonl

    A --file may be larger than memory. Called again after a kill, it goes on where it was. LAUNCH in the environment
    shares it among processes.
    """
    if not (texts or file or column or out or overwrite):
        return run(infer)
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        check_arguments(texts or [])
        if bool(file) == bool(texts):
            raise InputError("give either texts or --file")
        if texts and (column or out or overwrite):
            raise InputError("--column, --out and --overwrite are of a --file")
        if file and rank_and_count():
            with one_of_several("infer"):
                score_share(file, column or "text", out or Path("scored.parquet"), Processes.here())
        elif file:
            out = out or Path("scored.parquet")
            print(f"infer: {score_file(file, column or 'text', out, overwrite):,} rows in {out}")
        elif texts == ["-"]:
            classifier = Classifier()
            for batch in lines(sys.stdin.buffer):
                for text, (label, confidence) in zip(batch, classifier(batch), strict=True):
                    confidence = confidence and round(confidence, 4)
                    print(json.dumps({"label": label, "confidence": confidence, "text": text}, ensure_ascii=False))
                sys.stdout.flush()
        else:
            answers = predict(texts)
            width = max(5, *(len(label or "") for label, _ in answers))
            print(f"{'label':{width}}  confidence  text")
            for text, (label, confidence) in zip(texts, answers, strict=True):
                print(f"{label or '-':{width}}  {f'{confidence:.1%}' if label else '-':>10}  {text}")
    except BrokenPipeError:
        raise  # the reader has enough; typer ends quietly
    except (InputError, OSError) as error:
        sys.exit(f"infer: {error}")
    except KeyboardInterrupt:
        sys.exit("infer: interrupted; with --file the same command goes on where it was")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(context_settings={"ignore_unknown_options": True})(main)  # check_arguments says it in one line
    app(prog_name="python -m stages.infer")
