"""The model card of `make export`: what it says, and which results it leaves out."""

import os
import re
import shutil
import textwrap
from pathlib import Path

import pytest
from commands import read
from ruamel.yaml import YAML
from tiny import edit_params

from apps import export


def test_card(finished, card_of):
    card, lines = card_of()
    assert lines == []
    evaluation = read("metrics/evaluate.json")
    assert {result.metric_type: result.metric_value for result in card.data.eval_results} == {
        name: evaluation[name] for name in ("accuracy", "f1", "roc_auc", "log_loss", "ece")
    }
    assert card.content.startswith("---\n")
    assert "# minilm with lora on imdb-wheel\n" in card.text
    assert "160 texts of `imdb-wheel`, adapter merged into the weights." in card.text
    assert "80 test texts, held out of the training split: not the official test split" in card.text
    assert "keeps the beginning only" in card.text
    assert "by up to 8 windows" in card.text
    (code,) = re.findall(r"```python\n(  import re\n.*?)```", card.text, re.DOTALL)
    names = {"text": "<a href='x' class=\"y\">good</a> film<br />"}
    exec(textwrap.dedent(code), names)
    assert names["text"] == " good  film "


@pytest.fixture
def card_of(monkeypatch, capsys):
    """Return a function that exports and returns (ModelCard, the printed lines but the last)."""
    from huggingface_hub import ModelCard

    monkeypatch.setattr(export, "write_onnx", lambda *args: None)

    def exported_card():
        capsys.readouterr()
        export.export()
        *lines, last = capsys.readouterr().out.splitlines()
        assert last == "export: models/export"
        return ModelCard.load(export.EXPORT / "README.md"), lines

    return exported_card


def test_the_card_is_the_adapters(finished, card_of):
    """The card describes the adapter's training, whatever params.yaml says now. It needs no params.yaml and no data."""
    expected, _ = card_of()
    edit_params(finished, **{"dataset": "imdb", "model": "bert", "method": "full", "tokenize.windows": 1})
    shutil.rmtree("data")
    card, lines = card_of()
    assert str(card) == str(expected)
    assert lines == []
    Path("params.yaml").unlink()
    card, (line,) = card_of()
    assert line.startswith("export: the card does not say where the test texts come from: ")
    assert "\n80 test texts.\n" in card.text
    assert card.data.eval_results


def append_a_line(path: str) -> None:
    with Path(path).open("a") as file:
        file.write("\n")


@pytest.mark.parametrize(
    ("change", "what", "reason"),
    [
        (append_a_line, "models/adapter/config.json", "models/adapter does not match the run of evaluate in dvc.lock"),
        (append_a_line, "metrics/evaluate.json", "metrics/evaluate.json does not match the run of evaluate"),
        (shutil.rmtree, "metrics", "metrics/evaluate.json does not match the run of evaluate in dvc.lock"),
        (os.remove, "dvc.lock", "dvc.lock has no models/adapter of the stage evaluate; `dvc repro evaluate`"),
        (append_a_line, "dvc.lock", None),
        (lambda path: Path(path).write_text("<<<<<<< HEAD\n"), "dvc.lock", "dvc.lock"),
        (shutil.rmtree, ".dvc", "you are not inside of a DVC repository"),
    ],
)
def test_results_of_another_model_are_left_out(finished, card_of, change, what, reason):
    change(what)
    card, lines = card_of()
    if reason is None:
        assert lines == []
        assert card.data.eval_results
        return
    (line,) = lines
    assert line.startswith("export: the card has no results: ")
    assert reason in line
    assert card.data.eval_results is None
    assert "model-index" not in card.content
    assert "Results" not in card.text
    assert "results below" not in card.text
    assert "160 texts of `imdb-wheel`" in card.text
    assert card.text.endswith(" ```\n")


@pytest.mark.parametrize("change", ["metrics/data.json", "dvc.lock"])
def test_where_the_test_texts_come_from_is_left_out(finished, card_of, change):
    if change == "dvc.lock":  # as after `dvc repro data` for another data set
        lock = YAML().load(Path(change))
        (raw,) = (out for out in lock["stages"]["data"]["outs"] if out["path"] == "data/raw")
        raw["md5"] = f"{'0' * 32}.dir"
        YAML().dump(lock, Path(change))
    else:
        Path(change).write_text(Path(change).read_text().replace("false", "true"))
    card, (line,) = card_of()
    assert line.startswith("export: the card does not say where the test texts come from: metrics/data.json ")
    assert "\n80 test texts.\n" in card.text
    assert card.data.eval_results
