"""Score the sample texts of params.yaml with the trained classifier.

In:  models/base/ and models/adapter/.
Out: metrics/samples.json, with the expected label of each sample that has one. The list is empty if the model reads
     pairs of texts and a sample is a single text, or the model reads single texts and a sample is a pair.

For other texts use `python -m apps.infer` on the command line, or classifier.predict in Python.
"""

import difflib
import sys
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from classifier.errors import InputError
from classifier.files.formats import write_json
from classifier.files.places import METRICS
from classifier.params.settings import Param, Settings
from classifier.predict.answers import named_parts
from classifier.predict.classifier import Classifier
from classifier.runner.run import main
from classifier.tasks.task import Task
from classifier.text.cleaning import is_blank
from classifier.text.pairs import Text


def as_text(text: Any) -> Text:
    """Return a text, or the list of the two texts of a pair as a tuple. Raises ValueError if a text is blank."""
    texts = [text] if isinstance(text, str) else text
    is_pair = isinstance(text, list) and len(text) == 2 and all(isinstance(part, str) for part in text)
    if not (is_pair or isinstance(text, str)):
        raise ValueError("should be a text, or a list of the two texts of a pair")
    if any(map(is_blank, texts)):
        raise ValueError("a text that is not blank is needed")
    return tuple(text) if is_pair else text


def an_answer(label: Any) -> Any:
    """Return a label, a number or a list of labels unchanged. Raises ValueError for any other value."""
    listed = label if isinstance(label, list) else [label]
    if isinstance(label, bool) or not (isinstance(label, int | float) or all(isinstance(part, str) for part in listed)):
        raise ValueError("should be a label, a list of labels or a number")
    return label


class Sample(Settings):
    """A sample text or pair of texts. If it has a `label`, the expected one, the report marks the answer."""

    text: Annotated[Text, BeforeValidator(as_text)]
    label: Annotated[str | int | float | list[str], BeforeValidator(an_answer)] | None = None


def as_sample(entry: Any) -> Any:
    """Return an entry that is a text alone as a Sample, and a mapping or a Sample unchanged. Refuse any other entry."""
    if isinstance(entry, str):
        return Sample.model_construct(text=as_text(entry))
    if not isinstance(entry, dict | Sample):
        raise ValueError("should be a text, or `text:` and `label:` lines")
    return entry


class InferSettings(Settings):
    """The section `infer` of params.yaml."""

    texts: Annotated[list[Annotated[Sample, BeforeValidator(as_sample)]], Field(min_length=1)]


def infer(
    *,
    settings: Annotated[InferSettings, Param("infer")],
    with_texts: Annotated[bool, Param("report.texts")],
) -> None:
    """Score the sample texts and write the answers, together with the texts if `with_texts`."""
    classifier, results = Classifier(), []
    if any(isinstance(sample.text, str) == classifier.reads_pairs for sample in settings.texts):
        kind = "pairs of texts" if classifier.reads_pairs else "single texts"
        print(f"infer: the model reads {kind}, and infer.texts has others, so no sample is scored", file=sys.stderr)
        write_json(METRICS / "samples.json", [])
        return
    expected = expected_answers(settings.texts, classifier.task, classifier.names)
    answers = classifier([sample.text for sample in settings.texts])
    for sample, answer_expected, answer in zip(settings.texts, expected, answers, strict=True):
        if answer[0] is None:
            raise InputError(
                f"params.yaml: infer.texts: the tokenizer finds nothing to read in {sample.text!r:.40}; change the text"
            )
        result = {"text": sample.text} if with_texts else {}
        result |= named_parts(classifier.parts, answer)
        results.append(result if answer_expected is None else result | {"expected": answer_expected})
    write_json(METRICS / "samples.json", results)


def expected_answers(samples: list[Sample], task: Task, names: list[str]) -> list[Any]:
    """Return the first part of the expected answer to each sample, None for a sample without one.

    If the model can give none of the expected answers, the samples belong to another data set. A line on stderr says
    so, and no sample has an expected answer.

    Args:
        samples: The samples of params.yaml.
        task: The model's task.
        names: The names of the model's labels.

    Raises:
        InputError: The model can give some of the expected answers, and not others.
    """
    labels = [sample.label for sample in samples]
    expected = [None if label is None else task.expected_answer(label, names) for label in labels]
    unknown = [number for number, label in enumerate(labels) if label is not None and expected[number] is None]
    if not unknown:
        return expected
    if all(answer in (None, []) for answer in expected):  # [], no label, is a possible answer of any multi-label model
        print("infer: the labels of infer.texts are not the model's, so the samples are not marked", file=sys.stderr)
        return [None] * len(samples)
    label = labels[unknown[0]]
    near = difflib.get_close_matches(str(label), names, n=1) or names[:10]
    fix = f"did you mean {' or '.join(near)}?" if len(names) > 1 else "give a number"
    raise InputError(f"params.yaml: infer.texts.{unknown[0]}.label: the model has no label {label!r}; {fix}")


if __name__ == "__main__":
    main(infer)
