"""Splits, conflicts, groups and corrections of data sets whose labels are lists, numbers and ratings."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from commands import read
from local_data import local, run_baseline, run_data, splits, write, write_csv
from sklearn.model_selection import train_test_split

from classifier.errors import InputError
from classifier.files.formats import array_of, read_table
from classifier.files.places import RAW
from classifier.tasks import multi_label, ordinal, regression
from classifier.tasks.labels import merge_rare
from classifier.text.duplicates import text_hash

TOPICS = ["alpha", "beta", "gamma", "delta"]
ENTRIES = {
    "multi-label": {"task": "multi-label", "labels": TOPICS},
    "regression": {"task": "regression", "labels": None},
    "ordinal": {"task": "ordinal", "labels": None, "range": [1, 5]},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def label_of(task: str, row: int):
    """A label that all splits can have; multi-label: gamma in every tenth text, delta in every twentieth."""
    shares = {"alpha": row % 2, "beta": row % 3 == 0, "gamma": row % 10 == 4, "delta": row % 20 == 8}
    return {"multi-label": [n for n in TOPICS if shares[n]], "regression": row / 4, "ordinal": row % 5 + 1}[task]


def write_rows(task: str, count: int = 200, **columns) -> pd.DataFrame:
    rows = [{"text": f"number {row} of many", "label": label_of(task, row)} for row in range(count)]
    rows = pd.DataFrame(rows).assign(**columns)
    write("a.jsonl", rows.to_json(orient="records", lines=True))
    return rows


def run(task: str, **changes) -> dict:
    run_data(local(source={"train": "a.jsonl"}, **ENTRIES[task] | changes), seed=1)
    return read("metrics/data.json")


def stored(task: str, label) -> object:
    """A label as data/raw has it."""
    if task == "multi-label":
        return [int(name in label) for name in TOPICS]
    return label - 1 if task == "ordinal" else label


@pytest.mark.parametrize("task", ENTRIES)
def test_the_texts_keep_their_labels_in_every_split(task):
    rows = write_rows(task)
    counts = run(task)
    expected = {text: stored(task, label) for text, label in zip(rows["text"], rows["label"], strict=True)}
    tables, found = splits(), {}
    assert {name: len(table) for name, table in tables.items()} == {"train": 160, "validation": 20, "test": 20}
    for name, table in tables.items():
        labels = array_of(table["label"])
        found |= dict(zip(table["text"], labels.tolist(), strict=True))
        about = {key.removeprefix(f"{name}_"): value for key, value in counts.items() if key.startswith(f"{name}_")}
        if task == "multi-label":
            assert [about[f"share_{topic}"] for topic in TOPICS] == pytest.approx(labels.mean(axis=0), abs=1e-4)
            assert about["labels_per_text"] == pytest.approx(labels.sum(axis=1).mean(), abs=1e-4)
            assert about["without_labels"] == pytest.approx((labels.sum(axis=1) == 0).mean(), abs=1e-4)
        elif task == "regression":
            summary = [labels.mean(), labels.std(), labels.min(), labels.max()]
            assert [about[part] for part in ("mean", "sd", "lowest", "highest")] == pytest.approx(summary, rel=1e-5)
        else:
            assert [about[f"share_{rating}"] for rating in range(1, 6)] == pytest.approx([0.2] * 5, abs=0.02)
    assert found == expected
    metadata = read_table(RAW / "train.parquet")[1]
    names = {"multi-label": TOPICS, "regression": ["label"], "ordinal": list("12345")}[task]
    assert (metadata["task"], metadata["labels"]) == (task, names)


def test_a_label_may_have_the_name_of_the_share_without_labels():
    names = ["without_labels", "labels_per_text"]
    about = multi_label.describe(np.array([[1, 0], [1, 1], [0, 0], [0, 0], [1, 0]], dtype=np.uint8), names)
    assert about == {
        "share_without_labels": 0.6,
        "share_labels_per_text": 0.2,
        "without_labels": 0.4,
        "labels_per_text": 0.8,
    }


def test_a_rare_label_is_in_each_part():
    """delta has 10 of 200 texts, so a part of 20 has one of them."""
    write_rows("multi-label")
    run("multi-label")
    for name, rows in {"train": (8, 8), "validation": (1, 1), "test": (1, 1)}.items():
        count = int(array_of(splits()[name]["label"])[:, 3].sum())
        assert rows[0] <= count <= rows[1], name


@pytest.mark.parametrize("seed", range(5))
def test_the_parts_of_a_sample_have_rows_of_each_stratum(seed):
    """merge_rare makes strata of which train_test_split puts rows into the sample and into the rest."""
    rng = np.random.default_rng(seed)
    for _ in range(40):
        count = int(rng.integers(2, 200))
        strata = rng.integers(-1, rng.integers(1, 12), count) ** 2
        size = int(rng.integers(1, count))
        merged = merge_rare(strata, min(size, count - size))
        parts = train_test_split(merged, train_size=size, stratify=merged, random_state=seed)
        assert {*parts[0]} == {*parts[1]} == {*merged}
        assert len({*zip(strata, merged, strict=True)}) == len({*strata})  # a stratum is not divided


def test_rare_strata_by_hand():
    """A sample of 10 of 100 rows needs ten rows of a stratum. 4 and 8 rows together are enough; 4 alone are not."""
    strata = np.repeat([7, 8, 9, 5], [48, 40, 8, 4])
    assert sorted(Counter(merge_rare(strata, 10).tolist()).values()) == [12, 40, 48]
    lone = merge_rare(np.repeat([7, 8, 9], [50, 46, 4]), 10)
    assert sorted(Counter(lone.tolist()).values()) == [50, 50]
    assert set(merge_rare(strata, 0)) == {0}


def test_the_strata_of_the_tasks():
    values = pd.Series(["0", "0 1", "0 1 2", "", "1", "0"] * 20)
    found = pd.crosstab(values, multi_label.strata(values, 20))
    assert (found > 0).sum(axis=1).tolist() == [1] * 5
    assert (found.loc["0 1"] > 0).tolist() == (found.loc["1"] > 0).tolist()  # by their rarest label
    tenths = regression.strata(pd.Series(np.arange(100.0)), 20)
    assert np.bincount(tenths)[np.bincount(tenths) > 0].tolist() == [10] * 10
    assert set(regression.strata(pd.Series([2.0] * 9), 3)) <= {0, 1}
    assert len({*ordinal.strata(pd.Series([0] * 50 + [4] * 49 + [2]), 20)}) == 2


@pytest.mark.parametrize("task", ENTRIES)
def test_a_text_with_several_labels_is_a_conflict(task):
    rows = write_rows(task)
    again = rows[:3].assign(label=[label_of(task, 4), label_of(task, 1), label_of(task, 6)])  # the second is the same
    write("a.jsonl", pd.concat([rows, again]).to_json(orient="records", lines=True))
    counts = run(task)
    assert (counts["conflicting_texts"], counts["duplicates_dropped"]) == (2, 3)
    counts = run(task, conflicts="drop")
    assert (counts["conflicting_rows_dropped"], counts["duplicates_dropped"]) == (4, 1)


@pytest.mark.parametrize("task", ENTRIES)
def test_groups_stay_together_and_where_selects_rows(task):
    rows = write_rows(task, group=[row // 2 % 50 for row in range(200)], kind=["b", "b", "b", "a"] * 50)
    run(task, group="group", validation=40, test=40)
    groups = dict(zip(rows["text"], rows["group"], strict=True))
    by_split = [{groups[text] for text in table["text"]} for table in splits().values()]
    assert len(set.union(*by_split)) == sum(map(len, by_split)) == 50
    write_rows(task, kind=["b", "b", "b", "a"] * 50)
    source = {"train": "a.jsonl", "where": {"kind": "b"}}
    run_data(local(source=source, **ENTRIES[task]), seed=1)
    assert sum(map(len, splits().values())) == 150


def test_a_label_that_no_split_can_have_is_refused_and_a_rating_is_not():
    write_rows("multi-label")
    with pytest.raises(InputError, match=r"a.jsonl: column 'label': no row has the label 'epsilon'; add rows with"):
        run("multi-label", labels=[*TOPICS, "epsilon"])
    write_rows("ordinal")
    assert run("ordinal", range=[0, 9])["train_share_9"] == 0
    run("ordinal", range=[1, 100], validation=None)
    assert len(splits()["validation"]) == 36  # a fifth, not one for each rating


@pytest.mark.parametrize(
    ("task", "label", "value"),
    [
        ("multi-label", ["delta", "alpha"], [1, 0, 0, 1]),
        ("multi-label", '["beta"]', [0, 1, 0, 0]),
        ("multi-label", "gamma", [0, 0, 1, 0]),
        ("multi-label", [], [0, 0, 0, 0]),
        ("regression", 7.25, 7.25),
        ("regression", "-3", -3.0),
        ("ordinal", 4, 3),
        ("ordinal", "5", 4),
    ],
)
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_label_is_corrected(task, label, value, suffix):
    write_rows(task)
    run(task)
    text, gone = splits()["train"]["text"][[3, 5]]
    rows = [{"hash": text_hash(text), "label": label}]
    if suffix == "jsonl":
        rows.append({"hash": text_hash(gone), "label": "drop"})
        write("c.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    else:
        pd.DataFrame(rows).to_parquet(write("c.parquet", ""))
    counts = run(task, corrections=f"c.{suffix}")
    train = splits()["train"]
    assert array_of(train["label"])[train["text"] == text].tolist() == [value]
    assert counts["texts_dropped_by_hand"] == (suffix == "jsonl") == (gone not in train["text"].tolist())


@pytest.mark.parametrize(
    ("task", "changes", "label", "problem"),
    [
        ("multi-label", {}, "alpha,beta", "unknown label 'alpha,beta'; use drop, alpha, beta, gamma, delta"),
        ("multi-label", {}, '["alpha", "omega"]', 'unknown label \'["alpha", "omega"]\'; use drop, alpha'),
        ("multi-label", {}, "", "unknown label ''; use drop, alpha"),
        ("regression", {}, "n/a", "unknown label 'n/a'; write a number or drop"),
        ("regression", {}, "", "unknown label ''; write a number or drop"),
        ("ordinal", {}, "6", "unknown label '6'; use drop, 1, 2, 3, 4, 5"),
        ("ordinal", {}, "3.5", "unknown label '3.5'; use drop, 1, 2, 3, 4, 5"),
    ],
)
def test_a_faulty_correction_is_refused(task, changes, label, problem):
    rows = write_rows(task)
    write_csv("c.csv", [(text_hash(rows["text"][0]), label)], ("hash", "label"))
    with pytest.raises(InputError) as error:
        run(task, corrections="c.csv", **changes)
    assert str(error.value).startswith(f"data/local/c.csv: line 2: {problem}")


def test_corrections_of_joined_names_and_of_several_columns():
    rows = [(f"number {row} of many", "a;b" if row % 2 else "c") for row in range(100)]
    write_csv("a.csv", rows)
    name = text_hash(rows[0][0])
    write_csv("c.csv", [(name, "b;c")], ("hash", "label"))
    entry = local(task="multi-label", labels=["a", "b", "c"], label_separator=";", corrections="c.csv")
    run_data(entry, seed=1)
    frame = pd.DataFrame({"text": [text for text, _ in rows], "drop": 1, "b": [row % 2 for row in range(100)]})
    write("a.csv", frame.rename(columns={"drop": "a"}).to_csv(index=False))
    write_csv("c.csv", [(name, "x")], ("hash", "label"))
    several = {"task": "multi-label", "labels": None, "label": ["a", "b"], "corrections": "c.csv"}
    with pytest.raises(InputError, match="unknown label 'x'; use drop, a, b"):
        run_data(local(**several), seed=1)
    write("a.csv", frame.assign(drop=range(100)).to_csv(index=False))
    write_csv("c.csv", [(name, "5.5")], ("hash", "label"))
    run_data(local(task="regression", labels=None, label="drop", corrections="c.csv"), seed=1)


@pytest.mark.parametrize("task", ENTRIES)
@pytest.mark.parametrize("max_rows", [2, 4, 1000])
def test_the_baseline_of_any_number_of_rows(task, max_rows, recwarn):
    """With a few rows, some labels are missing or in every text, and there are fewer rows than folds."""
    rows = [{"text": f"{['good', 'fine'][row % 2]} thing {row}", "label": label_of(task, row)} for row in range(90)]
    write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    run(task)
    run_baseline(max_rows=max_rows, ngram_max=1, min_count=1, c=1.0)
    assert read("metrics/baseline.json")["train"] == min(max_rows, 50)
    assert [str(warning.message) for warning in recwarn if warning.category is not DeprecationWarning] == []
