"""Use the trained classifier: on the sample texts of params.yaml, on the command line, on files, or from Python.

In:  models/base/ and models/adapter/.
Out: metrics/samples.json (as the pipeline's stage, that is without arguments).

    python -m stages.infer "I would watch it again tomorrow."
    python -m stages.infer --file reviews.csv --column text --out scored.parquet
    >>> from stages.infer import predict
    >>> predict(["I would watch it again tomorrow."])
    [(label, calibrated confidence)]
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from stages.classifier.processes import Processes
from stages.files import METRICS, write_json
from stages.run import one_of_several, run
from stages.settings.environment import rank_and_count
from stages.settings.errors import InputError, out_of_memory
from stages.use.lines import answer_lines
from stages.use.scoring import Classifier, Job, confidence_needed, score_file, score_share

Text = Annotated[str, Field(min_length=1, pattern=r"\S")]


def predict(texts: list[str | None], min_confidence: float = 0.0) -> list[tuple[str | None, float | None]]:
    """(label, calibrated confidence) of each text, (None, None) of a blank one. Loads the model each time; for many
    calls keep a Classifier.

    min_confidence: below it the label is "uncertain". Raises InputError if models/base or models/adapter is missing.
    """
    return Classifier(min_confidence)(texts)


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


def check_arguments(texts: list[str]) -> None:
    after = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    for text in texts:
        if text.encode(errors="ignore").decode() != text:
            raise InputError(f"{text!a:.60}: not UTF-8")
        if text.startswith("-") and text != "-" and text not in after:
            raise InputError(f"{text!r:.60}: no such option; before texts that begin with a dash put --")


def show_table(texts: list[str], classifier: Classifier, explain: bool) -> None:
    from stages.use.explaining import explanation

    sys.stdout.reconfigure(errors="backslashreplace")  # of a terminal that lacks a text's letters
    answers = classifier(texts)
    width = max(5, *(len(label or "") for label, _ in answers))
    print(f"{'label':{width}}  confidence  text")
    for text, (label, confidence) in zip(texts, answers, strict=True):
        shown = explanation(classifier.model, classifier.tokenizer, text).text if explain and label else text
        print(f"{label or '-':{width}}  {f'{confidence:.1%}' if label else '-':>10}  {shown}")


@contextmanager
def errors_in_a_line() -> Iterator[None]:
    """End with a line for what the user can put right."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader has enough; typer ends quietly
    except (InputError, OSError) as error:
        sys.exit(f"infer: {error}")
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        sys.exit("infer: out of memory; if it was a GPU's, DEVICE=cpu in the environment goes without it")
    except KeyboardInterrupt:
        sys.exit("infer: interrupted; with --file the same command goes on where it was")


def main(
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Texts to score; - for one a line.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show which of their words decided.")] = False,
    min_confidence: Annotated[
        str | None,
        typer.Option(help='Answer "uncertain" below this share; target: evaluate.target_accuracy needs it.'),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Score a .csv, .jsonl or .parquet file.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="Its column of texts, or several.  [default: text]")] = None,
    separator: Annotated[str | None, typer.Option(help="Between the texts of several.  [default: a new line]")] = None,
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

    --explain puts the five words that weigh most in brackets, each with its part of the label's log-odds. A --file may
    be larger than memory. Called again after a kill, it goes on where it was. LAUNCH in the environment shares it among
    processes.
    """
    of_a_file = column or separator is not None or out or overwrite
    if not (texts or file or of_a_file or explain or min_confidence):
        return run(infer)
    os.environ["HF_HUB_OFFLINE"] = "1"
    with errors_in_a_line():
        check_arguments(texts or [])
        if bool(file) == bool(texts):
            raise InputError("give either texts or --file")
        if texts and of_a_file:
            raise InputError("--column, --separator, --out and --overwrite are of a --file")
        if explain and (file or texts == ["-"]):
            raise InputError("--explain is for texts on the command line")
        confidence = confidence_needed(min_confidence)
        if texts == ["-"]:
            answer_lines(Classifier(confidence))
        elif texts:
            show_table(texts, Classifier(confidence), explain)
        else:
            separator = "\n" if separator is None else separator
            job = Job(file, out or Path("scored.parquet"), tuple(column or ["text"]), separator, confidence)
            if rank_and_count():
                with one_of_several("infer"):
                    score_share(job, Processes.here())
            else:
                print(f"infer: {score_file(job, overwrite):,} rows in {job.out}")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(context_settings={"ignore_unknown_options": True})(main)  # check_arguments says it in one line
    app(prog_name="python -m stages.infer")
