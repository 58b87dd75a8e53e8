"""`group`: rows that belong together are in one split."""

import time

import pandas as pd
import pytest
from commands import read
from local_data import local, run_data, write_csv
from tiny import reviews

from classifier.dataset.checking import read_split
from classifier.dataset.deduplication import deduplicate
from classifier.dataset.splitting import draw_groups, draw_splits
from classifier.errors import InputError
from classifier.files.formats import read_table
from classifier.files.places import RAW


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def films(count: int) -> list[tuple[str, int, str]]:
    """Return reviews of films, five of each."""
    return [(text, label, f"film {n // 5}") for n, (text, label) in enumerate(reviews(count))]


COLUMNS = ["text", "label", "film"]


def test_no_film_is_in_two_splits():
    rows = films(200)
    write_csv("a.csv", rows, COLUMNS)
    run_data(dataset=local(group="film", validation="20%", test=50), seed=1)
    film_of = {text: film for text, _, film in rows}
    splits = {path.stem: read_table(path)[0] for path in RAW.iterdir()}
    films_of = {name: {film_of[text] for text in table["text"]} for name, table in splits.items()}
    assert sum(len(names) for names in films_of.values()) == len(set.union(*films_of.values())) == 40
    assert sum(map(len, splits.values())) == 200
    assert (len(splits["test"]), len(splits["validation"])) == (50, 40)  # whole films, here a multiple of five
    assert all(0.3 < table["label"].mean() < 0.7 for table in splits.values())
    assert read("metrics/data.json")["groups"] == 40
    assert set(splits["test"]) == {"text", "label"}  # the film itself stays in the source


def test_the_seed_draws_the_groups():
    write_csv("a.csv", films(100), COLUMNS)
    tests = []
    for seed in (1, 1, 2):
        run_data(dataset=local(group="film"), seed=seed)
        tests.append(set(read_table(RAW / "test.parquet")[0]["text"]))
    assert tests[0] == tests[1] != tests[2]


def test_films_of_a_split_of_the_source_are_dropped_from_train():
    rows = films(100)
    write_csv("train.csv", rows[:60], COLUMNS)
    write_csv("test.csv", rows[58:], COLUMNS)  # two texts and three further reviews of their film are in train
    source = {"train": "train.csv", "test": "test.csv"}
    run_data(dataset=local(source=source, group="film", test=None, validation=10), seed=1)
    summary = read("metrics/data.json")
    assert summary["train_texts_in_test_dropped"] == 2
    assert summary["train_rows_with_groups_in_test_dropped"] == 3
    assert (summary["train"] + summary["validation"], summary["test"], summary["groups"]) == (55, 42, 20)


def test_a_group_is_the_same_as_a_whole_number_and_as_a_float():
    """pandas writes whole numbers as floats if some are missing in the column."""
    rows = [(text, label, n // 5) for n, (text, label) in enumerate(reviews(100))]
    write_csv("train.csv", [(text, label, float(film)) for text, label, film in rows[:60]], COLUMNS)
    write_csv("test.csv", rows[58:], COLUMNS)
    source = {"train": "train.csv", "test": "test.csv"}
    run_data(dataset=local(source=source, group="film", test=None, validation=10), seed=1)
    assert read("metrics/data.json")["train_rows_with_groups_in_test_dropped"] == 3


def test_rows_without_a_group_are_refused():
    write_csv("a.csv", [*films(10), ("fine", 1, None), ("dull", 0, " ")], COLUMNS)
    with pytest.raises(InputError, match="lines 12, 13, column 'film': no group; fill it in or remove the row"):
        run_data(dataset=local(group="film"), seed=1)
    with pytest.raises(InputError, match="no column 'movie'; set `group` in params"):
        run_data(dataset=local(group="movie"), seed=1)


@pytest.mark.parametrize(
    ("sizes", "problem"),
    [
        ({"test": 2}, "datasets..test: 20 groups cannot be divided into parts of 2 rows; raise it to about 6 rows or"),
        (
            {"test": "0.1%"},
            "datasets..test: 20 groups cannot be divided into parts of 0 rows; raise it to about 6 rows",
        ),
        ({"test": 100}, "datasets..test: 100 rows requested, 100 available; lower it"),
    ],
)
def test_sizes_that_groups_cannot_have(sizes, problem):
    write_csv("a.csv", films(100), COLUMNS)
    with pytest.raises(InputError, match=problem):
        run_data(dataset=local(group="film", **sizes), seed=1)


def test_a_large_part_is_the_rest_of_a_small_one():
    """A test split of 70 of 100 rows: about 30 rows of whole groups are left."""
    path = write_csv("a.csv", films(100), COLUMNS)
    dataset = local(group="film", test=70, validation=10)
    rows, _ = read_split([path], dataset)
    splits = draw_splits(deduplicate({"train": rows}, "first", [])[0], dataset, 1)
    assert {name: len(split) for name, split in splits.items()} == {"train": 20, "validation": 10, "test": 70}
    assert pd.concat(splits.values()).index.is_unique


@pytest.mark.parametrize("seed", range(5))
def test_a_group_with_most_of_the_rows_is_no_small_split(seed):
    rows = [(text, label, "film" if n < 100 else f"film {n}") for n, (text, label) in enumerate(reviews(200))]
    write_csv("a.csv", rows, COLUMNS)
    run_data(dataset=local(group="film", validation=20, test="15%"), seed=seed)
    assert [read("metrics/data.json")[name] for name in ("train", "validation", "test")] == [150, 20, 30]


def test_a_group_with_all_remaining_rows_is_refused():
    write_csv(
        "a.csv", [(text, label, "film" if n < 90 else "b") for n, (text, label) in enumerate(reviews(100))], COLUMNS
    )
    with pytest.raises(
        InputError, match=r"validation: 1 groups cannot be divided into parts of 20 rows; lower test or"
    ):
        run_data(dataset=local(group="film", validation=20, test=10), seed=1)


@pytest.mark.parametrize("share", [15, 35, 40, 65])
def test_small_groups_give_the_size_that_is_asked_for(share):
    write_csv("a.csv", films(1000), COLUMNS)
    run_data(dataset=local(group="film", validation=100, test=f"{share}%"), seed=1)
    assert read("metrics/data.json")["test"] == pytest.approx(10 * share, abs=5)


def test_time_grows_with_the_groups_and_not_with_their_square():
    """As for the posts of many authors, of whom few go into the validation split."""
    rows = pd.DataFrame({"label": [0, 1] * 100_000, "group": range(200_000)})
    start = time.process_time()
    assert draw_groups(rows, rows["label"].to_numpy(), 200, seed=1).sum() == 200
    assert time.process_time() - start < 20  # about 1 second; a comparison of each group with 1,000 folds took hours
