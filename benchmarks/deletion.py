"""Whether the words that an explanation marks matter: what the confidence loses without them, against as many others.

    make deletion

For 200 validation texts of the trained default: the label's confidence without the five words that speak most for it,
and without five that are drawn from those the model has read.
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
    return " ".join(word for place, word in enumerate(words) if place not in set(places))


def main() -> None:
    no_arguments("python -m benchmarks.deletion", "make deletion")
    from scipy.stats import wilcoxon

    classifier, rng, rows = Classifier(), np.random.default_rng(0), []
    texts = pd.read_parquet(RAW / "validation.parquet")["text"][:TEXTS]
    for text in tqdm(texts, disable=None):
        found = explain_label(classifier.model, classifier.tokenizer, text)
        attributions = np.array(found.attributions)
        places = {
            "marked": np.argsort(-attributions)[:MARKED],
            "drawn": rng.choice(read := np.flatnonzero(attributions), min(MARKED, len(read)), replace=False),
        }
        shortened = classifier.probabilities([without(found.words, which) for which in places.values()])
        lost = found.confidence - shortened[:, classifier.model.config.label2id[found.label]]
        rows.append(dict(zip(places, lost, strict=True)) | {"gap": found.gap})
    table = pd.DataFrame(rows)
    test = wilcoxon(table["marked"], table["drawn"], alternative="greater")
    print(f"Confidence lost by {len(table)} texts in the mean, without {MARKED} words:")
    print(f"  those that speak most for the label  {table['marked'].mean():.3f}")
    print(f"  drawn ones                           {table['drawn'].mean():.3f}")
    print(f"More without the former: {(table['marked'] > table['drawn']).mean():.1%} (Wilcoxon: p = {test.pvalue:.1g})")
    print(f"Largest gap between the attributions' sum and what they explain: {table['gap'].max():.2%}")


if __name__ == "__main__":
    main()
