"""Score the sample texts of params.yaml with the trained classifier.

In:  models/base/ and models/adapter/.
Out: metrics/samples.json.

For other texts use `python -m apps.infer` on the command line, or classifier.predict in Python.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from classifier.errors import InputError
from classifier.files.formats import write_json
from classifier.files.places import METRICS
from classifier.params.settings import Param, Settings
from classifier.predict.classifier import Classifier
from classifier.runner.run import main
from classifier.text.cleaning import is_blank


def not_blank(text: str) -> str:
    """Return the text, or raise ValueError if it is blank."""
    if is_blank(text):
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
    """Score the sample texts and write the answers, together with the texts if `with_texts`."""
    samples = []
    for text, (label, confidence) in zip(settings.texts, Classifier()(settings.texts), strict=True):
        if label is None:
            raise InputError(
                f"params.yaml: infer.texts: the tokenizer finds nothing to read in {text!r:.40}; change the text"
            )
        sample = {"text": text} if with_texts else {}
        samples.append(sample | {"label": label, "confidence": round(confidence, 4)})
    write_json(METRICS / "samples.json", samples)


if __name__ == "__main__":
    main(infer)
