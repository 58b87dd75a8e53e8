"""The report as a forge would show it, and its pictures."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import read
from markdown_it import MarkdownIt

from stages.report import accuracy_by_length, cell, confident_mistakes, report
from stages.results.figures import confusion_figure, length_figure, reliability_figure, training_figure
from stages.results.statistics import wilson_interval
from stages.settings.params import load_params
from stages.use.export import model_card


def rendered(text: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(text)


def rows(html: str) -> list[list[str]]:
    """The cells of all table rows."""
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)]


def test_report_of_a_run(finished):
    text = Path("metrics/report.md").read_text()
    html = rendered(text)
    table, evaluation = rows(html), read("metrics/evaluate.json")
    assert ["accuracy", f"{evaluation['accuracy']:.1%}", f"{evaluation['baseline_accuracy']:.1%}"] in table
    assert ["F1, positive", f"{evaluation['f1']:.1%}", ""] in table
    counts = pd.read_csv("metrics/confusion.csv").pivot(index="actual", columns="predicted", values="count")
    for actual in counts.index:
        assert [actual, *counts.loc[actual].astype(str)] in table
    for sample in read("metrics/samples.json"):
        assert [sample["text"], sample["label"], f"{sample['confidence']:.1%}"] in table
    pictures = re.findall(r'<img src="([^"]+)"', html)
    assert pictures == ["training.png", "confusion.png", "reliability.png", "length.png"]
    for name in pictures:
        assert Path("metrics", name).read_bytes().startswith(b"\x89PNG")
    paragraphs = re.findall(r"<p>(.*?)</p>", html, re.DOTALL)
    assert [paragraph for paragraph in paragraphs if "\n" in paragraph] == []  # no ragged line breaks
    assert "| " not in re.sub(r"<table>.*?</table>", "", html, flags=re.DOTALL)  # every table is one
    assert "\n\n\n" not in text


def test_where_the_test_texts_are_from(finished):
    """The source's own test split, whole or a sample of it, or held out of its training split."""
    own = {"official_test": True, "test": 20_000, "train_texts_in_test_dropped": 7, "test_texts_in_train": 7}
    sample, whole = (own | {"test_available": count} for count in (400_000, 20_000))
    params, data = load_params(), read("metrics/data.json")
    results = {name: read(f"metrics/{name}.json") for name in ("training", "evaluate")}
    for other, in_report, in_card in (
        (sample, "is a stratified sample of 20,000 of the 400,000 texts of the data set's official one.",
         "test texts, a stratified sample of the 400,000 texts of the official test split."),
        (whole, "The test split is the data set's official one.", "test texts, the official test split."),
        ({}, "not the official test split", "not the official test split"),
    ):  # fmt: skip
        Path("metrics/data.json").write_text(json.dumps(data | other))
        report(settings=params, mistakes=3)
        card = model_card(params, results | {"data": data | other}, ["a", "b"], dict(params.tokenize))
        for text, expected in ((Path("metrics/report.md").read_text(), in_report), (card, in_card)):
            assert expected in text
            assert ("accuracy on new sources can be lower" in text) == (not other)


def test_a_bar_in_a_setting_stays_in_its_cell(finished):
    path = Path("models/adapter/adapter_config.json")
    config = read(path) | {"target_modules": ".*(key|value)"}
    path.unlink()  # a link into DVC's cache
    path.write_text(json.dumps(config))
    report(settings=load_params(), mistakes=3)
    assert ["target_modules", ".*(key|value)"] in rows(rendered(Path("metrics/report.md").read_text()))


def test_accuracy_by_length():
    """Two short reviews, one of them right, and a right one of 300 words."""
    table = pd.DataFrame({"text": ["a b", "a", "a " * 300], "label": [0, 1, 1], "predicted": [0, 0, 1]})
    short, long = accuracy_by_length(table).to_dict("records")
    assert (short["words"], short["count"], short["accuracy"]) == ("0-99", 2, 0.5)
    assert (long["words"], long["count"], long["accuracy"]) == ("300-499", 1, 1.0)
    assert (short["low"], short["high"]) == wilson_interval(1, 2)
    assert (long["low"], long["high"]) == wilson_interval(1, 1)


def test_mistakes_are_the_most_confident_ones():
    table = pd.DataFrame(
        {
            "text": ["right", "unsure", "word " * 100, "a|b\n<br>"],
            "label": [0, 0, 1, 1],
            "predicted": [0, 1, 0, 0],
            "confidence": [0.99, 0.6, 0.8, 0.9],
        }
    )
    first, second = confident_mistakes(table, ["negative", "positive"], 2)
    assert first == {"text": "a\\|b &lt;br&gt;", "label": "positive", "predicted": "negative", "confidence": 0.9}
    assert second["text"].endswith("word …")
    assert len(second["text"]) <= 160


def test_any_text_fits_a_cell():
    text = 'a | b\n\n# <script>alert("x")</script> `code` \\'
    html = rendered(f"| text | n |\n|---|---|\n| {cell(text)} | 1 |\n")
    (_, (shown, number)) = rows(html)
    assert number == "1"
    assert "<script>" not in shown


@pytest.mark.parametrize("k", [2, 12])
def test_pictures_have_the_same_bytes_every_time(tmp_path, k):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 50, (k, k)) + np.eye(k, dtype=int)
    training = pd.DataFrame({"step": [1, 2, 3], "loss": [0.7, 0.5, 0.2]})
    validation = pd.DataFrame({"step": [3], "loss": [0.4], "accuracy": [0.9]})
    reliability = pd.DataFrame(
        {"calibration": ["before", "after"], "confidence": [0.9, 0.8], "accuracy": [0.8, 0.8], "count": [5, 5]}
    )
    lengths = pd.DataFrame(
        {"words": ["0-99"], "accuracy": [0.5], "low": [0.1], "high": [0.9], "sum": [1], "count": [2]}
    )
    for folder in ("first", "second"):
        confusion_figure(counts, [f"label number {i}" for i in range(k)], tmp_path / folder / "confusion.png")
        training_figure(training, validation, tmp_path / folder / "training.png")
        reliability_figure(reliability, tmp_path / folder / "reliability.png")
        length_figure(lengths, tmp_path / folder / "length.png")
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
