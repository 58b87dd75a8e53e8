"""Print the answers to texts of the command line as a table."""

import sys

from classifier.evaluation.tables import answer_cell
from classifier.predict.classifier import Classifier
from classifier.runner.terminal import escape_controls
from classifier.text.pairs import Text, joined


def show_table(texts: list[Text], classifier: Classifier, explain: bool, explained: str | None) -> None:
    """Print a line with the answer and the text for each text.

    Args:
        texts: The texts.
        classifier: The classifier.
        explain: Mark the words that weigh most.
        explained: The label to explain; None for the most probable one.
    """
    from classifier.predict.explanation import explain_label

    sys.stdout.reconfigure(errors="backslashreplace")  # for a terminal that lacks a text's characters
    answers, names = classifier(texts), list(classifier.parts)
    rows = [[answer_cell(part, name, "-") for name, part in zip(names, answer, strict=True)] for answer in answers]
    heads = [name.replace("_", " ") for name in names]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]

    def print_line(cells: list[str], text: str) -> None:
        first, *others = [
            f"{cell:{'<' if not at else '>'}{width}}"
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        print(escape_controls("  ".join([first, *others, text])))

    print_line(heads, "text")
    for text, answer, cells in zip(texts, answers, rows, strict=True):
        marked = explain and any(part is not None for part in answer)
        shown = explain_label(classifier.model, classifier.tokenizer, text, explained).text if marked else joined(text)
        print_line(cells, shown)
