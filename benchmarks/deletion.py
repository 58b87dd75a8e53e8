"""Measure the confidence that a label loses without the words that speak most for it, by the explanation.

    make deletion

For 200 validation texts of the trained default, the confidence in the label is measured twice: without the five words
that speak most for the label, and without five words drawn at random from those that the model reads.
"""

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmarks.record import Record
from classifier.files.places import RAW
from classifier.predict.classifier import Classifier
from classifier.predict.explanation import MARKED, explain_label
from classifier.runner.command import no_arguments

TEXTS = 200
WHAT = (
    "How far the probability of the label falls if five words are taken out of a validation review: the five that "
    "speak most for the label, or five drawn at random; means over the reviews."
)
FORMATS = {
    **{"reviews": ",d", "fall without the five": ".3f", "fall without random words": ".3f"},
    **{"falls more without the five": ".1%", "p (Wilcoxon)": ".0e", "largest gap": ".2%"},
}


def without(words: list[str], places: np.ndarray) -> str:
    """Return the text without the words at these places."""
    return " ".join(word for place, word in enumerate(words) if place not in set(places))


def confidence_lost(classifier: Classifier, text: str, rng: np.random.Generator) -> dict[str, float]:
    """Return the confidence in its label that a text loses without some words, and the gap of its explanation.

    Returns:
        marked: the loss without the words with the largest attributions. (`--explain` marks the largest absolute
            attributions, so it also marks words against the label.)
        drawn: the loss without words drawn at random.
        gap: how far the sum of the attributions is from the difference that they explain, as a share of it.
    """
    explained = explain_label(classifier.model, classifier.tokenizer, text)
    attributions = np.array(explained.attributions)
    read = np.flatnonzero(attributions)  # places of the words that the model reads
    marked = np.argsort(-attributions)[:MARKED]
    drawn = rng.choice(read, min(MARKED, len(read)), replace=False)
    shortened = classifier.probabilities([without(explained.words, places) for places in (marked, drawn)])
    lost = explained.confidence - shortened[:, classifier.model.config.label2id[explained.label]]
    return {"marked": lost[0], "drawn": lost[1], "gap": explained.gap}


def main() -> None:
    """Record the mean losses of confidence, a Wilcoxon test of their difference, and the largest gap."""
    no_arguments("python -m benchmarks.deletion", "make deletion")
    from scipy.stats import wilcoxon

    record, classifier, rng = Record("deletion", WHAT), Classifier(), np.random.default_rng(0)
    texts = pd.read_parquet(RAW / "validation.parquet")["text"]
    texts = texts[texts.str.split().str.len() > MARKED][:TEXTS]  # of a shorter text nothing would be left
    table = pd.DataFrame([confidence_lost(classifier, text, rng) for text in tqdm(texts, disable=None)])
    test = wilcoxon(table["marked"], table["drawn"], alternative="greater")
    values = (
        *(len(table), table["marked"].mean(), table["drawn"].mean()),
        *((table["marked"] > table["drawn"]).mean(), test.pvalue, table["gap"].max()),
    )
    record.write(pd.DataFrame([dict(zip(FORMATS, values, strict=True))]), FORMATS)


if __name__ == "__main__":
    main()
