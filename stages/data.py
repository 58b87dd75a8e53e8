"""Read the texts from their source, check, deduplicate and split them.

In:  the selected entry of `datasets:` in params.yaml.
Out: data/raw/{train,validation,test}.parquet with the columns text and label, and metrics/data.json. For pairs of
     texts, the column text_pair has the second text. A label is, by the data set's task, an index into the label names
     in the schema's metadata, a list of 0 and 1 for these names, or a number. If the source has a test split, test also
     has the column in_train: whether the text is in the source's train split as well. If the entry has `slices`, test
     also has their columns, with texts.

Two texts are duplicates if they are equal after folding case, white space and the ways in which Unicode writes an
accent. The first of them is kept. Texts with several labels are counted, and dropped if the data set's entry says so. A
text of the source's test or validation split is dropped from train, and a text of its test split from validation; test
keeps all its texts. If the entry has a `group`, no group is in two splits. Rows without a label or a text are refused,
or left out if the entry's `drop` says so. The texts are written as they are: the stage `tokenize` cleans them.

The source is read twice: first to check every row and to compute a digest of its text, then to write the chosen rows.
So memory grows by 156 bytes for each row, however long the texts are.
"""

from typing import Annotated

import pandas as pd
from pydantic import Field

from classifier.dataset.corrections import apply_corrections
from classifier.dataset.gathering import write_splits
from classifier.dataset.selection import read_source
from classifier.dataset.splitting import check_every_label, draw_splits
from classifier.files.formats import write_json
from classifier.files.places import METRICS
from classifier.params.datasets import Dataset
from classifier.params.settings import Param, Settings
from classifier.runner.run import main
from classifier.tasks.task import TASKS


class DataSettings(Settings):
    """The section `data` of params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]


def data(
    *,
    settings: Annotated[DataSettings, Param("data")],
    dataset: Annotated[Dataset, Param("datasets.${dataset}")],
) -> None:
    """Write data/raw/ and metrics/data.json. Raises InputError for a faulty source or sizes that do not fit."""
    source = read_source(dataset)
    splits = draw_splits(source.splits, dataset, settings.seed)
    counts = source.counts
    if source.corrections is not None:
        splits["train"], changes = apply_corrections(splits["train"], source.corrections)
        counts = counts | changes
        check_every_label(splits["train"]["label"], dataset, source.files["train"][0], needed=1)
    write_splits(source, splits, dataset)
    write_json(METRICS / "data.json", summarize(splits, counts, dataset))


def summarize(splits: dict[str, pd.DataFrame], counts: dict[str, int], dataset: Dataset) -> dict:
    """Return the sizes of the splits, the counts of dropped rows, statistics of the labels, and lengths in words."""
    words = pd.concat([split["words"] for split in splits.values()])
    task, names = TASKS[dataset.task], dataset.label_names
    return {
        **{name: len(split) for name, split in splits.items()},
        **counts,
        **{
            f"{name}_{key}": value
            for name, split in splits.items()
            for key, value in task.describe(task.label_array(split["label"], names), names).items()
        },
        **{f"words_p{percent}": int(words.quantile(percent / 100)) for percent in (5, 50, 95, 100)},
    }


if __name__ == "__main__":
    main(data)
