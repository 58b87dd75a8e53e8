"""The trained classifier for texts in memory."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from classifier.errors import InputError
from classifier.predict.threshold import required_confidence
from classifier.text.cleaning import is_blank, is_encodable
from classifier.text.encoding import encode
from classifier.text.pairs import Text, parts

UNCERTAIN = "uncertain"  # the label of an answer whose confidence is below the threshold
Answer = tuple[str | None, float | None]  # (label, confidence); (None, None) for a text with nothing to read


class Classifier:
    """The trained classifier of models/base and models/adapter.

    Create one instance and call it with one text or with many. Creating it loads the model, which takes seconds. The
    confidence in an answer is the calibrated probability of its label. The same text can get a confidence that differs
    in the last digits when other texts are scored in the same call. A model that was trained on pairs of texts takes a
    tuple of two strings in place of each text.

    Args:
        min_confidence: Give the label "uncertain" to answers whose confidence is below this share, from 0 to 1. The
            default 0 leaves every label as it is.
        min_accuracy: Choose `min_confidence` so that at least this share, between 0 and 1, of the answers that keep
            their label is right. The validation rows decide, with a probability of error of at most 5%; see
            classifier/predict/threshold.py. Give either `min_accuracy` or `min_confidence`.

    Attributes:
        model: The network, a transformers model in evaluation mode.
        tokenizer: The tokenizer of the network.
        reads_pairs: Whether the model was trained on pairs of texts.
        min_confidence: The threshold in use.

    Raises:
        InputError: The model is missing; a share is out of range; both shares are given; the validation rows show no
            threshold that reaches `min_accuracy`; or a threshold is set although a label of the data set is called
            "uncertain".

    Example:
        >>> from classifier.predict import Classifier
        >>> classifier = Classifier(min_confidence=0.9)
        >>> label, confidence = classifier("This movie was fantastic! I loved it.")
        >>> print(f"{label}, {confidence:.1%}")
        positive, 99.8%
        >>> texts = ["The film was boring and too long.", "", None]
        >>> [label for label, _ in classifier(texts)]
        ['negative', None, None]
    """

    def __init__(self, min_confidence: float = 0.0, min_accuracy: float | None = None):
        from classifier.model.loading import load_classifier

        min_confidence = required_confidence(min_confidence, min_accuracy)
        self.model, self.tokenizer = load_classifier()
        self.min_confidence = min_confidence
        self.reads_pairs = getattr(self.model.config, "pair", False)
        if min_confidence and UNCERTAIN in self.model.config.label2id:
            raise InputError(f"the data set has a label {UNCERTAIN!r} of its own; leave the threshold out")

    def __call__(self, texts: Text | Iterable[Text | None]) -> Answer | list[Answer]:
        """Return the answer to one text, or a list of answers to several texts.

        Args:
            texts: One string, or an iterable of strings: a list, a generator, or a column of pandas, NumPy, Arrow or
                datasets. A missing text is None, NaN, pandas' NA, Arrow's null or a masked value of NumPy.
                For pairs, one tuple of two strings, or an iterable of such tuples or lists.

        Returns:
            (label, confidence), or a list of such pairs in the order of the texts. The pair is (None, None) for a text
            that is missing or blank, for a text in which the tokenizer finds nothing to read, and for a pair with such
            a text.

        Raises:
            InputError: A value is not a text, or is one where the model reads pairs, or `texts` is not an iterable.
        """
        if is_one_pair(texts) if self.reads_pairs else isinstance(texts, str):
            return self([texts])[0]
        texts = list_of_pairs(texts) if self.reads_pairs else [text or "" for text in list_of_texts(texts)]
        windows = self.token_windows(texts)
        readable = [bool(ids) and not any(map(is_blank, parts(text))) for text, ids in zip(texts, windows, strict=True)]
        if not any(readable):
            return [(None, None)] * len(texts)
        rows = iter(self.window_probabilities(list(itertools.compress(windows, readable))))
        return [self.answer(next(rows)) if is_readable else (None, None) for is_readable in readable]

    def token_windows(self, texts: list[Text]) -> list[list[list[int]]]:
        """Return the token ids of each text's windows.

        A long text has several windows, whose logits are averaged. A text in which the tokenizer finds nothing but
        special tokens has no window.
        """
        return encode(texts, self.tokenizer, **self.model.config.tokenize)

    def probabilities(self, texts: list[Text]):
        """Return the probability of each label, (texts, labels) float64, for texts that are not blank."""
        return self.window_probabilities(self.token_windows(texts))

    def window_probabilities(self, windows: list[list[list[int]]]):
        """Return the probability of each label, (texts, labels) float64, from each text's windows, at least one."""
        import numpy as np
        from scipy.special import softmax

        from classifier.model.forward import logits, mean_by_text

        text_numbers = np.repeat(np.arange(len(windows)), [len(text_windows) for text_windows in windows])
        scores = logits(self.model, [np.array(ids) for text_windows in windows for ids in text_windows])
        return softmax(mean_by_text(scores, text_numbers).astype(np.float64), axis=1)

    def answer(self, probabilities) -> Answer:
        """Return (label, confidence) from the probabilities, (labels,), of one text."""
        label, confidence = self.model.config.id2label[probabilities.argmax()], float(probabilities.max())
        return (label if confidence >= self.min_confidence else UNCERTAIN), confidence


def list_of_texts(values: Iterable) -> list[str | None]:
    """Return the values of an iterable as a list of strings, with None for each missing text.

    Raises:
        InputError: A value is neither a string nor missing, a string has a lone surrogate, or `values` is not a
            one-dimensional iterable of values.
    """
    import numpy as np
    import pandas as pd

    one_dimensional = isinstance(values, Iterable) and getattr(values, "ndim", 1) == 1
    if not one_dimensional or isinstance(values, bytes | bytearray | Mapping):
        raise InputError(f"a text, or a list or column of texts, is needed, not {type(values).__name__}")
    texts = [value.as_py() if hasattr(value, "as_py") else value for value in values]  # as_py: Arrow's scalars
    for number, text in enumerate(texts):
        place = f"text {number + 1} of {len(texts)}"
        if not isinstance(text, str):
            missing = text is np.ma.masked or (pd.api.types.is_scalar(text) and pd.isna(text))
            if not missing:
                raise InputError(f"{place}: {' '.join(repr(text).split()):.40} is not a text; give a string")
            texts[number] = None
        elif not is_encodable(text):
            raise InputError(f"{place}: {text!a:.60}: half of a character (a lone surrogate); give the whole character")
    return texts


def is_one_pair(values: Any) -> bool:
    """Return whether a value is one pair of texts, and not a tuple of pairs."""
    return isinstance(values, tuple) and len(values) == 2 and not any(isinstance(part, tuple | list) for part in values)


def list_of_pairs(values: Any) -> list[tuple[str, str]]:
    """Return the pairs of an iterable as a list of tuples, with "" for each missing text.

    Raises:
        InputError: A value is no pair, or a text of a pair is one that `list_of_texts` refuses.
    """
    is_single = isinstance(values, str) or not isinstance(values, Iterable)
    pairs = [("", "") if value is None else value for value in ([values] if is_single else values)]
    for number, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            shown = f"{' '.join(repr(pair).split()):.40}"
            fix = "the model reads pairs of texts; give a tuple of two strings"
            raise InputError(f"text {number + 1} of {len(pairs)}: {shown} is no pair; {fix}")
    columns = (list_of_texts([pair[place] for pair in pairs]) for place in (0, 1))
    return [(first or "", second or "") for first, second in zip(*columns, strict=True)]
