"""The second reading of a source, which writes the chosen rows."""

import os

import pytest
from local_data import local, run_data, splits, write_csv
from tiny import reviews

from classifier.dataset import gathering
from classifier.errors import InputError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("moment", "change"),
    [
        ("read_chosen_texts", lambda path, _: path.write_text("text,label\n")),  # fewer rows than were chosen
        ("write_split", lambda path, _: os.utime(path, (0, 0))),
        ("write_split", lambda _, corrections: os.utime(corrections, (0, 0))),
    ],
)
def test_a_file_that_changes_while_it_is_read_is_refused(monkeypatch, moment, change):
    paths = write_csv("a.csv", reviews(100)), write_csv("corrections.csv", [], columns=("hash", "label"))
    run_data(dataset=local(), seed=1)
    last, do = splits(), getattr(gathering, moment)

    def change_and_do(*args):
        change(*paths)
        return do(*args)

    monkeypatch.setattr(gathering, moment, change_and_do)
    with pytest.raises(InputError, match="data/local: a file changed while it was read"):
        run_data(dataset=local(corrections="corrections.csv"), seed=2)
    assert all(splits()[name].equals(frame) for name, frame in last.items())
