"""The layout of the page of apps/demo.py. apps/demo_actions.py has the functions behind its buttons.

gradio is imported inside the functions, because it is an optional dependency that only `make demo` installs.
"""

from apps.demo_actions import ROWS_SHOWN, WORDS, Actions
from classifier.evaluation.markdown import verbatim
from classifier.model.loading import trained_settings
from classifier.predict.classifier import UNCERTAIN
from classifier.predict.threshold import threshold_for
from classifier.scoring.options import csv_line
from classifier.tables.opening import COMPRESSED
from classifier.tables.reading import KINDS
from classifier.text.pairs import Text, parts

COLUMNS_LABEL = "The column with the texts, or several columns separated by commas"
# All visitors and buttons share one queue, which runs one call at a time: captum puts hooks into the model while it
# explains, and another call would run them.
ONE_AT_A_TIME = {"concurrency_id": "model", "concurrency_limit": 1}


def build_page(actions: Actions, samples: list[Text], target: float, level: float):
    """Return the page as a gradio.Blocks. Its HTTP API has /classify, /explain and /score.

    Args:
        actions: the functions of the buttons.
        samples: texts that a visitor can pick.
        target: accuracy of the answers above the initial threshold.
        level: highest chance that the threshold misses the target.
    """
    import gradio as gr

    labels = actions.classifier.names
    title = " or ".join(labels) if len(labels) < 4 else f"which of {len(labels)} labels"
    with gr.Blocks(title="Text classifier", analytics_enabled=False) as blocks:
        gr.Markdown(f"# {verbatim(title)}?")
        threshold = threshold_slider(target, level) if actions.has_confidence else gr.Number(0, visible=False)
        label = "Add a set of labels with the right one for this share of the texts; 0 adds none"
        share = gr.Slider(0, 0.99, 0, step=0.01, label=label, visible=actions.has_sets)
        with gr.Tab("A text"), gr.Row():
            fill_text_tab(actions, samples, threshold, share)
        with gr.Tab("A file"):
            fill_file_tab(actions, threshold, share)
    return blocks


def threshold_slider(target: float, level: float):
    """Add the slider of the threshold, set to the confidence that reaches the target. Arguments: as in `build_page`."""
    import gradio as gr

    chosen = threshold_for(target, level)
    about = f"The validation texts show no confidence above which {target:.1%} of the answers are right."
    if chosen is not None:
        about = f"The validation texts show that at least {target:.1%} of the answers above {chosen:.1%} are right."
    label = f'Answer "{UNCERTAIN}" below this confidence'
    return gr.Slider(0, 1, chosen or 0, step=0.0001, label=label, info=about)


def fill_text_tab(actions: Actions, samples: list[Text], threshold, share) -> None:
    """Add the box for a text, or two boxes for a pair, its answer and its deciding words.

    threshold, share: the sliders.
    """
    import gradio as gr

    with gr.Column():
        labels = ["First text", "Second text"] if actions.classifier.reads_pairs else ["Text"]
        boxes = [gr.Textbox(label=label, lines=6 // len(labels), autofocus=label == labels[0]) for label in labels]
        button = gr.Button("Classify", variant="primary")
        fitting = [list(parts(sample)) for sample in samples if len(parts(sample)) == len(boxes)]
        if fitting:
            gr.Examples(fitting, boxes, label="Sample texts of params.yaml")
    with gr.Column():
        answer = gr.Markdown()
        bars = gr.Label(label="Calibrated confidence", show_heading=False, visible=actions.has_confidence)
        words = gr.HighlightedText(label=WORDS)
    events = [button.click, *(box.submit for box in boxes)]
    inputs = [boxes[0], threshold, share, *boxes[1:]]
    classified = gr.on(events, actions.classify, inputs, [answer, bars], **ONE_AT_A_TIME)
    # The explanation takes longer than the label, so it starts once the label is shown.
    classified.success(actions.explain, boxes, words, **ONE_AT_A_TIME)


def fill_file_tab(actions: Actions, threshold, share) -> None:
    """Add the boxes for a file, the scored file and its first rows. threshold, share: the sliders."""
    import gradio as gr

    with gr.Row():
        file = gr.File(label=f"A table: {', '.join(KINDS)}", file_types=[*KINDS, *COMPRESSED])
        scored = gr.File(label="The scored file")
    columns = gr.Textbox(csv_line(trained_settings()["columns"]), label=COLUMNS_LABEL)
    button = gr.Button("Score", variant="primary")
    rows = gr.Dataframe(label=f"The first {ROWS_SHOWN} rows", wrap=True)
    button.click(actions.score, [file, columns, threshold, share], [scored, rows], **ONE_AT_A_TIME)
