"""Find the files of a data set's splits."""

from pathlib import Path

from classifier.files.places import LOCAL
from classifier.params.datasets import Dataset, LocalFiles, WheelFile
from classifier.sources.hub import hub_files
from classifier.sources.wheel import wheel_file


def source_files(dataset: Dataset) -> dict[str, list[Path]]:
    """Return the files of each split that the source has, downloaded if necessary.

    The rows of a wheel, which has no splits, all belong to train. Raises InputError if a file of a wheel or of the Hub
    is missing or is not the pinned file. Files in data/local/ are not checked.
    """
    source = dataset.source
    if isinstance(source, WheelFile):
        return {"train": [wheel_file(source.wheel, source.file, source.sha256)]}
    names = {split: name for split in ("train", "validation", "test") if (name := getattr(source, split))}
    if isinstance(source, LocalFiles):
        return {split: [LOCAL / name] for split, name in names.items()}
    return {
        split: hub_files(source.hub, source.revision, [pattern], source.sha256, kind="dataset")
        for split, pattern in names.items()
    }
