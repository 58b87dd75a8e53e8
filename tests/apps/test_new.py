"""`python -m apps.new`: the choices, the refusals, and what it writes."""

import doctest
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import typer
from commands import dvc, git
from dvc.utils.hydra import apply_overrides
from new_command import ROWS, add, entry, rows_read, written
from tiny import ROOT

from apps.new import store
from apps.new.choices import choose
from apps.new.params_file import with_entry
from apps.new.report import describe_lengths
from apps.new.survey import Survey
from classifier.errors import InputError

FRAME = pd.DataFrame(ROWS, columns=["text", "label"])
NUMBERS = FRAME["label"].map({"bad": 0, "good": 4})
FILE = "elsewhere/reviews.csv"


def write(frame: pd.DataFrame = FRAME, path: str = FILE) -> str:
    frame.to_csv(path, index=False)
    return path


def refused(*words: str) -> str:
    """Return the error of a command, which must write nothing."""
    before = written()
    error = add(*words, ok=False)
    assert written() == before
    return error


def test_the_file_the_record_and_the_entry(place):
    before = Path("params.yaml").read_text()
    shown = add(write())
    assert Path("data/local/reviews.csv").read_bytes() == Path(FILE).read_bytes()
    assert Path("data/local/reviews.csv.dvc").exists()
    lines = ["reviews:", "  source:", "    train: reviews.csv", "  labels:", "    - bad", "    - good"]
    lines = [f"  {line}\n" for line in [*lines, "  train: null", "  validation: null", "  test: 20%"]]
    assert "".join(lines) in shown
    after = Path("params.yaml").read_text()
    assert after.replace("".join(lines), "").replace("dataset: reviews\n", "dataset: imdb-wheel\n") == before
    assert len(shown.splitlines()) < 35
    for words in (
        "fields between commas, with a header, UTF-8",
        "bad 20, good 20",
        "train 40",
        "rows with the text of an earlier row: 0;",
    ):
        assert words in shown
    assert "train 16, validation 16, test 8" in shown


def test_dvc_keeps_the_comments_of_the_new_params(place):
    add(write(FRAME.assign(label=NUMBERS)))
    before = Path("params.yaml").read_text()
    apply_overrides(Path("params.yaml"), ["train.seed=2", "dataset=imdb"])
    after = Path("params.yaml").read_text()
    assert re.findall("#.*", after) == re.findall("#.*", before)
    add(FILE)  # lists and null are then written in another way
    assert entry()["labels"] == {0: "0", 4: "4"}


def test_again_changes_nothing(place):
    add(write())
    before = written()
    add(FILE)
    add("data/local/reviews.csv")
    assert written() == before


def test_a_dry_run_writes_nothing(place):
    write()
    before = written()
    assert "  reviews:\n" in add(FILE, "--dry-run")
    assert written() == before


def test_a_link(place):
    assert "DVC keeps no copy" in add(write(), "--link")
    assert Path("data/local/reviews.csv").readlink() == Path(FILE).absolute()
    assert not Path("data/local/reviews.csv.dvc").exists()
    assert rows_read() == ROWS


def test_a_file_in_a_folder_of_data_local(place):
    Path("data/local/shop").mkdir()
    add(write(path="data/local/shop/a.csv"), "--name", "shop")
    assert entry()["source"] == {"train": "shop/a.csv"}
    assert Path("data/local/shop/a.csv.dvc").exists()


def test_nothing_is_overwritten(place):
    write(FRAME[:30], "data/local/reviews.csv")
    assert "data/local/reviews.csv: is there already with other content" in refused(write())
    assert "datasets.imdb: another entry has this name" in refused(write(path="elsewhere/imdb.csv"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("no space left on device")])
@pytest.mark.parametrize("where", ["dvc_add", "with_entry"])
def test_an_interrupted_command_leaves_nothing(place, monkeypatch, error, where):
    def fail(*_):
        raise error

    write()
    before = written()
    if where == "dvc_add":
        monkeypatch.setattr("new_command.track", fail)
    else:
        monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    add(FILE, ok=False)
    assert written() == before


def test_options_of_the_entry(place):
    frame = FRAME.assign(user=[f"u{number // 2}" for number in range(40)])
    shown = add(write(frame), "--name", "mine", "--test", "10", "--validation", "25%", "--group", "user")
    assert "dataset: mine" in shown
    assert [entry()[key] for key in ("group", "train", "validation", "test")] == ["user", None, "25%", 10]
    assert "--group user would keep" in add(FILE, "--name", "other", "--dry-run")


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        ((), {0: "0", 4: "4"}),
        (("--labels", "bad,good"), {0: "bad", 4: "good"}),
        (("--labels", "4=good,0=bad"), {4: "good", 0: "bad"}),
    ],
)
def test_labels_that_are_numbers(place, words, labels):
    shown = add(write(FRAME.assign(label=NUMBERS)), *words)
    assert entry()["labels"] == labels
    assert "--labels bad,good would name them" in shown


def test_labels_that_get_other_names(place):
    frame = FRAME.assign(label=["bad", "good", "fair", "meh"] * 10)
    assert "no name for the value 'fair'; add fair=NAME" in refused(write(frame), "--labels", "bad=0,good=1,meh=")
    assert "does not fit the values bad, fair, good, meh" in refused(FILE, "--labels", "bad,good")
    add(FILE, "--labels", "bad=negative,good=positive,fair=positive,meh=")
    assert entry()["labels"] == {"bad": "negative", "good": "positive", "fair": "positive", "meh": None}


def test_rows_without_a_label_or_a_text(place):
    frame = FRAME.copy()
    frame.loc[[3, 5], "label"] = None
    frame.loc[8, "text"] = " <br /> "
    both = "2 rows have no label (lines 5, 7), a row has no text (line 10)"
    assert f"{both}; leave them out by --drop unlabelled --drop empty" in refused(write(frame))
    assert "no text" not in refused(FILE, "--drop", "empty")
    assert "a row has no text (line 10); leave them out by --drop empty" in refused(FILE, "--drop", "unlabelled")
    add(FILE, "--drop", "unlabelled", "--drop", "empty")
    assert entry()["drop"] == ["unlabelled", "empty"]


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("-", ["bad", "good"]),
        ("unsup", {"bad": "bad", "good": "good", "unsup": None}),
        ("N/A", {"bad": "bad", "good": "good", "N/A": None}),
    ],
)
def test_values_that_stand_for_no_label(place, value, labels):
    write(FRAME.assign(label=[*FRAME["label"][:30], *[value] * 10]))
    assert f"10 rows have no label (label {value})" in refused(FILE)
    add(FILE, "--drop", "unlabelled")
    assert entry()["labels"] == labels


def test_rows_with_and_without_a_value_for_no_label(place):
    frame = FRAME.assign(label=[None, "?", *FRAME["label"][2:]])
    assert "2 rows have no label (line 2; label ?); leave them out" in refused(write(frame))


def test_labels_that_differ_in_case(place):
    frame = FRAME.assign(label=["Good", "bad", "good", "good"] * 10)
    pairs = "Good=good,bad=bad,good=good"
    hint = f"some labels differ in capital letters alone: --labels {pairs} would join them"
    assert hint in add(write(frame), "--dry-run")
    add(FILE, "--labels", pairs)
    assert entry()["labels"] == {"Good": "good", "bad": "bad", "good": "good"}


@pytest.mark.parametrize("content", [[["good"], ["bad"], []], [{"name": "good"}, {"name": "bad", "by": ["me"]}]])
def test_labels_that_are_lists(place, content):
    frame = FRAME.assign(label=[content[number % len(content)] for number in range(40)])
    frame.to_json("elsewhere/lists.jsonl", orient="records", lines=True)
    if isinstance(content[0], dict):
        add("elsewhere/lists.jsonl", "--label", "label.name")
    else:
        error = refused("elsewhere/lists.jsonl")
        assert "column 'label': has lists or objects, such as [\"good\"]; write one label as text" in error


@pytest.mark.parametrize("title", ["Survey,,\n", "Survey,,\n\n"])
def test_a_title_above_the_header(place, title):
    Path(FILE).write_text(title + FRAME.assign(id=range(40)).to_csv(index=False))
    assert "row 1 has 'Survey' alone; remove the rows above the names of the columns" in refused(FILE)


def test_columns_without_a_name(place):
    frame = FRAME.assign(a=[*["x"] * 3, *[None] * 37], b=None).set_axis(["text", "label", "", " "], axis=1)
    assert "others: 'unnamed 3'" in add(write(frame))


def test_several_columns(place):
    frame = FRAME.assign(title=FRAME["text"].str.upper(), opinion=FRAME["label"], city=["Ulm", "Bonn"] * 20)
    write(frame.drop(columns="label").rename(columns={"text": "the body"}))
    options = "--text 'the body' --text title"
    assert f"'the body', 'title'; name one by --text, or join them by {options}" in refused(FILE)
    columns = "'opinion' (bad, good), 'city' (Bonn, Ulm)"
    assert f"several columns may have the labels: {columns}; name one by --label" in refused(FILE, "--text", "title")
    assert "no column 'nope'; its columns are 'the body', 'title', 'opinion', 'city'" in refused(
        FILE, "--text", "nope", "--label", "city"
    )
    add(FILE, "--text", "title", "--text", "the body", "--label", "opinion")
    assert (entry()["text"], entry()["label"]) == (["title", "the body"], "opinion")


def test_a_terminal_is_asked(monkeypatch):
    asked = []
    monkeypatch.setattr(typer, "prompt", lambda question, **_: asked.append(question) or "b")
    assert choose("texts", "--text", ["a"], {"a": None, "b": None}, may_ask=True) == "a"
    assert choose("texts", "--text", ["a", "b"], {"a": None, "b": None}, may_ask=True) == "b"
    assert asked == ["Which column has the texts: 'a', 'b'?"]


@pytest.mark.parametrize(
    ("content", "words", "error"),
    [
        ("", (), "is empty; save the table again"),
        ("text,label\n", (), "no rows; save the table again"),
        ("<!doctype html>\n<p>Sign in", (), "is an HTML page"),
        ("text,label\nA, B,good\nC,bad\n", (), "line 2 (3 fields): the header has 2"),
        ("text,label\nA,good\nB,good\n", (), "has the single value 'good', but two labels are needed"),
        ("text\nA\nB\n", (), "no column seems to have the labels"),
        ("text,label\nA,good\nB,bad\n", (), "has 1 different texts that are in no other split, but needs 3"),
        (None, ("--split-column", "label"), "its values 'bad', 'good' do not name train, validation and test"),
        (None, ("--encoding", "foo"), "--encoding 'foo': should be the name of a text encoding"),
        (None, ("--encoding", "ascii"), "not ASCII; set --encoding to the file's encoding"),
        (None, ("--kind", "json"), "not JSON"),
        (None, ("--test", "400"), "new: --test: 400 rows requested, 40 available; lower it"),
        (None, ("--name", "a.b"), "--name 'a.b': should be letters, digits, - and _"),
    ],
)
def test_refusals(place, content, words, error):
    write()
    if content is not None:
        Path(FILE).write_text(content)
    assert error in refused(FILE, *words)


def test_files_that_are_refused(place):
    assert "elsewhere/none.csv: no such file or folder" in refused("elsewhere/none.csv")
    assert "no table in this folder" in refused("elsewhere")
    for path in (".", "data", "data/local"):
        assert f"{path}: is not a data set of its own, because data/local/ is in it" in refused(path)
    write(path="elsewhere/train.csv")
    FRAME.to_json("elsewhere/test.jsonl", orient="records", lines=True)
    FRAME.to_json("elsewhere/train.jsonl", orient="records", lines=True)
    assert "elsewhere: has .csv and .jsonl files; name one file" in refused("elsewhere")
    subprocess.run(["tar", "czf", "elsewhere/a.tar.gz", "elsewhere/train.csv"], check=True)
    assert "is a tar archive; unpack it" in refused("elsewhere/a.tar.gz")


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


def test_the_command_and_dvc(project):
    """The whole way, with DVC: the command in a process of its own, and then `dvc repro data`."""
    write(path="../reviews.csv")
    command = [sys.executable, "-m", "apps.new", "../reviews.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "Next: dvc repro" in done.stdout
    assert "data/local/reviews.csv.dvc" in git("status", "--short", "--untracked-files=all")
    assert "Running stage 'data'" in dvc("repro", "data")
    assert "didn't change" in dvc("repro", "data")
    failed = subprocess.run([*command, "--name", "x.y"], capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "new: --name 'x.y': should be letters, digits, - and _, with a letter first\n"


def test_make_passes_the_file_on():
    command = ["make", "--dry-run", "new", "FILE=my reviews.csv", "OPTIONS=--dry-run"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "python -m apps.new 'my reviews.csv' --dry-run\n" in shown


def test_lengths_in_tokens(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(2)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = Survey()
    found.add(pd.Series(["a b c d", "a", "a b"]), ["x", "y", None], ["train"] * 3)
    assert dict(describe_lengths(found, tmp_path / "tokenizer.json", max_length=3)) == {
        "words": "median 2; 5% have at most 1, 5% at least 3, the longest 4",
        "tokens": "median 2; 33% of the texts have more than tokenize.max_length, 3",
    }


def test_a_survey_counts_duplicates_without_regard_to_missing_labels():
    found = Survey()
    found.add(pd.Series(["A film", "a  film", "b", "b", "b", " "]), ["x", "y", "x", "x", None, "x"], ["train"] * 6)
    assert found.duplicates() == (3, 1)
    assert (found.no_label.count, found.no_text.count) == (1, 1)


@pytest.mark.parametrize("name", ["choices", "dialect", "labels", "layout", "report", "store"])
def test_examples_in_docstrings(name):
    failed, count = doctest.testmod(import_module(f"apps.new.{name}"))
    assert count > 0
    assert failed == 0


def test_dvc_says_why_it_failed(place):
    with pytest.raises(
        store.InputError, match=r"data/local/a\.csv: `dvc add` ended with an error: .*not inside of a DVC repository"
    ):
        store.dvc_add(Path("data/local/a.csv"))
