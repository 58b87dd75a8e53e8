"""Score the sample texts of params.yaml with the trained classifier.

In:  models/base/ and models/adapter/.
Out: metrics/samples.json.

Texts of your own: apps/infer.py on the command line, classifier.predict from Python.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from classifier.errors import InputError
from classifier.files.formats import write_json
from classifier.files.places import METRICS
from classifier.params.settings import Param, Settings
from classifier.predict.classifier import Classifier
from classifier.runner.run import main
from classifier.text.cleaning import blank


def not_blank(text: str) -> str:
    if blank(text):
        raise ValueError("a text that is not blank is needed")
    return text


class InferSettings(Settings):
    """The section `infer` of params.yaml."""

    texts: Annotated[list[Annotated[str, AfterValidator(not_blank)]], Field(min_length=1)]


def infer(
    *,
    settings: Annotated[InferSettings, Param("infer")],
    with_texts: Annotated[bool, Param("report.texts")],
) -> None:
    """Score the sample texts; with_texts: write them beside their answers."""
    samples = []
    for text, (label, confidence) in zip(settings.texts, Classifier()(settings.texts), strict=True):
        if label is None:
            raise InputError(
                f"params.yaml: infer.texts: the tokenizer finds nothing to read in {text!r:.40}; change it"
            )
        shown = {"text": text} if with_texts else {}
        samples.append(shown | {"label": label, "confidence": round(confidence, 4)})
    write_json(METRICS / "samples.json", samples)


if __name__ == "__main__":
    main(infer)
