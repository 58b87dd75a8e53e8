"""`apps.new`: the entry, and its place in params.yaml."""

import re
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from new_command import FILE, FRAME, NUMBERS, add, entry, refused, write

from apps.new.params_file import with_entry
from classifier.errors import InputError


def test_dvc_keeps_the_comments_of_the_new_params(place):
    add(write(FRAME.assign(label=NUMBERS)))
    before = Path("params.yaml").read_text()
    apply_overrides(Path("params.yaml"), ["train.seed=2", "dataset=imdb"])
    after = Path("params.yaml").read_text()
    assert re.findall("#.*", after) == re.findall("#.*", before)
    add(FILE)  # lists and null are then written in another way
    assert entry()["labels"] == {0: "0", 4: "4"}


def test_options_of_the_entry(place):
    frame = FRAME.assign(user=[f"u{number // 2}" for number in range(40)])
    shown = add(write(frame), "--name", "mine", "--test", "10", "--validation", "25%", "--group", "user")
    assert "dataset: mine" in shown
    assert [entry()[key] for key in ("group", "train", "validation", "test")] == ["user", None, "25%", 10]
    assert "--group user would keep" in add(FILE, "--name", "other", "--dry-run")


def test_an_entry_goes_to_the_end_of_the_data_sets():
    text = "dataset: a # selected\ndatasets:\n  a:\n    test: 1\n\n# Models.\nmodels:\n  a: 1\n"
    after = "dataset: b # selected\ndatasets:\n  a:\n    test: 1\n  b:\n    test: 2\n\n# Models.\nmodels:\n  a: 1\n"
    assert with_entry(text, "b", {"test": 2}) == after
    last = "models: {}\ndataset: a\ndatasets:\n  a:\n    test: 1"
    assert with_entry(last, "b", {"test": 2}).endswith("datasets:\n  a:\n    test: 1\n  b:\n    test: 2\n")


@pytest.mark.parametrize("after", ["", "\n  # The last one.\n  c:\n    test: 2\n", "\n# Models.\nmodels:\n  b: 1\n"])
@pytest.mark.parametrize("key", ["b", "'b'"])
def test_an_entry_is_replaced_in_its_place(after, key):
    text = "dataset: a # selected\ndatasets:\n  a:\n    b:\n      c: 1\n{}" + after
    before = text.format(f"  {key}: # mine\n    test:\n    - 1\n\n    # A comment.\n    train: 3\n")
    with pytest.raises(InputError, match="replace that entry by --replace"):
        with_entry(before, "b", {"test": 2})
    replaced = text.replace("dataset: a", "dataset: b").format("  b:\n    test: 2\n")
    assert with_entry(before, "b", {"test": 2}, replace=True) == replaced


def test_a_second_try_with_an_option(place):
    before = Path("params.yaml").read_text()
    add(write(FRAME.assign(label=NUMBERS)))
    assert "another entry has this name; choose a name by --name, or replace" in refused(FILE, "--labels", "bad,good")
    add(FILE, "--labels", "bad,good", "--replace")
    assert entry()["labels"] == {0: "bad", 4: "good"}
    added = Path("params.yaml").read_text().replace("dataset: reviews\n", "dataset: imdb-wheel\n")
    assert [line for line in before.splitlines() if line not in added.splitlines()] == []
    assert added.count("reviews:") == before.count("reviews:") + 1


def test_a_name_that_is_no_text_in_yaml(place):
    error = refused(write(path="elsewhere/true.csv"))
    assert error == "new: --name 'true': YAML does not read it as a text; choose another name by --name"
    add("elsewhere/true.csv", "--name", "reviews")


def test_too_few_texts_for_a_step(place):
    assert "the training needs 16 texts in train" not in add(write(), "--dry-run")
    shown = add(write(FRAME[:30]), "--dry-run")
    assert "train 12, validation 12, test 6; the training needs 16 texts in train: add some, or lower" in shown


def test_a_part_of_the_own_test_split(place):
    splits = ["train"] * 20 + ["test"] * 20
    add(write(FRAME.assign(split=splits)), "--test", "50%")
    assert entry()["test"] == "50%"
    add(FILE, "--replace")
    assert entry()["test"] is None
