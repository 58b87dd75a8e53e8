"""The trained classifier for texts in memory."""

import itertools
from collections.abc import Iterable, Mapping

from classifier.errors import InputError
from classifier.predict.threshold import required_confidence
from classifier.text.cleaning import is_blank, is_encodable
from classifier.text.encoding import encode, special_ids

UNCERTAIN = "uncertain"  # the label of an answer whose confidence is below the threshold
Answer = tuple[str | None, float | None]  # (label, confidence); (None, None) for a text with nothing to read


class Classifier:
    """The trained classifier of models/base and models/adapter.

    Create one instance and call it with one text or with many. Creating it loads the model, which takes seconds. The
    confidence in an answer is the calibrated probability of its label. The same text can get a confidence that differs
    in the last digits when other texts are scored in the same call.

    Args:
        min_confidence: Give the label "uncertain" to answers whose confidence is below this share, from 0 to 1. The
            default 0 leaves every label as it is.
        min_accuracy: Choose `min_confidence` so that at least this share, between 0 and 1, of the answers that keep
            their label is right. The validation rows decide, with a probability of error of at most 5%; see
            classifier/predict/threshold.py. Give either `min_accuracy` or `min_confidence`.

    Attributes:
        model: The network, a transformers model in evaluation mode.
        tokenizer: The tokenizer of the network.
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
        if min_confidence and UNCERTAIN in self.model.config.label2id:
            raise InputError(f"the data set has a label {UNCERTAIN!r} of its own; leave the threshold out")

    def __call__(self, texts: str | Iterable[str | None]) -> Answer | list[Answer]:
        """Return the answer to one text, or a list of answers to several texts.

        Args:
            texts: One string, or an iterable of strings: a list, a generator, or a column of pandas, NumPy, Arrow or
                datasets. A missing text is None, NaN, pandas' NA, Arrow's null or a masked value of NumPy.

        Returns:
            (label, confidence), or a list of such pairs in the order of the texts. The pair is (None, None) for a text
            that is missing or blank, and for a text in which the tokenizer finds nothing to read.

        Raises:
            InputError: A value is not a text, or `texts` is not an iterable of values.
        """
        if isinstance(texts, str):
            return self([texts])[0]
        texts = list_of_texts(texts)
        windows = self.token_windows([text or "" for text in texts])
        readable = [bool(text and not is_blank(text) and ids) for text, ids in zip(texts, windows, strict=True)]
        if not any(readable):
            return [(None, None)] * len(texts)
        rows = iter(self.window_probabilities(list(itertools.compress(windows, readable))))
        return [self.answer(next(rows)) if is_readable else (None, None) for is_readable in readable]

    def token_windows(self, texts: list[str]) -> list[list[list[int]]]:
        """Return the token ids of each text's windows.

        A long text has several windows, whose logits are averaged. A text in which the tokenizer finds nothing but
        special tokens has no window.
        """
        encoded = encode(texts, self.tokenizer, **self.model.config.tokenize)
        special = special_ids(self.tokenizer)
        return [[] if special.issuperset(windows[0]) else windows for windows in encoded]

    def probabilities(self, texts: list[str]):
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
