"""Run `apps.new` in this process, in a folder with params.yaml alone, and read what it wrote."""

from pathlib import Path
from unittest.mock import patch

import pandas as pd
import typer
from ruamel.yaml import YAML
from typer.testing import CliRunner

from apps.new import store
from apps.new.command import main
from classifier.dataset.selected_rows import read_selected_rows
from classifier.params.datasets import Dataset
from classifier.runner.params import load_params, select
from classifier.sources.dataset import source_files

WORDS = ["long", "short", "weak", "bright", "dull", "loud", "calm", "odd"]
TEXT = 'A {} film, "x" or not; schön, and the {} plot goes on.'
ROWS = [(TEXT.format(WORDS[n % 8], WORDS[n // 8]), ["bad", "good"][n % 2]) for n in range(40)]
FRAME = pd.DataFrame(ROWS, columns=["text", "label"])
NUMBERS = FRAME["label"].map({"bad": 0, "good": 4})
FILE = "elsewhere/reviews.csv"


def track(place: Path) -> None:
    """Stand in for `dvc add`."""
    Path(f"{place}.dvc").touch()


def add(*words: str, ok: bool = True) -> str:
    """Run `python -m apps.new WORDS` without DVC, and return what it printed; or its error if not ok."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    with patch.object(store, "dvc_add", track):
        result = CliRunner().invoke(app, words)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    if ok:
        assert result.exit_code == 0, result.exception
        return result.stdout
    assert result.exit_code == 1 or isinstance(result.exception.code, str)
    line = str(result.exception) if isinstance(result.exception.code, str) else result.stderr.strip()
    assert line.startswith("new: "), line
    assert "\n" not in line
    return line


def entry() -> dict:
    """Return the selected entry of params.yaml, as it is written."""
    params = YAML(typ="safe").load(Path("params.yaml"))
    return params["datasets"][params["dataset"]]


def rows_read(split: str = "train") -> list[tuple[str, str]]:
    """Return the texts and labels that the stage `data` reads from the files of a split."""
    dataset: Dataset = select(load_params(), "dataset")
    tables = [table for path in source_files(dataset)[split] for table in read_selected_rows(path, dataset, split)]
    names = dict(zip(map(str, dataset.labels), dataset.label_names, strict=False))
    return [(text, names.get(str(label), label)) for table in tables for text, label in table[["text", "label"]].values]


def written(folder: str = ".") -> dict[str, bytes]:
    """Return the content of all files in a folder."""
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def write(frame: pd.DataFrame = FRAME, path: str = FILE) -> str:
    """Write a table as CSV, and return its path."""
    frame.to_csv(path, index=False)
    return path


def refused(*words: str) -> str:
    """Return the error of a command, which must write nothing."""
    before = written()
    error = add(*words, ok=False)
    assert written() == before
    return error
