"""Slices from a column of the test split to metrics/evaluate.json, the report and the model card."""

from pathlib import Path

import numpy as np
import pandas as pd
from commands import dvc, read
from exports import card_of
from report_page import MARKDOWN, check_markdown, report_again, rows
from sklearn import metrics
from tiny import edit_params
from transformers import AutoConfig

from classifier.evaluation.intervals import wilson_interval
from classifier.files.formats import read_table, write_table
from classifier.files.places import ADAPTER, METRICS, PREDICTIONS, RAW
from classifier.runner.params import arguments, load_params
from stages.evaluate import evaluate

SITE = np.array(["[/red] a|b"] * 35 + [""] * 40 + ["rare"] * 5)


def evaluate_slices() -> None:
    """Run `evaluate` on a test split with a slice."""
    raw, metadata = read_table(RAW / "test.parquet")
    (RAW / "test.parquet").unlink()  # a link into DVC's cache
    write_table(RAW / "test.parquet", raw.assign(site=SITE), **metadata | {"slices": ["site"]})
    evaluate(**arguments(evaluate, load_params()))


def test_slices_of_a_run(finished):
    edit_params(finished, **{"evaluate.explained": 0})
    evaluate_slices()
    result, table = read(METRICS / "evaluate.json"), read_table(PREDICTIONS)[0]
    assert (table["site"] == SITE).all()
    missing, key = result["slices"]["site"]
    assert (key[:12], missing) == ("(/red) a|b… ", "missing")
    assert result["slices_left_out"] == {"site": {"values": 1, "n": 5}}
    of_value = result["slices"]["site"][key]
    part = table[SITE[0] == SITE]
    assert of_value["n"] == len(part) == 35
    assert of_value["accuracy"] == round(metrics.accuracy_score(part["label"], part["predicted"]), 4)
    expected = wilson_interval((part["label"] == part["predicted"]).sum(), 35)
    assert (of_value["accuracy_low"], of_value["accuracy_high"]) == tuple(round(bound, 4) for bound in expected)
    all_texts = result["slices"]["length"]["0-99 words"]
    for name in ("n", "accuracy", "accuracy_low", "accuracy_high", "log_loss", "ece", "ece_by_chance"):
        assert all_texts[name] == result[name]  # all test texts are short
    assert result["worst_slice"]["looked_at"] == 2

    html = report_again()
    check_markdown(Path("metrics/report.md").read_text())
    accuracy, log_loss, covered = (
        "{} ({} to {})".format(*(form.format(of_value[f"{name}{end}"]) for end in ("", "_low", "_high")))
        for name, form in (("accuracy", "{:.1%}"), ("log_loss", "{:.4f}"), ("set_coverage", "{:.1%}"))
    )
    ece = f"{of_value['ece']:.4f} (chance {of_value['ece_by_chance']:.4f})"
    assert ["site", "texts", "accuracy", "log loss", "set coverage", "ECE"] in rows(html)
    assert [key, "35", accuracy, log_loss, covered, ece] in rows(html)
    assert "5 texts are not in this table, since the values of their site" in html
    worst = result["worst_slice"]
    assert f"where site is {worst['value']}, the accuracy is {worst['accuracy']:.1%} " in html
    assert f"p = {worst['p']} by a one-sided Fisher's exact test, multiplied by the 2 groups" in html

    config = AutoConfig.from_pretrained(ADAPTER)
    card = MARKDOWN.render(card_of(config, result, read("metrics/data.json")).split("\n---\n", 1)[1])
    assert ["slice", "value", "texts", "accuracy (95% interval)"] in rows(card)
    assert ["site", key, "35", accuracy] in rows(card)
    shown = dvc("metrics", "show")
    assert key in shown
    assert "slices.site." in dvc("metrics", "diff", "--all")
    dvc("exp", "show", "--no-pager")  # a name that ends a style would end it with an error


def test_a_report_without_any_group(finished):
    """As of fewer than 30 test texts: there are no tables, and the picture has no points."""
    result = read(METRICS / "evaluate.json")
    left_out = {"length": {"values": 1, "n": 20}}
    Path("metrics/evaluate.json").unlink()
    pd.Series(result | {"slices": {"length": {}}, "slices_left_out": left_out}).to_json("metrics/evaluate.json")
    html = report_again()
    assert "20 texts are not in a table of length" in html
    assert "No group could be compared with other texts." in html
    check_markdown(Path("metrics/report.md").read_text())
    card = card_of(AutoConfig.from_pretrained(ADAPTER), result | {"slices": {"length": {}}}, read("metrics/data.json"))
    assert "Results by slice" not in card
