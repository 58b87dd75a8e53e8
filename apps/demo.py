"""The trained classifier as a page for this machine's browser: a text's label, confidences and deciding words, or the
rows of a file.

    make demo     (installs gradio; http://127.0.0.1:7860, or another GRADIO_SERVER_PORT in the environment)

In: models/base/, models/adapter/, and of params.yaml the sample texts and evaluate's target.
"""

import itertools
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from classifier.errors import InputError
from classifier.evaluation.markdown import verbatim
from classifier.model.loading import trained_settings
from classifier.predict.classifier import UNCERTAIN, Classifier
from classifier.predict.explanation import Explanation, explain_label
from classifier.predict.threshold import confidence_threshold
from classifier.runner.command import no_arguments
from classifier.runner.environment import share_cores
from classifier.runner.params import load_params
from classifier.scoring.files import Job, score_file
from classifier.text.cleaning import blank

FOR, AGAINST = "#16a34a", "#dc2626"  # a label's words; both can be read on white and on black
CSS = ".token.highlighted .text { color: var(--body-text-color); }"  # gradio's is black, on a dark page too
SHOWN = 100  # rows of a scored file


def verdict(label: str, confidence: float, threshold: float) -> str:
    """In Markdown."""
    label = verbatim(label)
    if not threshold:
        return f"**{label}**, at {confidence:.2%}."
    if confidence < threshold:
        return f"**{UNCERTAIN}**: {label} at {confidence:.2%}, below the threshold of {threshold:.2%}."
    return f"**{label}**: {confidence:.2%} reaches the threshold of {threshold:.2%}."


def marked_words(found: Explanation) -> tuple[list[tuple[str, str | None]], dict[str, str]]:
    """(pieces of the text with their part of the label's log-odds, if they are marked; the colour of each part)."""
    parts = {place: f"{found.attributions[place]:+.1f}" for place in found.marked}
    pieces = [
        (" ".join(found.words[place] for place in places), parts.get(key))
        for key, places in itertools.groupby(range(len(found.words)), lambda place: place if place in parts else -1)
    ]
    return pieces, {part: AGAINST if part.startswith("-") else FOR for part in parts.values()}


class Actions:
    """What the page's buttons do. A mistake of its visitor's becomes a gradio.Error, which it shows."""

    def __init__(self, classifier: Classifier):
        self.classifier, self.separator = classifier, trained_settings()["separator"]
        self.labels = list(classifier.model.config.id2label.values())

    def classify(self, text: str, threshold: float) -> tuple[str, dict[str, float]]:
        """(verdict, probability of each label)."""
        windows = self.classifier.token_windows([text])
        if blank(text) or not all(windows):
            refuse("a blank text has no label; type one")
        (row,) = self.classifier.window_probabilities(windows)
        probabilities = dict(zip(self.labels, row.tolist(), strict=True))
        label = max(probabilities, key=probabilities.get)
        return verdict(label, probabilities[label], threshold), probabilities

    def explain(self, text: str):
        import gradio as gr

        try:
            found = explain_label(self.classifier.model, self.classifier.tokenizer, text)
        except InputError as error:
            refuse(str(error))
        pieces, colors = marked_words(found)
        return gr.HighlightedText(pieces, color_map=colors)

    def score(self, path: str | None, columns: str, threshold: float):
        """(the scored file, its first rows as a DataFrame, the answers first)."""
        from pyarrow.parquet import ParquetFile

        if path is None:
            refuse("no file; drop one")
        out = Path(tempfile.mkdtemp(dir=Path(path).parent)) / f"{Path(path).stem}.scored.parquet"
        job = Job(Path(path), out, tuple(name.strip() for name in columns.split(",")), self.separator, threshold)
        try:
            score_file(job)
        except InputError as error:
            refuse(str(error).replace(f"{path}: ", "").replace(" with --column", ""))
        first = next(ParquetFile(out).iter_batches(SHOWN)).to_pandas()
        answers = ["predicted", "confidence"]
        return str(out), first[answers + [name for name in first if name not in answers]]


def refuse(message: str) -> NoReturn:
    import gradio as gr

    raise gr.Error(message, print_exception=False)


def page(actions: Actions, samples: list[str], target: float, level: float):
    """A gradio.Blocks, whose HTTP API has /classify, /explain and /score. target: accuracy of the answers above the
    threshold at first, level: the chance, at most, that it is missed.
    """
    import gradio as gr

    chosen, labels = confidence_threshold(target, level), actions.labels
    about = f"Validation shows no confidence above which {target:.1%} of the answers are right."
    if chosen is not None:
        about = f"Validation shows that at least {target:.1%} of the answers above {chosen:.1%} are right."
    with gr.Blocks(title="Text classifier", analytics_enabled=False) as blocks:
        title = " or ".join(labels) if len(labels) < 4 else f"which of {len(labels)} labels"
        gr.Markdown(f"# {verbatim(title)}?")
        below = f'Answer "{UNCERTAIN}" below this confidence'
        threshold = gr.Slider(0, 1, chosen or 0, step=0.0001, label=below, info=about)
        with gr.Tab("A text"), gr.Row():
            with gr.Column():
                text = gr.Textbox(label="Text", lines=6, autofocus=True)
                button = gr.Button("Classify", variant="primary")
                gr.Examples([[sample] for sample in samples], text, label="Samples of params.yaml")
            with gr.Column():
                said = gr.Markdown()
                bars = gr.Label(label="Calibrated confidence", show_heading=False)
                words = gr.HighlightedText(label="The words that decided, with their part of the label's log-odds")
        with gr.Tab("A file"):
            with gr.Row():
                file = gr.File(label=".csv, .jsonl or .parquet", file_types=[".csv", ".jsonl", ".parquet"])
                scored = gr.File(label="Scored")
            columns = gr.Textbox(
                ", ".join(trained_settings()["columns"]),
                label="Its column of texts, or several with commas between them",
            )
            score_button = gr.Button("Score", variant="primary")
            rows = gr.Dataframe(label=f"The first {SHOWN} rows", wrap=True)
        # The words take longer than the label, so they come after it. One at a time: captum hooks into the model.
        alone = {"concurrency_id": "model", "concurrency_limit": 1}
        classified = gr.on([button.click, text.submit], actions.classify, [text, threshold], [said, bars], **alone)
        classified.success(actions.explain, text, words, **alone)
        score_button.click(actions.score, [file, columns, threshold], [scored, rows], **alone)
    return blocks


def main() -> None:
    no_arguments("python -m apps.demo", "make demo")
    os.environ["HF_HUB_OFFLINE"] = "1"
    share_cores()
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"  # gradio asks itself whether it is there
    os.environ.pop("LAUNCH", None)  # one process
    try:
        import gradio
    except ModuleNotFoundError:
        raise InputError("gradio is not installed; `make demo` installs it") from None
    except ValueError as error:  # which of its variables it is does not say
        raise InputError(f"GRADIO_SERVER_PORT in the environment: {error}") from None
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("demo: ended"))
    params = load_params()
    theme = gradio.themes.Default(font="system-ui", font_mono="monospace")  # none from the network
    with tempfile.TemporaryDirectory() as os.environ["GRADIO_TEMP_DIR"]:  # what is uploaded goes with the page
        target = params.evaluate.target_accuracy, params.evaluate.target_level
        blocks = page(Actions(Classifier()), params.infer.texts, *target)
        # To this machine alone, whatever the environment says; and nothing of it stays in the browser.
        where = {"server_name": "127.0.0.1", "share": False, "ssr_mode": False, "run_history": False}
        blocks.launch(**where, theme=theme, css=CSS, footer_links=["api"])


if __name__ == "__main__":
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit("demo: interrupted")
