"""A test split whose texts all have the same label: from the stage `evaluate` to the report, DVC and the model card."""

import json
from pathlib import Path

import pandas as pd
import pytest
from commands import dvc, read, run_stages
from exports import card_of
from report_page import MARKDOWN, check_markdown, rows
from transformers import AutoConfig

from classifier.files.formats import read_table, write_table
from classifier.files.places import ADAPTER, PREDICTIONS, RAW

NAMES = ["negative", "positive"]


@pytest.fixture(params=[0, 1], ids=NAMES)
def only(request, finished) -> int:
    """The number of the only label in the test split of a run that was evaluated and reported."""
    raw, metadata = read_table(RAW / "test.parquet")
    write_table(RAW / "test.parquet", raw.assign(label=request.param), **metadata)
    run_stages("evaluate", "report")
    return request.param


def test_from_evaluate_to_the_report(only):
    evaluation, predictions = read("metrics/evaluate.json"), read_table(PREDICTIONS)[0]
    recall = (predictions["predicted"] == only).mean()
    assert 0 < recall < 1
    of_both = [evaluation["labels"][name] for name in NAMES]
    assert of_both[only]["recall"] == pytest.approx(recall, abs=5e-5)
    assert of_both[only]["precision"] == 1
    assert of_both[1 - only].keys() == {"support", "mean_probability"}
    assert evaluation["macro_f1"] == of_both[only]["f1"] == pytest.approx(2 * recall / (1 + recall), abs=1e-4)
    assert evaluation["baseline_macro_f1"] == of_both[only]["baseline_f1"]
    assert evaluation.keys() & {"precision", "recall", "f1"} == ({"precision", "recall", "f1"} if only else set())

    text = Path("metrics/report.md").read_text()
    check_markdown(text)
    table = rows(MARKDOWN.render(text))
    of_positive = [f"{of_both[1][key]:.1%}" for key in ("recall", "baseline_recall")] if only else ["none there"] * 2
    assert ["recall, positive", *of_positive] in table
    shares = [f"{of_both[only][key]:.1%}" for key in ("f1", "baseline_f1")]
    assert ["F1, mean over the labels with test texts", *shares] in table
    (absent,) = (row for row in table if row[0] == NAMES[1 - only] and len(row) == 10)
    assert absent[1:3] + absent[4:] == ["0", "0.0%", *["none there"] * 6]
    assert "There is no ROC AUC, because all test texts have the same label. The log loss is" in text
    assert f"has no text with the label '{NAMES[1 - only]}', so nothing is known of it." in text


def test_dvc_shows_metrics_and_plots(only):
    shown = json.loads(dvc("metrics", "show", "--json"))[""]["data"]["metrics/evaluate.json"]["data"]
    assert shown == read("metrics/evaluate.json")
    plots = json.loads(dvc("plots", "show", "--json"))
    assert "errors" not in plots
    assert plots["data"]["metrics/confusion.csv"]
    for path in Path("metrics").glob("*.csv"):
        table = pd.read_csv(path)
        assert (len(table) == 0) == (path.stem in ("roc", "precision_recall"))
        assert table.notna().all(axis=None)


def test_the_card_of(only):
    card = card_of(AutoConfig.from_pretrained(ADAPTER), read("metrics/evaluate.json"), read("metrics/data.json"))
    sentence = f"The test split has no text with the label '{NAMES[1 - only]}', so nothing is known of it."
    assert f" {sentence}\n" in card
    shown = [row[0] for row in rows(MARKDOWN.render(card)) if row]
    assert [name in shown for name in ("accuracy", "F1", "ROC AUC", "log loss")] == [True, bool(only), False, True]
    assert "type: roc_auc" not in card
    assert ("type: f1" in card) == bool(only)
