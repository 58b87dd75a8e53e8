"""`make time-to-accuracy` on the tiny project: what the clock counts, when a training stops, how it is evaluated."""

import pandas as pd
import pytest
from commands import predict
from markdown_tables import rows_of

from benchmarks import time_to_accuracy
from benchmarks.time_to_accuracy import Watch
from classifier.model.loading import load_classifier
from classifier.text.tokens import open_tokens

pytestmark = pytest.mark.usefixtures("matrix_rate")


def test_the_clock_stops_during_an_evaluation(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time_to_accuracy.time, "perf_counter", lambda: clock[0])
    answers = iter([0.5, 0.8, 0.9])

    def accuracy(model):
        clock[0] += 1000
        return next(answers)

    watch = Watch("x", 50, 0.9, 100, accuracy, started=0.0)
    stopped = []
    while not stopped or not stopped[-1]:
        clock[0] += 2
        stopped.append(watch.should_stop(None, len(stopped) + 1, 16))
    assert watch.table == [["x", 64, 8, 5, 0.5], ["x", 112, 14, 5, 0.8], ["x", 160, 20, 5, 0.9]]
    assert len(stopped) == 10
    short = Watch("z", 50, 0.9, 1e9, lambda model: 0.5, started=clock[0])
    assert not short.should_stop(None, 1, 16)
    assert short.should_stop(None, 2, 16, last=True)
    assert [row[:2] for row in short.table] == [["z", 32]]
    late = Watch("y", 50, 0.9, 100, lambda model: 0.5, started=clock[0] - 101)
    assert late.should_stop(None, 1, 16)
    assert late.table == [["y", 16, 101, 5, 0.5]]


@pytest.mark.parametrize(
    ("limit", "answers", "expected"),
    [  # the default is evaluated after 32 and 64 texts; the recipe, with no time left, after its first step
        (0, [0.5, 0.9, 0.6, 0.7], [("64", "90.0%", "yes"), ("16", "60.0%", "no"), ("16", "70.0%", "no")]),
        (1e6, [0.5, 0.9, 0.9, 0.9], [("64", "90.0%", "yes"), ("32", "90.0%", "yes"), (None, "90.0%", "yes")]),
    ],
)
def test_time_to_accuracy_beside_the_recipe(finished, capsys, monkeypatch, limit, answers, expected):
    accuracies, watches = iter(answers), []
    monkeypatch.setattr(time_to_accuracy, "accuracy_on", lambda texts, cut, target: lambda model: next(accuracies))
    monkeypatch.setattr(time_to_accuracy, "Watch", lambda *args: watches.append(Watch(*args)) or watches[-1])
    time_to_accuracy.main(target=0.9, every=32, held_out=10, limit=limit, frugal=True)
    first, second, _ = (watch.table[-1][2] for watch in watches)
    assert watches[1].limit == limit * first
    assert watches[2].limit == (second if limit else 0)  # the time that the first learning rate needed
    rows = rows_of(capsys.readouterr().out)
    assert [row[0] for row in rows] == [
        "the pipeline with minilm",
        "Trainer, learning rate 0.001",
        "Trainer, learning rate 0.0002",
    ]
    for row, (texts, accuracy, reached) in zip(rows, expected, strict=True):
        assert [row[4], row[5]] == [accuracy, reached]
        assert texts in (row[1], None)


def test_accuracy_of_a_model(finished):
    """It is that of infer's answers, if no text is longer than a window. Far from the target a quarter is scored."""
    texts = pd.read_parquet("data/raw/test.parquet")
    cut = open_tokens("test").metadata["tokenize"]
    texts = texts[texts["text"].str.split().str.len() <= cut["max_length"] - 2]
    labels = [["negative", "positive"].index(label) for label, _ in predict(texts["text"].tolist())]
    right, model = texts["label"].to_numpy() == labels, load_classifier()[0]
    assert time_to_accuracy.accuracy_on(texts, cut, 0)(model) == pytest.approx(right.mean())
    assert time_to_accuracy.accuracy_on(texts, cut, 2)(model) == pytest.approx(right[: len(texts) // 4].mean())
