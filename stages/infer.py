"""Use the trained classifier: on the sample texts of params.yaml, on the command line, or from Python.

In:  models/base/ and models/adapter/.
Out: metrics/samples.json (as the pipeline's stage, that is without arguments).

    python -m stages.infer "I would watch it again tomorrow."
    >>> from stages.infer import predict
    >>> predict(["I would watch it again tomorrow."])
    [('positive', 0.93)]
"""

from typing import Annotated

from pydantic import Field

from stages.files import METRICS, write_json
from stages.params import run

Text = Annotated[str, Field(min_length=1)]


class Classifier:
    """models/adapter, loaded once: `classifier(texts) -> [(label, confidence), ...]`."""

    def __init__(self):
        from stages.encoder import load_classifier

        self.model, self.tokenizer = load_classifier()

    def __call__(self, texts: list[str]) -> list[tuple[str, float]]:
        import numpy as np
        from scipy.special import softmax

        from stages.encoder import logits
        from stages.tokenize import encode

        if not texts:
            return []
        config = self.model.config
        ids = [np.array(row) for row in encode(texts, self.tokenizer, **config.tokenize)]
        probabilities = softmax(logits(self.model, ids).astype(np.float64), axis=1)
        best = probabilities.argmax(axis=1)
        return [(config.id2label[label], float(row[label])) for label, row in zip(best, probabilities, strict=True)]


def predict(texts: list[str]) -> list[tuple[str, float]]:
    """(label, calibrated confidence) of each text. Loads the model each time; for many calls keep a Classifier.

    Raises InputError if models/base or models/adapter is missing.
    """
    return Classifier()(texts)


def infer(*, texts: Annotated[list[Text], Field(min_length=1)]) -> None:
    """Score the sample texts."""
    answers = predict(texts)
    write_json(
        METRICS / "samples.json",
        [
            {"text": text, "label": label, "confidence": round(confidence, 4)}
            for text, (label, confidence) in zip(texts, answers, strict=True)
        ],
    )


if __name__ == "__main__":
    run(infer)
