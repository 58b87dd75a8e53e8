"""Test whether data/doubtful_labels.csv finds wrong labels: flip one in ten of the default's train labels.

    make planted

The pipeline's correction table flips the labels, and later corrects them, in a clone of the last commit. A flipped
label is corrected if its text is in the list, as a reader of the list would do. The encoder is not trained: the
accuracy is the baseline's, on the test texts.
"""

from pathlib import Path

import pandas as pd

from benchmarks.clone import in_clone
from classifier.files.formats import read_json
from classifier.files.places import DOUBTFUL, LOCAL, METRICS, RAW
from classifier.runner.command import no_arguments
from classifier.runner.params import stage_function
from classifier.runner.run import run
from classifier.text.duplicates import text_hash

SHARE = 0.1
CORRECTIONS = "corrections.csv"


def baseline_accuracy(corrections: pd.Series | None = None) -> float:
    """Run `data` and `baseline`; return the baseline's accuracy on the test texts.

    corrections: labels by the hash of a text, written as the data set's correction table first.
    """
    if corrections is not None:
        corrections.rename_axis("hash").rename("label").to_csv(LOCAL / CORRECTIONS)
    for name in ("data", "baseline"):
        run(stage_function(name))
    return read_json(METRICS / "baseline.json")["test_accuracy"]


def main() -> None:
    """Print how many of the listed texts have a planted error, and the accuracies."""
    no_arguments("python -m benchmarks.planted_errors", "make planted")
    from dvc.utils.hydra import apply_overrides

    with in_clone():
        clean = baseline_accuracy()
        train = pd.read_parquet(RAW / "train.parquet")
        hashes = train["text"].map(text_hash)
        flipped = pd.Series(["positive", "negative"]).reindex(train["label"]).set_axis(hashes)
        planted = flipped.sample(frac=SHARE, random_state=0)
        apply_overrides(Path("params.yaml"), [f"+datasets.imdb-wheel.corrections={CORRECTIONS}"])
        noisy = baseline_accuracy(planted)
        listed = pd.read_csv(DOUBTFUL)["hash"]
        is_planted = listed.isin(planted.index)
        corrected = baseline_accuracy(planted.drop(listed[is_planted]))
    print(f"{len(planted)} of {len(train):,} labels flipped; {len(listed)} listed, {is_planted.sum()} of them flipped")
    for first in (100, 300, len(planted)):
        print(f"  of the first {first}: {is_planted[:first].mean():.1%}")
    print(f"Baseline's accuracy: {clean:.1%} before, {noisy:.1%} with the errors, {corrected:.1%} with those corrected")


if __name__ == "__main__":
    main()
