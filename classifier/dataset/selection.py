"""Read a data set's source and select the rows that may go into a split.

The result of `read_source` does not depend on the seed or the sizes of the splits; `draw_splits` draws the splits from
this result.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from classifier.dataset.checking import read_split
from classifier.dataset.corrections import read_corrections
from classifier.dataset.deduplication import deduplicate
from classifier.dataset.splitting import check_every_label
from classifier.errors import InputError
from classifier.files.places import LOCAL
from classifier.params.datasets import Dataset
from classifier.sources.dataset import read_paths, source_files


@dataclass(frozen=True)
class Source:
    """The checked rows of a data set's source.

    Attributes:
        files: The files of each split of the source.
        mtimes: When each file was last modified before this process read it. The table of corrections is one of them.
        splits: The rows of each split, as `deduplicate` returns them.
        counts: Counts for metrics/data.json: of dropped rows by reason, conflicting texts, groups and test rows.
        corrections: The corrections of the train split, as `read_corrections` returns them; None if there are none.
    """

    files: dict[str, list[Path]]
    mtimes: dict[Path, int | None]
    splits: dict[str, pd.DataFrame]
    counts: dict[str, int]
    corrections: pd.DataFrame | None

    def check_unchanged(self) -> None:
        """Raise InputError if a file has changed since it was read.

        The source is read twice, and both readings must give the same rows. DVC records the file as it is at the end.
        """
        if modification_times(list(self.mtimes)) != self.mtimes:
            folder = self.files["train"][0].parent
            raise InputError(f"{folder}: a file changed while it was read; run `dvc repro` again")


def read_source(dataset: Dataset) -> Source:
    """Read and check all rows of a data set's source, and drop duplicates and overlaps.

    Raises:
        InputError: A file or a row is faulty, or a label has too few rows for the splits.
    """
    files = source_files(dataset)
    tables = list(dict.fromkeys(path for paths in files.values() for path in read_paths(paths)))
    mtimes = modification_times([*tables, LOCAL / dataset.corrections] if dataset.corrections else tables)
    read = {name: read_split(paths, dataset, name) for name, paths in files.items()}
    rows = {name: split for name, (split, _) in read.items()}
    left_out = sum((counts for _, counts in read.values()), Counter())
    corrections = read_corrections(rows["train"], dataset) if dataset.corrections else None
    corrected = [] if corrections is None else corrections.index
    splits, counts = deduplicate(rows, dataset.conflicts, corrected)
    counts |= {reason: left_out[reason] for _, of_split in read.values() for reason in of_split}
    conflicting = counts["conflicting_texts"]
    note = f" ({conflicting} texts have several labels)" if conflicting else ""
    held_out = 3 - len(splits)
    check_every_label(splits["train"]["label"], dataset, files["train"][0], needed=1 + held_out, note=note)
    if "validation" in splits:
        check_every_label(splits["validation"]["label"], dataset, files["validation"][0], needed=1)
    return Source(files, mtimes, splits, counts, corrections)


def modification_times(paths: list[Path]) -> dict[Path, int | None]:
    """Return when each file was modified last, in nanoseconds; None for a missing file."""
    return {path: path.stat().st_mtime_ns if path.is_file() else None for path in paths}
