"""The trained classifier for texts in memory."""

import itertools
from collections.abc import Iterable
from typing import Any

from classifier.errors import InputError
from classifier.predict.sets import required_bounds
from classifier.predict.texts import is_one_pair, list_of_pairs, list_of_texts
from classifier.predict.threshold import required_confidence
from classifier.tasks.single_label import UNCERTAIN
from classifier.tasks.task import TASKS
from classifier.text.cleaning import is_blank
from classifier.text.encoding import encode
from classifier.text.pairs import Text, parts

Answer = tuple  # `Classifier.parts` names its items, such as (label, confidence); all are None for a missing text


class Classifier:
    """The trained classifier of models/base and models/adapter.

    Create one instance and call it with one text or with many. Creating it loads the model, which takes seconds. The
    confidence in an answer is the calibrated probability of its label. The same text can get a confidence that differs
    in the last digits when other texts are scored in the same call. A model that was trained on pairs of texts takes a
    tuple of two strings in place of each text.

    An answer has the parts that the task's ANSWER in classifier/tasks/ names: (label, confidence) for single labels,
    (labels, confidences) for several labels, (value, low, high) for numbers, and (rating, confidence, expected_value)
    for ratings. With `sets`, an answer of labels or ratings has one part more, the list of the labels in its set.

    Args:
        min_confidence: Give the label "uncertain", or the rating None, to answers whose confidence is below this share,
            from 0 to 1. The default 0 leaves every answer as it is.
        min_accuracy: Choose `min_confidence` so that at least this share, between 0 and 1, of the answers that keep
            their label is right. The validation rows decide, with a probability of error of at most 5%; see
            classifier/predict/threshold.py. Give either `min_accuracy` or `min_confidence`.
        precision: The precision of the scoring: fp32, bf16 or auto. auto takes bf16 where the device multiplies in
            bf16, which is faster there, and fp32 elsewhere. bf16 changes the second or third decimal of a confidence.
            `min_accuracy` chooses the threshold by confidences in fp32.
        sets: Add a prediction set to each answer. For at least this share of the texts, between 0 and 1, the set has
            the right label. If a text can have several labels, this holds for each label, among the texts that have
            the label. An answer that is a number gets no set; its interval is made for this share. The validation rows
            decide, with a probability of error of at most 5%; see classifier/predict/sets.py. None adds no set.

    Attributes:
        model: The network, a transformers model in evaluation mode.
        tokenizer: The tokenizer of the network.
        reads_pairs: Whether the model was trained on pairs of texts.
        task: The task, a module of classifier/tasks/.
        names: The names of the labels.
        min_confidence: The threshold in use.
        sets: The share for which sets are made, or None.
        parts: The name and the pyarrow type of each part of an answer.
        decision: Values such as thresholds and the bounds of the sets, by which scores become answers.

    Raises:
        InputError: The model is missing; a share is out of range; `min_confidence` and `min_accuracy` are both given;
            the precision has another value; the validation rows show no threshold that reaches `min_accuracy`, or are
            too few for `sets`; a threshold is set, and the answers are numbers or a label of the data set is called
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

    def __init__(
        self,
        min_confidence: float = 0.0,
        min_accuracy: float | None = None,
        precision: str = "fp32",
        sets: float | None = None,
    ):
        import numpy as np

        from classifier.model.loading import load_classifier

        min_confidence = required_confidence(min_confidence, min_accuracy)
        bounds = None if sets is None else required_bounds(sets)
        self.model, self.tokenizer = load_classifier(precision)
        self.task, self.min_confidence, self.sets = TASKS[self.model.config.task], min_confidence, sets
        self.names = list(self.model.config.id2label.values())
        self.reads_pairs = getattr(self.model.config, "pair", False)
        if min_confidence and UNCERTAIN in self.model.config.label2id:
            raise InputError(f"the data set has a label {UNCERTAIN!r} of its own; leave the threshold out")
        self.parts, self.decision = self.task.ANSWER, self.model.config.decision
        if bounds is not None:
            self.parts, self.decision = self.parts | self.task.SET, self.task.with_bounds(self.decision, bounds)
        no_scores = np.zeros((0, len(self.names)))  # a task without confidences refuses a threshold
        self.task.answers(no_scores, self.names, self.decision, min_confidence)

    def __call__(self, texts: Text | Iterable[Text | None]) -> Answer | list[Answer]:
        """Return the answer to one text, or a list of answers to several texts.

        Args:
            texts: One string, or an iterable of strings: a list, a generator, or a column of pandas, NumPy, Arrow or
                datasets. A missing text is None, NaN, pandas' NA, Arrow's null or a masked value of NumPy.
                For pairs, one tuple of two strings, or an iterable of such tuples or lists.

        Returns:
            An answer, or a list of answers in the order of the texts. All parts of an answer are None for a text that
            is missing or blank, for a text in which the tokenizer finds nothing to read, and for a pair with such a
            text.

        Raises:
            InputError: A value is not a text or, for a model that reads pairs, not a pair; a text has a lone surrogate;
                or `texts` is not a one-dimensional iterable.
        """
        if is_one_pair(texts) if self.reads_pairs else isinstance(texts, str):
            return self([texts])[0]
        return self.answers_and_features(texts, with_features=False)[0]

    def answers_and_features(
        self, texts: Iterable[Text | None], with_features: bool = True
    ) -> tuple[list[Answer], list[Any]]:
        """Return the answers to several texts as a call does, and the features of each text.

        The features are the inputs of the network's last layer, an array of (width,); None for a text without an
        answer. with_features: whether to keep them.
        """
        texts = list_of_pairs(texts) if self.reads_pairs else [text or "" for text in list_of_texts(texts)]
        windows = self.token_windows(texts)
        readable = [bool(ids) and not any(map(is_blank, parts(text))) for text, ids in zip(texts, windows, strict=True)]
        nothing = (None,) * len(self.parts)
        if not any(readable):
            return [nothing] * len(texts), [None] * len(texts)
        scores, features = self.scores_and_features(list(itertools.compress(windows, readable)), with_features)
        rows, vectors = zip(*self.answers(scores).values(), strict=True), iter(features)
        answers = [next(rows) if is_readable else nothing for is_readable in readable]
        return answers, [next(vectors) if is_readable else None for is_readable in readable]

    def token_windows(self, texts: list[Text]) -> list[list[list[int]]]:
        """Return the token ids of each text's windows.

        A long text has several windows, whose logits are averaged. A text in which the tokenizer finds nothing but
        special tokens has no window.
        """
        return encode(texts, self.tokenizer, **self.model.config.tokenize)

    def probabilities(self, texts: list[Text]):
        """Return the probability of each label, (texts, labels) float64.

        Raises InputError if the answers are numbers, or if the tokenizer finds nothing to read in a text.
        """
        import numpy as np

        windows = self.token_windows(texts)
        if unreadable := [number for number, ids in enumerate(windows, start=1) if not ids]:
            raise InputError(f"text {unreadable[0]}: the tokenizer finds nothing to read in it; leave it out")
        columns = self.prediction_columns(windows)
        by_label = [columns.get(f"probability_{name}") for name in self.names]
        if by_label[0] is None:
            raise InputError("a number has an interval in place of probabilities; call the classifier itself")
        return np.column_stack(by_label)

    def prediction_columns(self, windows: list[list[list[int]]]) -> dict:
        """Return the task's columns of predictions (see classifier/tasks/) from the windows of texts.

        windows: The token ids of the windows, for each text; a text without a window is not allowed.
        """
        return self.task.prediction_columns(self.scores(windows), self.names, self.decision)

    def answers(self, scores) -> dict[str, list]:
        """Return the parts of the answers, by the names of `parts`, from the calibrated logits."""
        return self.task.answers(scores, self.names, self.decision, self.min_confidence)

    def scores(self, windows: list[list[list[int]]]):
        """Return the calibrated logits, (texts, names) float64. windows: as in `prediction_columns`."""
        return self.scores_and_features(windows, with_features=False)[0]

    def scores_and_features(self, windows: list[list[list[int]]], with_features: bool = True) -> tuple:
        """Return the calibrated logits as `scores` does, and the features, (texts, width) float32.

        Without `with_features` the width is 0.
        """
        import numpy as np

        from classifier.model.forward import logits_and_features, mean_by_text

        text_numbers = np.repeat(np.arange(len(windows)), [len(text_windows) for text_windows in windows])
        rows = [np.array(ids) for text_windows in windows for ids in text_windows]
        scores, features = logits_and_features(self.model, rows, with_features=with_features)
        return mean_by_text(scores, text_numbers).astype(np.float64), mean_by_text(features, text_numbers)
