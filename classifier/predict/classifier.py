"""The trained classifier on texts in memory."""

import itertools
from collections.abc import Iterable, Mapping

from classifier.errors import InputError
from classifier.predict.threshold import confidence_needed
from classifier.text.cleaning import blank, is_encodable
from classifier.text.encoding import encode, special_ids

UNCERTAIN = "uncertain"  # in place of a label whose confidence is too low


Answer = tuple[str | None, float | None]  # label and confidence; None of a text that is missing or blank


class Classifier:
    """models/adapter, loaded once: `classifier(texts) -> [(label, confidence), ...]`.

    min_confidence: below it the label is UNCERTAIN. min_accuracy, in its place: a share of the other answers that is
    right (see threshold.py). Raises InputError if the model is missing, or for a share that is none.
    """

    def __init__(self, min_confidence: float = 0.0, min_accuracy: float | None = None):
        from classifier.model.loading import load_classifier

        min_confidence = confidence_needed(min_confidence, min_accuracy)
        self.model, self.tokenizer = load_classifier()
        self.min_confidence = min_confidence
        if min_confidence and UNCERTAIN in self.model.config.label2id:
            raise InputError(f"the data set has a label {UNCERTAIN!r} of its own; leave the threshold out")

    def __call__(self, texts: str | Iterable[str | None]) -> Answer | list[Answer]:
        """The answer to a text, or those to an iterable of texts, such as a column of pandas, NumPy, Arrow or datasets.

        Raises InputError for what is no text.
        """
        if isinstance(texts, str):
            return self([texts])[0]
        texts = listed_texts(texts)
        windows = self.windows([text or "" for text in texts])
        said = [bool(text and not blank(text) and read) for text, read in zip(texts, windows, strict=True)]
        if not any(said):
            return [(None, None)] * len(texts)
        rows = iter(self.by_windows(list(itertools.compress(windows, said))))
        return [self.answer(next(rows)) if each else (None, None) for each in said]

    def windows(self, texts: list[str]) -> list[list[list[int]]]:
        """The token ids of each text's windows; none of a text in which the tokenizer finds nothing to read."""
        encoded = encode(texts, self.tokenizer, **self.model.config.tokenize)
        special = special_ids(self.tokenizer)
        return [[] if special.issuperset(of_text[0]) else of_text for of_text in encoded]

    def probabilities(self, texts: list[str]):
        """(texts, labels) float64, of texts that are not blank."""
        return self.by_windows(self.windows(texts))

    def by_windows(self, windows: list[list[list[int]]]):
        """(texts, labels) float64, of texts that each have a window."""
        import numpy as np
        from scipy.special import softmax

        from classifier.model.forward import logits, mean_by_text

        places = np.repeat(np.arange(len(windows)), [len(of_text) for of_text in windows])
        scores = logits(self.model, [np.array(ids) for of_text in windows for ids in of_text])
        return softmax(mean_by_text(scores, places).astype(np.float64), axis=1)

    def answer(self, probabilities) -> Answer:
        """(label, confidence) by the probabilities, (labels,), of one text."""
        label, confidence = self.model.config.id2label[probabilities.argmax()], float(probabilities.max())
        return (label if confidence >= self.min_confidence else UNCERTAIN), confidence


def listed_texts(given: Iterable) -> list[str | None]:
    """The texts of an iterable, None for a missing one: None, NaN, pandas' NA, Arrow's null, what NumPy masks.

    Raises InputError for what is no text, or no iterable of values.
    """
    import numpy as np
    import pandas as pd

    one_by_one = isinstance(given, Iterable) and getattr(given, "ndim", 1) == 1
    if not one_by_one or isinstance(given, bytes | bytearray | Mapping):
        raise InputError(f"a text, or a list or a column of texts, is needed, not {type(given).__name__}")
    texts = [value.as_py() if hasattr(value, "as_py") else value for value in given]
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            missing = text is np.ma.masked or (pd.api.types.is_scalar(text) and pd.isna(text))
            if not missing:
                shown = " ".join(repr(text).split())
                raise InputError(f"text {number + 1} of {len(texts)}: {shown:.40} is no text; give it as a string")
            texts[number] = None
        elif not is_encodable(text):
            raise InputError(f"text {number + 1} of {len(texts)}: {text!a:.60}: half of a character; give it whole")
    return texts
