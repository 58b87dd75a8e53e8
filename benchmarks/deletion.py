"""Measure the confidence that a label loses without the words that speak most for it, by the explanation.

    make deletion

For 200 validation texts of the trained default, the confidence in the label is measured twice: without the five words
that speak most for the label, and without five words drawn at random from those that the model reads.
"""

import numpy as np
import pandas as pd
from tqdm import tqdm

from classifier.files.places import RAW
from classifier.predict.classifier import Classifier
from classifier.predict.explanation import MARKED, explain_label
from classifier.runner.command import no_arguments

TEXTS = 200


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
    """Print the mean losses of confidence, a Wilcoxon test of their difference, and the largest gap."""
    no_arguments("python -m benchmarks.deletion", "make deletion")
    from scipy.stats import wilcoxon

    classifier, rng = Classifier(), np.random.default_rng(0)
    texts = pd.read_parquet(RAW / "validation.parquet")["text"][:TEXTS]
    table = pd.DataFrame([confidence_lost(classifier, text, rng) for text in tqdm(texts, disable=None)])
    test = wilcoxon(table["marked"], table["drawn"], alternative="greater")
    print(f"Mean loss of confidence of {len(table)} texts without {MARKED} words:")
    print(f"  the words that speak most for the label  {table['marked'].mean():.3f}")
    print(f"  words drawn at random                    {table['drawn'].mean():.3f}")
    more = (table["marked"] > table["drawn"]).mean()
    print(f"Texts that lose more without the first words: {more:.1%} (Wilcoxon: p = {test.pvalue:.1g})")
    print(f"Largest gap between the attributions' sum and what they explain: {table['gap'].max():.2%}")


if __name__ == "__main__":
    main()
