"""`python -m apps.new`: the files that it writes, and that nothing is left if it fails."""

import doctest
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from commands import dvc, git
from new_command import FILE, FRAME, ROWS, add, entry, refused, rows_read, write, written
from tiny import ROOT

from apps.new import store


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


def test_the_command_and_dvc(project, forked_commands):
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


@pytest.mark.parametrize("name", ["choices", "dialect", "labels", "layout", "report", "store", "tasks"])
def test_examples_in_docstrings(name):
    failed, count = doctest.testmod(import_module(f"apps.new.{name}"))
    assert count > 0
    assert failed == 0


def test_dvc_says_why_it_failed(place):
    with pytest.raises(
        store.InputError, match=r"data/local/a\.csv: `dvc add` ended with an error: .*not inside of a DVC repository"
    ):
        store.dvc_add(Path("data/local/a.csv"))
