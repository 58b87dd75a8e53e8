"""Test whether data/doubtful_labels.csv finds wrong labels: flip one in ten of the default's train labels.

    make planted

The pipeline's correction table flips the labels, and later corrects them, in a clone of the last commit. A flipped
label is corrected if its text is in the list, as a reader of the list would do. The encoder is not trained: the
accuracy is the baseline's, on the test texts.
"""

from pathlib import Path

import pandas as pd

from benchmarks.clone import in_clone
from benchmarks.record import Record
from classifier.files.formats import read_json
from classifier.files.places import DOUBTFUL, LOCAL, METRICS, RAW
from classifier.runner.command import no_arguments
from classifier.runner.params import stage_function
from classifier.runner.run import run
from classifier.text.duplicates import text_hash

SHARE = 0.1
CORRECTIONS = "corrections.csv"
FLIPPED = f"where {SHARE:.0%} of the default's train labels were flipped"
LISTED = f"The texts in data/doubtful_labels.csv {FLIPPED}: how many of them have a flipped label."
ACCURACY = f"Accuracy of TF-IDF and logistic regression on the default's test texts, {FLIPPED}."


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
    """Record how many of the listed texts have a planted error, and the accuracies."""
    no_arguments("python -m benchmarks.planted_errors", "make planted")
    from dvc.utils.hydra import apply_overrides

    record, accuracy = (
        Record("planted_errors", what, file) for what, file in ((LISTED, None), (ACCURACY, "planted_errors_accuracy"))
    )
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
    parts = {f"the first {count}": is_planted[:count] for count in (100, 300, len(planted))} | {"all": is_planted}
    rows = [
        {"part of the list": name, "texts": len(part), "with a flipped label": part.sum(), "share": part.mean()}
        for name, part in parts.items()
    ]
    formats = {"part of the list": "", "texts": ",d", "with a flipped label": ",d", "share": ".1%"}
    record.write(pd.DataFrame(rows), formats)
    by_labels = {
        **{"as they are": clean, f"{len(planted)} flipped": noisy},
        f"those of the {len(planted)} corrected that the list has": corrected,
    }
    table = pd.DataFrame(by_labels.items(), columns=["train labels", "accuracy"])
    accuracy.write(table, {"train labels": "", "accuracy": ".1%"})


if __name__ == "__main__":
    main()
