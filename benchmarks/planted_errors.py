"""Whether data/doubtful_labels.csv finds wrong labels: one in ten of the default's train labels turned round.

    make planted

In a clone of the last commit, by the pipeline's own corrections: first the errors are planted, then those of the listed
texts that a reader would find wrong, for they were planted, are corrected. The encoder is not trained; the accuracy is
the baseline's, on the test texts.
"""

import os
import subprocess
import tempfile
from pathlib import Path

import pandas as pd

from classifier.dataset.corrections import hexadecimal
from classifier.files.formats import read_json
from classifier.files.places import DOUBTFUL, LOCAL, METRICS, RAW
from classifier.runner.command import no_arguments
from classifier.runner.params import stage_function
from classifier.runner.run import run

SHARE = 0.1
CORRECTIONS = "corrections.csv"


def accuracy() -> float:
    """The baseline's, after `data` and `baseline`."""
    for name in ("data", "baseline"):
        run(stage_function(name))
    return read_json(METRICS / "baseline.json")["test_accuracy"]


def main() -> None:
    no_arguments("python -m benchmarks.planted_errors", "make planted")
    from dvc.utils.hydra import apply_overrides

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", ".", folder], check=True)
        os.chdir(folder)
        clean = accuracy()
        train = pd.read_parquet(RAW / "train.parquet")
        hashes = train["text"].map(hexadecimal)
        labels = pd.Series(["positive", "negative"]).reindex(train["label"]).set_axis(hashes)  # the other ones
        planted = labels.sample(frac=SHARE, random_state=0)

        def correct(rows: pd.Series) -> float:
            rows.rename_axis("hash").rename("label").to_csv(LOCAL / CORRECTIONS)
            return accuracy()

        apply_overrides(Path("params.yaml"), [f"+datasets.imdb-wheel.corrections={CORRECTIONS}"])
        noisy = correct(planted)
        listed = pd.read_csv(DOUBTFUL)["hash"]
        found = listed.isin(planted.index)
        corrected = correct(planted.drop(listed[found]))
    print(f"{len(planted)} of {len(train):,} labels turned round; {len(listed)} listed, {found.sum()} of them planted")
    for first in (100, 300, len(planted)):
        print(f"  of the first {first}: {found[:first].mean():.1%}")
    print(f"Baseline's accuracy: {clean:.1%} before, {noisy:.1%} with the errors, {corrected:.1%} with those corrected")


if __name__ == "__main__":
    main()
