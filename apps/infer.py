"""Label texts with the trained classifier, models/adapter.

Texts on the command line. The answer is a table:
  python -m apps.infer "I would watch it again tomorrow." "Too long."
--explain puts the five words that weigh most in brackets, each with its part
of the label's log-odds. Put -- before texts that begin with a dash.
A model that was trained on pairs of texts takes two texts for each pair:
  python -m apps.infer --pair "A man sleeps." "Nobody is awake."

Texts on standard input, one per line. The answers are JSON objects with
label, confidence and text, one per line, each printed at once:
  cat reviews.txt | python -m apps.infer - > scored.jsonl
For pairs, each line has two texts with a tab between them.

A table of any size: CSV, JSON, Parquet, Arrow, Excel or fastText, compressed
or not. The answer is a .parquet, .csv or .jsonl file with the same rows, to
which the columns "predicted" and "confidence" are added. Repeat --column to
join the texts of several columns, or to name both columns of a pair. A killed
run continues if the same command is run again:
  python -m apps.infer --file reviews.csv --column text --out scored.csv
--keep names the columns that the answer keeps. --format says how the table is
written, if its suffix does not say it (the keys are those of `format` in
docs/reference/params.md):
  python -m apps.infer --file r.txt --format "delimiter=;" --format encoding=cp1252
  python -m apps.infer --file <(zcat reviews.gz) --format kind=csv --keep id

--precision auto scores in bf16 if the device multiplies in bf16, and in fp32
otherwise. bf16 is faster on such a device, and changes the second or third
decimal of a confidence. --precision bf16 scores in bf16 on any device. With
either option, a line on stderr says which precision is used.

The confidence is the calibrated probability of the label. A blank text gets
no label. Answers of low confidence can become "uncertain":
  --min-confidence 0.9     if the confidence is below 0.9
  --min-accuracy 0.95      if the confidence is below the threshold at which
                           95% of the other answers are right, as shown by
                           the validation rows
  --min-confidence target  as --min-accuracy, for evaluate.target_accuracy and
                           evaluate.target_level of params.yaml

--sets 0.9 adds a prediction set to each answer. The sets have the right label
for at least 90% of the texts, as shown by the validation rows. If the answers
are numbers, their intervals are made for this share instead.

Environment variables:
  DEVICE  cpu, cuda:1 or mps; default: the best device that is found
  LAUNCH  a launcher that shares a --file among processes, for example
          LAUNCH="torchrun --nproc-per-node 4" (see docs/how-to/several-processes.md)

After an error, the command prints one line to stderr and exits with status 1.
If the command line itself cannot be read, such as a word in place of a number,
the exit status is 2.
"""

import os
import re
import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from classifier.distributed.processes import Processes
from classifier.distributed.rank import rank_and_count
from classifier.errors import InputError
from classifier.files.formats import read_json
from classifier.predict.classifier import Classifier
from classifier.runner.command import exit_on_user_error, run_command
from classifier.runner.environment import let_idle_threads_sleep, restart_with_malloc_settings
from classifier.runner.ranks import rank_process
from classifier.runner.terminal import escape_controls
from classifier.scoring.answer_table import show_table
from classifier.scoring.files import score_file, score_share
from classifier.scoring.job import Job
from classifier.scoring.lines import answer_lines
from classifier.scoring.options import check_sets, chosen_precision, parse_format, parse_required_confidence, text_pairs
from classifier.scoring.summary import summary_lines
from classifier.text.cleaning import is_encodable

EXPLAIN_LABEL = "Mark the words that weigh most for this label, not for the most probable one."
PAIR = "Read the TEXTs two by two, for a model that was trained on pairs."
MIN_CONFIDENCE = 'Answer "uncertain" below this confidence, from 0 to 1, or target.'
MIN_ACCURACY = 'Answer "uncertain" so often that at least this share of the other answers is right.'
SETS = "Add prediction sets, which have the right label for at least this share of the texts."
COLUMN = "Column of texts; may be repeated. [default: as in training]"
SEPARATOR = "Text to put between the texts of several columns. [default: as in training]"
FORMAT = "How the file is written, such as header=label,text; may be repeated."
KEEP = "Column that the answer keeps; may be repeated. [default: all]"
PRECISION = "Precision of the scoring: fp32, bf16 or auto. [default: fp32]"
OUT = "File to write: .parquet, .csv or .jsonl. [default: scored.parquet]"


def main(
    texts: Annotated[list[str] | None, Argument(metavar="TEXT", hidden=True)] = None,
    explain: Annotated[bool, Option("--explain", help="Mark the words that weigh most in each TEXT.")] = False,
    explain_label: Annotated[str | None, Option(metavar="NAME", help=EXPLAIN_LABEL)] = None,
    pair: Annotated[bool, Option("--pair", help=PAIR)] = False,
    min_confidence: Annotated[str | None, Option(metavar="SHARE", help=MIN_CONFIDENCE)] = None,
    min_accuracy: Annotated[float | None, Option(metavar="SHARE", help=MIN_ACCURACY)] = None,
    sets: Annotated[float | None, Option(metavar="SHARE", help=SETS)] = None,
    precision: Annotated[str, Option(metavar="NAME", help=PRECISION, show_default=False)] = "fp32",
    file: Annotated[Path | None, Option(metavar="PATH", help="Table to label, or a pipe.")] = None,
    column: Annotated[list[str] | None, Option(metavar="NAME", help=COLUMN)] = None,
    separator: Annotated[str | None, Option(metavar="TEXT", help=SEPARATOR)] = None,
    form: Annotated[list[str] | None, Option("--format", metavar="KEY=VALUE", help=FORMAT)] = None,
    keep: Annotated[list[str] | None, Option(metavar="NAME", help=KEEP)] = None,
    out: Annotated[Path | None, Option(metavar="PATH", help=OUT)] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the file to write if it exists.")] = False,
) -> None:
    """Check the arguments; label texts, standard input or a file. The module's docstring is the help text."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    let_idle_threads_sleep()
    with exit_on_user_error("infer", "; with --file, repeat the command to resume"):
        check_texts(texts or [])
        file_options = bool(column or separator is not None or form or keep or out or overwrite)
        given = {"--explain": explain, "--explain-label": explain_label is not None, "--pair": pair}
        text_option = next((option for option, is_given in given.items() if is_given), None)
        check_combination(texts, file, text_option, file_options)
        if file:
            restart_with_malloc_settings()
        explains = explain or explain_label is not None
        if explains and precision != "fp32":
            raise InputError("--explain: explains in fp32 only; leave --precision out")
        confidence = parse_required_confidence(min_confidence, min_accuracy)
        check_sets(sets)
        precision = chosen_precision(precision)
        if texts == ["-"]:
            answer_lines(Classifier(confidence, precision=precision, sets=sets))
        elif texts:
            texts = text_pairs(texts, pair)
            show_table(texts, Classifier(confidence, precision=precision, sets=sets), explains, explain_label)
        else:
            options = {"min_confidence": confidence, "form": parse_format(form or ()), "keep": tuple(keep or ())}
            options |= {"precision": precision, "sets": sets}
            job = Job.like_training(file, out or Path("scored.parquet"), column or (), separator, **options)
            run_job(job, overwrite)


def check_texts(texts: list[str]) -> None:
    """Raise InputError for a text that UTF-8 cannot encode, that is an unknown option, or that names a file.

    typer passes unknown options on as texts, so that their error, too, is one line.
    """
    after_dashes = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    for text in texts:
        if not is_encodable(text):
            raise InputError(f"{text!a:.60}: not UTF-8; set the terminal to UTF-8 or use --file")
        if text.startswith("-") and text != "-" and text not in after_dashes:
            raise InputError(f"{text!r:.60}: no such option; see --help, or put -- before texts that begin with a dash")
        if os.path.isfile(text):
            fix = f"its rows are scored with --file {text}; to score the name itself, pass it on standard input"
            raise InputError(f"{text} is a file; {fix}")


def check_combination(texts: list[str] | None, file: Path | None, text_option: str | None, file_options: bool) -> None:
    """Raise InputError for arguments that exclude each other.

    text_option: a given option that fits only texts on the command line, or None.
    file_options: whether an option is given that fits only --file.
    """
    if bool(texts) == bool(file):
        raise InputError("give either texts (or - to read standard input) or --file")
    if texts and file_options:
        raise InputError("--column, --separator, --format, --keep, --out and --overwrite: give them with --file only")
    if text_option and (file or texts == ["-"]):
        raise InputError(f"{text_option}: give it with texts on the command line only")


def run_job(job: Job, overwrite: bool) -> None:
    """Score a file, or this rank's share of it if a launcher has started this process."""
    if rank_and_count():
        with rank_process("infer"):
            score_share(job, Processes.from_environment())
        return
    try:
        print(escape_controls(f"infer: {score_file(job, overwrite):,} rows in {job.out}"))
        lines, warning = summary_lines(read_json(job.summary))
        print(escape_controls(f"infer: {', '.join([*lines, f'summary in {job.summary}'])}"))
        if warning:
            print(f"infer: {warning}", file=sys.stderr)
    except InputError as error:  # the errors of the table readers name keys of params.yaml, not options
        message = re.sub(r'`format\.(\w+)` to "([^"]+)"', r'--format "\1=\2"', str(error))
        message = message.replace('set --format "', 'give --format "')
        message = re.sub(r"`format\.(\w+)`", r"`--format \1=`", message)
        raise InputError(message) from None


if __name__ == "__main__":
    run_command(main, "apps.infer", __doc__, context_settings={"ignore_unknown_options": True})
