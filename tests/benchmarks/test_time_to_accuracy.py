"""`make time-to-accuracy`, in small: what the clock counts, when a run ends, and what it is asked."""

import pandas as pd
import pytest
from conftest import predict
from markdown_tables import rows_of

from benchmarks import time_to_accuracy
from benchmarks.time_to_accuracy import Run
from classifier.model.loading import load_classifier
from classifier.text.tokens import open_tokens

pytestmark = pytest.mark.usefixtures("matrix_rate")


def test_the_clock_stands_still_while_it_is_asked(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time_to_accuracy.time, "perf_counter", lambda: clock[0])
    answers = iter([0.5, 0.8, 0.9])

    def accuracy(model):
        clock[0] += 1000
        return next(answers)

    run = time_to_accuracy.Run("x", 50, 0.9, 100, accuracy, started=0.0)
    ended = []
    while not ended or not ended[-1]:
        clock[0] += 2
        ended.append(run.ends(None, len(ended) + 1, 16))
    assert run.table == [["x", 64, 8, 5, 0.5], ["x", 112, 14, 5, 0.8], ["x", 160, 20, 5, 0.9]]
    assert len(ended) == 10
    short = time_to_accuracy.Run("z", 50, 0.9, 1e9, lambda model: 0.5, started=clock[0])
    assert not short.ends(None, 1, 16)
    assert short.ends(None, 2, 16, last=True)
    assert [row[:2] for row in short.table] == [["z", 32]]
    late = time_to_accuracy.Run("y", 50, 0.9, 100, lambda model: 0.5, started=clock[0] - 101)
    assert late.ends(None, 1, 16)
    assert late.table == [["y", 16, 101, 5, 0.5]]


@pytest.mark.parametrize(
    ("limit", "answers", "expected"),
    [  # the default is asked after 32 texts and after 64; the recipe, with no time left, after its first step
        (0, [0.5, 0.9, 0.6, 0.7], [("64", "0.900", "yes"), ("16", "0.600", "no"), ("16", "0.700", "no")]),
        (1e6, [0.5, 0.9, 0.9, 0.9], [("64", "0.900", "yes"), ("32", "0.900", "yes"), (None, "0.900", "yes")]),
    ],
)
def test_time_to_accuracy_beside_the_recipe(finished, capsys, monkeypatch, limit, answers, expected):
    questions, runs = iter(answers), []
    monkeypatch.setattr(time_to_accuracy, "accuracy_on", lambda texts, cut, target: lambda model: next(questions))
    monkeypatch.setattr(time_to_accuracy, "Run", lambda *given: runs.append(Run(*given)) or runs[-1])
    time_to_accuracy.main(target=0.9, every=32, held_out=10, limit=limit, frugal=True)
    first, second, _ = (run.table[-1][2] for run in runs)
    assert runs[1].limit == limit * first
    assert runs[2].limit == (second if limit else 0)  # what the rate before needed is enough
    rows = rows_of(capsys.readouterr().out)
    assert [row[0] for row in rows] == ["default", "recipe 0.001", "recipe 0.0002"]
    for row, (texts, *others) in zip(rows, expected, strict=True):
        assert [row[4], row[5]] == others
        assert texts in (row[1], None)


def test_accuracy_of_a_model(finished):
    """As infer answers, where no text is longer than a window; far from the target, on the first quarter."""
    texts = pd.read_parquet("data/raw/test.parquet")
    cut = open_tokens("test").metadata["tokenize"]
    texts = texts[texts["text"].str.split().str.len() <= cut["max_length"] - 2]
    labels = [["negative", "positive"].index(label) for label, _ in predict(texts["text"].tolist())]
    right, model = texts["label"].to_numpy() == labels, load_classifier()[0]
    assert time_to_accuracy.accuracy_on(texts, cut, 0)(model) == pytest.approx(right.mean())
    assert time_to_accuracy.accuracy_on(texts, cut, 2)(model) == pytest.approx(right[: len(texts) // 4].mean())
