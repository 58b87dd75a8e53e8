"""The functions behind the buttons of the page of apps/demo.py. apps/demo_page.py lays the page out.

gradio is imported inside the functions, because it is an optional dependency that only `make demo` installs.
"""

import tempfile
from pathlib import Path
from typing import NoReturn

from classifier.errors import InputError
from classifier.evaluation.markdown import verbatim
from classifier.evaluation.tables import answer_cell
from classifier.evaluation.tasks.task import MEASURES
from classifier.predict.classifier import Classifier
from classifier.predict.explanation import Explanation, explain_label
from classifier.predict.sets import required_bounds
from classifier.runner.command import fields_of
from classifier.scoring.files import score_file
from classifier.scoring.job import Job
from classifier.scoring.options import check_sets
from classifier.text.cleaning import is_blank
from classifier.text.pairs import Text, parts

SUPPORTING, OPPOSING = "#16a34a", "#dc2626"  # colors of words for and against the label, legible on white and on black
ROWS_SHOWN = 100  # rows of a scored file in the page's table
WORDS = "The words that decided"


def marked_words(explained: Explanation) -> tuple[list[tuple[str, str | None]], dict[str, str]]:
    """Convert an explanation into the arguments of gradio's HighlightedText.

    Returns:
        (pieces, colors). A piece is (text, attribution of a marked word or None), and `colors` maps each attribution
        to its color. Neighbouring words that are not marked form one piece.
    """
    pieces = []
    for word, attribution in explained.pieces:
        if attribution is None and pieces and pieces[-1][1] is None:
            pieces[-1] = (f"{pieces[-1][0]} {word}", None)
        else:
            pieces.append((word, attribution))
    colors = {text: OPPOSING if text.startswith("-") else SUPPORTING for _, text in pieces if text}
    return pieces, colors


class Actions:
    """The functions behind the page's buttons.

    A visitor's mistake is raised as a gradio.Error, which the page shows.
    """

    def __init__(self, classifier: Classifier):
        self.classifier = classifier
        self.measures = MEASURES[classifier.model.config.task]
        self.has_confidence = any(name.startswith("confidence") for name in classifier.task.ANSWER)
        self.has_sets = bool(classifier.task.SET)

    def readable_windows(self, text: Text) -> list[list[list[int]]]:
        """Return the token ids of a text's windows, in a list of one text. Refuse a text with nothing to read."""
        windows = self.classifier.token_windows([text])
        if any(map(is_blank, parts(text))) or not all(windows):
            refuse("the text has nothing to read, so no label; type a text")
        return windows

    def classify(
        self, text: str, threshold: float, share: float, text_pair: str | None = None
    ) -> tuple[str, dict[str, float] | None]:
        """Return (verdict, probability by label) of a text, or of a pair if there is a second text.

        A task without probabilities has None in their place. share: the target of the prediction sets; 0 adds none.
        """
        task, names, decision = self.classifier.task, self.classifier.names, self.classifier.decision
        scores = self.classifier.scores(self.readable_windows(text_of(text, text_pair)))
        row = {name: column[0] for name, column in task.prediction_columns(scores, names, decision).items()}
        probabilities = {name: float(row[f"probability_{name}"]) for name in names} if self.has_confidence else None
        verdict = self.measures.verdict(row, names, threshold)
        if share and self.has_sets:
            try:
                decision = task.with_bounds(decision, required_bounds(share))
            except InputError as error:
                refuse(str(error))
            (labels,) = task.answers(scores, names, decision, 0.0)["set"]
            verdict += f" The set for {100 * share:.4g}%: {verbatim(answer_cell(labels))}."
        return verdict, probabilities

    def explain(self, text: str, text_pair: str | None = None):
        """Return a gradio.HighlightedText of a text, or of both texts of a pair, with the deciding words marked."""
        import gradio as gr

        whole = text_of(text, text_pair)
        self.readable_windows(whole)
        explained = explain_label(self.classifier.model, self.classifier.tokenizer, whole)
        pieces, colors = marked_words(explained)
        share = f"{WORDS}, with their share of the {'log-odds' if self.has_confidence else 'number'}"
        return gr.HighlightedText(pieces, color_map=colors, label=f"{share}: {explained.label}")

    def score(self, path: str | None, columns: str, threshold: float, share: float):
        """Score an uploaded file.

        Args:
            path: the uploaded file; None if the visitor has not chosen one.
            columns: names of the text columns, as a line of CSV.
            threshold: confidence below which the answer is "uncertain".
            share: the target of the prediction sets; 0 adds none.

        Returns:
            (path of the scored file, its first rows as a DataFrame with the answers in the first columns).
        """
        from pyarrow.parquet import ParquetFile

        if path is None:
            refuse("no file was chosen; drop a file into the box first")
        out = Path(tempfile.mkdtemp(dir=Path(path).parent)) / f"{Path(path).stem}.scored.parquet"
        try:
            names = [name.strip() for name in fields_of("columns", columns, skipinitialspace=True)]
            job = Job.like_training(Path(path), out, names, min_confidence=threshold, sets=share or None)
            check_sets(job.sets)
            score_file(job)
        except InputError as error:  # a visitor knows neither the path of the upload nor the command line
            message = str(error).replace(f"{path}: ", "").removeprefix("--column: ")
            refuse(message.replace(" with --column", "").replace(", or leave it out with --keep", ""))
        first = next(ParquetFile(out).iter_batches(ROWS_SHOWN)).to_pandas(integer_object_nulls=True)
        for name in (name for name, kind in job.added.items() if kind.startswith("list")):
            first[name] = [None if value is None else answer_cell(list(value), name) for value in first[name]]
        return str(out), first[[*job.added, *(name for name in first if name not in job.added)]]


def text_of(text: str, text_pair: str | None) -> Text:
    """Return the text of the page's only box, or the pair of texts of its two boxes."""
    return text if text_pair is None else (text, text_pair)


def refuse(message: str) -> NoReturn:
    """Show a visitor's mistake on the page, without a traceback on the terminal."""
    import gradio as gr

    raise gr.Error(message, print_exception=False)
