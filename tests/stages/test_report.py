"""The report of a run, and of runs with other samples, labels and mistakes."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import read
from report_page import MARKDOWN, PICTURES, check_markdown, report_again, rows

from classifier.evaluation.confusion import confusion_figure, confusion_table
from classifier.evaluation.metrics import metrics_by_label
from classifier.files.formats import read_table, write_csv, write_json, write_table
from classifier.files.places import DOUBTFUL, PREDICTIONS


def test_report_of_a_run(finished):
    text = Path("metrics/report.md").read_text()
    html = MARKDOWN.render(text)
    table, evaluation = rows(html), read("metrics/evaluate.json")
    assert f"<h1>imdb-wheel: {evaluation['accuracy']:.1%} accuracy</h1>" in html
    assert ["accuracy", f"{evaluation['accuracy']:.1%}", f"{evaluation['baseline_accuracy']:.1%}"] in table
    positive = evaluation["labels"]["positive"]
    for name in ("precision", "recall", "F1"):
        of_both = [f"{positive[prefix + name.lower()]:.1%}" for prefix in ("", "baseline_")]
        assert [f"{name}, positive", *of_both] in table
    assert f"McNemar's exact test on the same test texts: p = {evaluation['mcnemar_p']}" in text
    counts = pd.read_csv("metrics/confusion.csv").pivot(index="actual", columns="predicted", values="count")
    for actual in counts.index:
        assert [actual, *counts.loc[actual].astype(str)] in table
    before, after = (f"{evaluation[name]:.4f}" for name in ("log_loss_uncalibrated", "log_loss"))
    assert ["log loss", before, after] in table
    pictures = re.findall(r'<img src="([^"]+)" width="(\d+)"', html)
    assert [name for name, _ in pictures] == [f"{name}.png" for name in PICTURES]
    for name, width in pictures:
        data = Path("metrics", name).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert int.from_bytes(data[16:20]) in (2 * int(width), 2 * int(width) + 1)
        assert int(width) <= 831
    check_markdown(text)


def test_samples_are_marked(finished):
    """Of three samples, one is answered as expected, one otherwise, and one has no expected label."""
    samples = [
        {"label": "positive", "confidence": 0.9, "text": "a" * 161, "expected": "positive"},
        {"label": "positive", "confidence": 0.8, "text": "b" * 160, "expected": "negative"},
        {"label": "negative", "confidence": 0.7, "text": "c"},
    ]
    write_json(Path("metrics/samples.json"), samples)
    html = report_again(mistakes=0)
    assert [row for row in rows(html) if row[-1] in ("right", "wrong", "not marked")] == [
        ["a" * 159 + "…", "positive", "positive", "90.0%", "right"],
        ["b" * 160, "negative", "positive", "80.0%", "wrong"],
        ["c", "none", "negative", "70.0%", "not marked"],
    ]
    assert "1 of the 2 sample texts" in html
    assert ["1", "positive", "positive", "90.0%", "right"] in rows(report_again(texts=False))
    for sample in samples:
        sample.pop("expected", None)
    write_json(Path("metrics/samples.json"), samples)
    html = report_again()
    assert ["c", "negative", "70.0%"] in rows(html)
    assert "sample texts" not in html


def make_labels(k: int, missing: int = 0) -> list[str]:
    """Turn the finished run into one with k labels, of which some texts have a wrong one; return the labels.

    No text has one of the last `missing` labels.
    """
    names, rng = [f"label {number}" for number in range(k)], np.random.default_rng(0)
    actual = np.arange(20 * k) % (k - missing)
    predicted = np.where(rng.random(20 * k) < 0.7, actual, rng.integers(0, k, 20 * k))
    columns = {"label": actual, "predicted": predicted, "confidence": rng.uniform(1 / k, 1, 20 * k)}
    PREDICTIONS.unlink()  # a link into DVC's cache
    table = pd.DataFrame(columns).assign(text="a text", decided_by="")
    write_table(PREDICTIONS, table, task="single-label", labels=names)
    counts = np.zeros((k, k), dtype=int)
    np.add.at(counts, (actual, predicted), 1)
    write_csv(Path("metrics/confusion.csv"), confusion_table(counts, names))
    confusion_figure(counts, names, Path("metrics/confusion.png"))
    by_label = metrics_by_label(actual, predicted, names)
    for values in by_label.values():
        values |= {f"baseline_{name}": values[name] / 2 for name in ("precision", "recall", "f1") if name in values}
        values["mean_probability"] = 1 / k
    write_json(Path("metrics/evaluate.json"), read("metrics/evaluate.json") | {"labels": by_label, "n": 20 * k})
    shares = {f"{split}_share_{name}": 1 / k for split in ("train", "validation", "test") for name in names}
    write_json(Path("metrics/data.json"), read("metrics/data.json") | shares)
    training = read("metrics/training.json") | {"bias": dict.fromkeys(names, 0.0)}
    write_json(Path("metrics/training.json"), training)
    return names


@pytest.mark.parametrize("k", [3, 25, 300])
def test_the_report_of_more_labels(finished, k):
    """Means over the labels stand once, and the tables of many labels have the twenty worst or rarest."""
    names, evaluation = make_labels(k), read("metrics/evaluate.json")
    text = report_again() and Path("metrics/report.md").read_text()
    check_markdown(text)
    table, of_labels = rows(MARKDOWN.render(text)), evaluation["labels"]
    baseline = np.mean([values["baseline_f1"] for values in of_labels.values()])
    assert [["F1, mean over the labels", f"{evaluation['f1']:.1%}", f"{baseline:.1%}"]] == [
        row for row in table if row[0].startswith("F1,")
    ]
    shown = [row[0] for row in table if len(row) == 10][1:]
    assert shown == (names if k == 3 else sorted(names, key=lambda name: of_labels[name]["f1"])[:20])
    assert sum(row[0] in names and len(row) == 4 and row[1].endswith("%") for row in table) == min(k, 20)
    assert any(row[0].startswith("actual") for row in table) == (k == 3)
    assert len(text) < 25_000


@pytest.mark.parametrize("k", [3, 25])
def test_the_report_of_a_test_split_that_lacks_labels(finished, k):
    """Two of three labels, or ten of 25, are there. Means are over these, and the others have no metrics."""
    missing = 1 if k == 3 else 15
    names, evaluation = make_labels(k, missing), read("metrics/evaluate.json")
    report_again(mistakes=0)
    text = Path("metrics/report.md").read_text()
    check_markdown(text)
    table, of_labels = rows(MARKDOWN.render(text)), evaluation["labels"]
    baseline = np.mean([of_labels[name]["baseline_f1"] for name in names[: k - missing]])
    of = "mean over the labels with test texts"
    assert [f"F1, {of}", f"{evaluation['f1']:.1%}", f"{baseline:.1%}"] in table
    assert f"The ROC AUC, {of}, is {evaluation['roc_auc']:.4f}" in text
    by_label = [row for row in table if len(row) == 10 and row[0] in names]
    assert len(by_label) == min(k, 20)
    absent = [row for row in by_label if row[1] == "0"]
    assert [row[0] for row in absent] == names[k - missing : 20]
    assert all(row[2:] == ["0.0%", f"{1 / k:.1%}", *["none there"] * 6] for row in absent)
    assert sum("none there" in row for row in table) == len(absent)
    assert text.count("The test split has no text with the label") == 1


def test_mistakes_and_doubtful_labels_are_compared(finished):
    """All ten most confident mistakes have one pair of labels; the most doubtful labels have the same, or the other."""
    predictions, metadata = read_table(PREDICTIONS)
    predictions["predicted"] = 1 - predictions["label"]
    predictions["confidence"] = np.where(predictions["label"] == 0, 0.9, 0.8)
    PREDICTIONS.unlink()
    write_table(PREDICTIONS, predictions.assign(decided_by="'fun'. +1.0"), **metadata)
    DOUBTFUL.unlink()
    row = {"hash": "0" * 32, "label": "negative", "predicted": "positive", "probability": 0.1, "text": "a"}
    found = []
    for label, other in (("negative", "positive"), ("positive", "negative")):
        doubtful = pd.DataFrame([row | {"label": label, "predicted": other}] * 12)
        write_csv(DOUBTFUL, doubtful)
        html = report_again()
        assert "all are labelled negative and predicted positive (40 of all 80)" in html
        assert f"all are labelled {label} and predicted {other} (12 of all 12)" in html
        found.append("is not that of" not in html)
        assert any(cells[-1] == "fun +1.0" for cells in rows(html))
    assert found == [True, False]


def test_a_run_without_mistakes_and_doubtful_labels(finished):
    predictions, metadata = read_table(PREDICTIONS)
    PREDICTIONS.unlink()
    write_table(PREDICTIONS, predictions.assign(predicted=predictions["label"], decided_by=""), **metadata)
    DOUBTFUL.unlink()
    write_csv(DOUBTFUL, pd.DataFrame(columns=["hash", "label", "predicted", "probability", "text"]))
    write_json(Path("metrics/baseline.json"), read("metrics/baseline.json") | {"doubtful_labels": 0})
    html = report_again()
    check_markdown(Path("metrics/report.md").read_text())
    assert "There is no mistake" in html


@pytest.mark.parametrize(
    ("explained", "mistakes"), [(0, "no mistake"), (1, "the 1 most confident mistakes"), (2, None)]
)
def test_which_mistakes_have_deciding_words(finished, explained, mistakes):
    predictions, metadata = read_table(PREDICTIONS)
    predictions["predicted"] = 1 - predictions["label"]
    first = predictions.nlargest(explained, "confidence").index
    predictions["decided_by"] = ["**a** +1.0" if row in first else "" for row in predictions.index]
    write_table(PREDICTIONS, predictions, **metadata)
    html = report_again(mistakes=2)
    sentence = f"The deciding words were computed for {mistakes} (<code>evaluate.explained</code>)."
    assert sentence in html if mistakes else "were computed for" not in html
