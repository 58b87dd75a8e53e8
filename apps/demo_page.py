"""The page of apps/demo.py: its layout, and the functions behind its buttons.

gradio is imported inside the functions, because it is an optional dependency that only `make demo` installs.
"""

import tempfile
from pathlib import Path
from typing import NoReturn

from classifier.errors import InputError
from classifier.evaluation.markdown import verbatim
from classifier.model.loading import trained_settings
from classifier.predict.classifier import UNCERTAIN, Classifier
from classifier.predict.explanation import Explanation, explain_label
from classifier.predict.threshold import threshold_for
from classifier.scoring.files import Job, score_file
from classifier.text.cleaning import is_blank

SUPPORTING, OPPOSING = "#16a34a", "#dc2626"  # colors of words for and against the label, legible on white and on black
ROWS_SHOWN = 100  # rows of a scored file in the page's table
COLUMNS_LABEL = "The column with the texts, or several columns separated by commas"


def verdict(label: str, confidence: float, threshold: float) -> str:
    """Return the answer to a text as a Markdown sentence. A threshold of 0 is no threshold."""
    label = verbatim(label)
    if not threshold:
        return f"**{label}** with a confidence of {confidence:.2%}."
    if confidence < threshold:
        return f"**{UNCERTAIN}**: {label} has a confidence of {confidence:.2%}, below the threshold of {threshold:.2%}."
    return f"**{label}** with a confidence of {confidence:.2%}, which reaches the threshold of {threshold:.2%}."


def marked_words(explained: Explanation) -> tuple[list[tuple[str, str | None]], dict[str, str]]:
    """Convert an explanation into the arguments of gradio's HighlightedText.

    Returns:
        (pieces, colors). A piece is (text, attribution of a marked word or None), and `colors` maps each attribution
        to its color. Neighbouring words that are not marked form one piece.
    """
    marked, pieces = set(explained.marked), []
    for place, word in enumerate(explained.words):
        attribution = f"{explained.attributions[place]:+.1f}" if place in marked else None
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
        self.classifier, self.separator = classifier, trained_settings()["separator"]
        self.labels = list(classifier.model.config.id2label.values())

    def classify(self, text: str, threshold: float) -> tuple[str, dict[str, float]]:
        """Return (verdict, probability by label) of a text."""
        windows = self.classifier.token_windows([text])
        if is_blank(text) or not all(windows):
            refuse("the text has nothing to read, so no label; type a text")
        (row,) = self.classifier.window_probabilities(windows)
        probabilities = dict(zip(self.labels, row.tolist(), strict=True))
        label = max(probabilities, key=probabilities.get)
        return verdict(label, probabilities[label], threshold), probabilities

    def explain(self, text: str):
        """Return a gradio.HighlightedText of a text with the deciding words marked."""
        import gradio as gr

        if not all(self.classifier.token_windows([text])):
            refuse("the text has nothing to read, so no label; type a text")
        try:
            explained = explain_label(self.classifier.model, self.classifier.tokenizer, text)
        except InputError as error:
            refuse(str(error))
        pieces, colors = marked_words(explained)
        return gr.HighlightedText(pieces, color_map=colors)

    def score(self, path: str | None, columns: str, threshold: float):
        """Score an uploaded file.

        Args:
            path: the uploaded file; None if the visitor has not chosen one.
            columns: names of the text columns, separated by commas.
            threshold: confidence below which the answer is "uncertain".

        Returns:
            (path of the scored file, its first rows as a DataFrame with the answers in the first columns).
        """
        from pyarrow.parquet import ParquetFile

        if path is None:
            refuse("no file was chosen; drop a file into the box first")
        out = Path(tempfile.mkdtemp(dir=Path(path).parent)) / f"{Path(path).stem}.scored.parquet"
        job = Job(Path(path), out, tuple(name.strip() for name in columns.split(",")), self.separator, threshold)
        try:
            score_file(job)
        except InputError as error:  # a visitor knows neither the path of the upload nor the command line
            refuse(str(error).replace(f"{path}: ", "").replace(" with --column", ""))
        first = next(ParquetFile(out).iter_batches(ROWS_SHOWN)).to_pandas()
        answers = ["predicted", "confidence"]
        return str(out), first[answers + [name for name in first if name not in answers]]


def refuse(message: str) -> NoReturn:
    """Show a visitor's mistake on the page, without a traceback on the terminal."""
    import gradio as gr

    raise gr.Error(message, print_exception=False)


def build_page(actions: Actions, samples: list[str], target: float, level: float):
    """Return the page as a gradio.Blocks. Its HTTP API has /classify, /explain and /score.

    Args:
        actions: the functions of the buttons.
        samples: texts that a visitor can pick.
        target: accuracy of the answers above the initial threshold.
        level: highest chance that the threshold misses the target.
    """
    import gradio as gr

    chosen, labels = threshold_for(target, level), actions.labels
    about = f"The validation texts show no confidence above which {target:.1%} of the answers are right."
    if chosen is not None:
        about = f"The validation texts show that at least {target:.1%} of the answers above {chosen:.1%} are right."
    title = " or ".join(labels) if len(labels) < 4 else f"which of {len(labels)} labels"
    # One call at a time, of all visitors and buttons: captum hooks into the model while it explains.
    alone = {"concurrency_id": "model", "concurrency_limit": 1}
    with gr.Blocks(title="Text classifier", analytics_enabled=False) as blocks:
        gr.Markdown(f"# {verbatim(title)}?")
        below = f'Answer "{UNCERTAIN}" below this confidence'
        threshold = gr.Slider(0, 1, chosen or 0, step=0.0001, label=below, info=about)
        with gr.Tab("A text"), gr.Row():
            with gr.Column():
                text = gr.Textbox(label="Text", lines=6, autofocus=True)
                button = gr.Button("Classify", variant="primary")
                gr.Examples([[sample] for sample in samples], text, label="Sample texts of params.yaml")
            with gr.Column():
                answer = gr.Markdown()
                bars = gr.Label(label="Calibrated confidence", show_heading=False)
                words = gr.HighlightedText(label="The words that decided, with their share of the label's log-odds")
            classified = gr.on(
                [button.click, text.submit], actions.classify, [text, threshold], [answer, bars], **alone
            )
            # The explanation takes longer than the label, so it starts once the label is shown.
            classified.success(actions.explain, text, words, **alone)
        with gr.Tab("A file"):
            with gr.Row():
                file = gr.File(label=".csv, .jsonl or .parquet", file_types=[".csv", ".jsonl", ".parquet"])
                scored = gr.File(label="The scored file")
            columns = gr.Textbox(", ".join(trained_settings()["columns"]), label=COLUMNS_LABEL)
            button = gr.Button("Score", variant="primary")
            rows = gr.Dataframe(label=f"The first {ROWS_SHOWN} rows", wrap=True)
            button.click(actions.score, [file, columns, threshold], [scored, rows], **alone)
    return blocks
