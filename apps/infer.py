"""Use the trained classifier on the command line: on texts, on files of any size, or on standard input."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from classifier.distributed.processes import Processes
from classifier.distributed.rank import rank_and_count
from classifier.errors import InputError, out_of_memory
from classifier.predict.classifier import Classifier
from classifier.predict.threshold import confidence_needed, is_share
from classifier.runner.environment import share_cores
from classifier.runner.params import load_params
from classifier.runner.ranks import one_of_several
from classifier.scoring.files import Job, score_file, score_share
from classifier.scoring.lines import answer_lines


def check_arguments(texts: list[str]) -> None:
    after = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    for text in texts:
        if text.encode(errors="ignore").decode() != text:
            raise InputError(f"{text!a:.60}: not UTF-8")
        if text.startswith("-") and text != "-" and text not in after:
            raise InputError(f"{text!r:.60}: no such option; before texts that begin with a dash put --")


def asked_confidence(min_confidence: str | None, min_accuracy: float | None) -> float:
    """Below which an answer is uncertain, by the options of the command line."""
    if min_confidence is not None and min_accuracy is not None:
        raise InputError("--min-confidence and --min-accuracy: give one of them")
    if min_confidence == "target":
        evaluate = load_params().evaluate
        return confidence_needed(0.0, evaluate.target_accuracy, evaluate.target_level)
    if min_confidence is None:
        return confidence_needed(0.0, min_accuracy)
    if not re.fullmatch(r"(\d+\.?\d*|\.\d+)(e-?\d+)?", min_confidence) or not is_share(number := float(min_confidence)):
        raise InputError(f"--min-confidence {min_confidence}: a number from 0 to 1, or target, is needed")
    return number


def show_table(texts: list[str], classifier: Classifier, explain: bool) -> None:
    from classifier.predict.explanation import explanation

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
        typer.Option(help='Answer "uncertain" below this share; target: as evaluate.target_accuracy needs it.'),
    ] = None,
    min_accuracy: Annotated[
        float | None, typer.Option(help='Answer "uncertain" unless at least this share of such answers is right.')
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Score a .csv, .jsonl or .parquet file.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Its column of texts, or several.  [default: training's]")
    ] = None,
    separator: Annotated[str | None, typer.Option(help="Between the texts of several.  [default: training's]")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where its rows go, with predicted and confidence.  [default: scored.parquet]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file if it is there.")] = False,
) -> None:
    """Score texts with the trained classifier.

    \b
    python -m apps.infer "I would watch it again tomorrow." "Too long."
    python -m apps.infer --file reviews.csv --column text --out scored.parquet
    cat reviews.txt | python -m apps.infer - > scored.jsonl

    --explain puts the five words that weigh most in brackets, each with its part of the label's log-odds. A --file may
    be larger than memory. Called again after a kill, it goes on where it was. LAUNCH in the environment shares it among
    processes.
    """
    of_a_file = column or separator is not None or out or overwrite
    os.environ["HF_HUB_OFFLINE"] = "1"
    share_cores()
    with errors_in_a_line():
        check_arguments(texts or [])
        if bool(file) == bool(texts):
            raise InputError("give either texts or --file")
        if texts and of_a_file:
            raise InputError("--column, --separator, --out and --overwrite are of a --file")
        if explain and (file or texts == ["-"]):
            raise InputError("--explain is for texts on the command line")
        confidence = asked_confidence(min_confidence, min_accuracy)
        if texts == ["-"]:
            answer_lines(Classifier(confidence))
        elif texts:
            show_table(texts, Classifier(confidence), explain)
        else:
            out = out or Path("scored.parquet")
            job = Job.like_training(file, out, column or (), separator, min_confidence=confidence)
            if rank_and_count():
                with one_of_several("infer"):
                    score_share(job, Processes.from_environment())
            else:
                print(f"infer: {score_file(job, overwrite):,} rows in {job.out}")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(context_settings={"ignore_unknown_options": True})(main)  # check_arguments says it in one line
    app(prog_name="python -m apps.infer")
