"""The texts: read from their source, checked, deduplicated and split.

In:  the selected entry of `datasets:` in params.yaml.
Out: data/raw/{train,validation,test}.parquet with columns text and label (an index into the label names,
     which stand in the schema's metadata), and metrics/data.json. Where the test split is the source's own, test has
     a column in_train as well: whether the text also stands in the source's train split.

Two texts are equal if they are so after folding case, white space and the ways in which Unicode writes an accent. Of
equal texts the first is kept; those with several labels are counted, and left out if the data set's entry says so. A
text that also stands in the source's own test or validation split is dropped from train, never from test. Texts are
kept as they are: cleaning is tokenize's business.

The source is read twice: to check every row and to know its text by a digest, then to write the rows that were
chosen. So memory grows with the number of rows, by 156 bytes each, and not with the texts.
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from classifier.dataset.checking import read_split
from classifier.dataset.corrections import correct, read_corrections
from classifier.dataset.gathering import write_splits
from classifier.dataset.splitting import check_every_label, choose, without_overlaps
from classifier.errors import InputError
from classifier.files.formats import write_json
from classifier.files.places import LOCAL, METRICS
from classifier.params.catalogue import Dataset
from classifier.params.settings import Param, Settings
from classifier.runner.run import main
from classifier.sources.dataset import source_files


class DataSettings(Settings):
    """The section `data` of params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]


def data(
    *,
    settings: Annotated[DataSettings, Param("data")],
    dataset: Annotated[Dataset, Param("datasets.${dataset}")],
) -> None:
    """Read, check, deduplicate, split, write."""
    files = source_files(dataset)
    read = [path for paths in files.values() for path in paths]
    read += [LOCAL / dataset.corrections] if dataset.corrections else []
    before = changes(read)

    def check_unchanged() -> None:
        if changes(read) != before:  # the rows of one reading are not those of the other, and DVC looks at the end
            raise InputError(f"{files['train'][0].parent}: a file changed while it was read; `dvc repro`")

    rows = {name: read_split(paths, dataset) for name, paths in files.items()}
    corrections = read_corrections(rows["train"], dataset) if dataset.corrections else None
    settled = [] if corrections is None else corrections.index
    given, counts = without_overlaps(rows, dataset.conflicts, settled)
    del rows
    several = f" ({counts['conflicting_texts']} texts have several labels)" if counts["conflicting_texts"] else ""
    check_every_label(given["train"]["label"], dataset, files["train"][0], needed=4 - len(given), beside=several)
    if "validation" in given:
        check_every_label(given["validation"]["label"], dataset, files["validation"][0], needed=1)
    splits = choose(given, dataset, settings.seed)
    if corrections is not None:
        splits["train"], corrected = correct(splits["train"], corrections)
        counts |= corrected
        check_every_label(splits["train"]["label"], dataset, files["train"][0], needed=1)
    write_splits(files, splits, dataset, check_unchanged)
    write_json(METRICS / "data.json", summary(splits, counts, dataset.labels))


def changes(files: list[Path]) -> dict[Path, int]:
    """When each file that is there was last written, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in files if path.is_file()}


def summary(splits: dict[str, pd.DataFrame], counts: dict[str, int], labels: list[str]) -> dict:
    """What one looks at first: sizes, what was dropped, balance, lengths in words."""
    words = pd.concat([split["words"] for split in splits.values()])
    return {
        **{name: len(split) for name, split in splits.items()},
        **counts,
        **{
            f"{name}_share_{label}": round(float((split["label"] == number).mean()), 4)
            for name, split in splits.items()
            for number, label in enumerate(labels)
        },
        **{f"words_p{percent}": int(words.quantile(percent / 100)) for percent in (5, 50, 95, 100)},
    }


if __name__ == "__main__":
    main(data)
