"""The draws of `make few-labels`, and the means of its trainings."""

import json
from functools import wraps

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset

from benchmarks import few_labels, few_labels_searches, record
from benchmarks.few_labels import draw, means, selected
from classifier.text.tokens import Tokens, open_tokens

LABELS = np.array([0] * 30 + [1] * 70)


@pytest.fixture
def tokens() -> Tokens:
    ids = Dataset.from_dict({"input_ids": [[row] for row in range(100)]}).with_format("numpy")
    return Tokens(ids=ids, lengths=np.arange(100), row_labels=LABELS, metadata={"labels": ["no", "yes"]})


def test_a_draw_has_equal_shares_of_each_label_and_no_text_twice(tokens):
    parts = draw(tokens, 50, seed=0)
    assert [len(rows) for rows in parts] == [30, 20]
    assert len({*parts[0], *parts[1]}) == 50
    for rows in parts:
        part = selected(tokens, rows)
        assert [int(ids[0]) for ids in part[np.arange(len(part))]] == part.lengths.tolist() == rows.tolist()
        assert part.labels.tolist() == LABELS[rows].tolist()
        assert part.labels.mean() == 0.5
    again, other = draw(tokens, 50, seed=0)[0], draw(tokens, 50, seed=1)[0]
    assert again.tolist() == parts[0].tolist() != other.tolist()


def test_means_by_hand():
    rows = [
        (200, "as in params.yaml", 0, 50, 0.8, 0.5),
        (200, "epochs 8", 0, 90, 0.9, 0.4),
        (200, "as in params.yaml", 1, 50, 0.6, 0.7),
        (200, "epochs 8", 1, 90, 0.6, 0.8),
    ]
    columns = ["labels", "setting", "draw", "steps", "accuracy", "log_loss"]
    first, second = means(pd.DataFrame(rows, columns=columns), {200: 0.65}).to_dict("records")
    assert (first["accuracy"], first["log loss"], first["draws"], first["TF-IDF"]) == pytest.approx((0.7, 0.6, 2, 0.65))
    assert first["log loss minus the first row's"] == 0
    assert second["steps"] == 90
    assert second["log loss minus the first row's"] == pytest.approx(0.0)  # -0.1 and +0.1
    assert second["its standard error"] == pytest.approx(0.1)


def test_a_finished_search_trains_nothing_again(finished, forked_commands, tmp_path, monkeypatch, matrix_rate):
    """The second run reads the rows of the first; a changed setting is trained, and its old row is dropped.

    The pipeline's choice of 5 epochs and the setting of 5 epochs are one training.
    """
    settings = few_labels_searches.DEFAULT | few_labels_searches.epochs(5, 2)
    monkeypatch.setattr(few_labels, "SEARCHES", {"tiny": few_labels_searches.Search("minilm", 1, {60: settings})})
    monkeypatch.setattr(few_labels, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setenv("MACHINE", "tiny")
    trained, measured = [], few_labels.measured

    def noting(chosen, *texts):
        trained.append(chosen["recipe"].epochs)
        return measured(chosen, *texts)

    monkeypatch.setattr(few_labels, "measured", noting)
    texts_of_tf_idf, baseline = [], few_labels.baseline

    @wraps(baseline)  # its parameters name the settings
    def noting_texts(**settings):
        texts_of_tf_idf.append(pd.read_parquet("data/raw/train.parquet")["text"].tolist())
        baseline(**settings)

    monkeypatch.setattr(few_labels, "baseline", noting_texts)
    few_labels.main("tiny")
    assert trained == [5, 2]
    rows = pd.read_csv(tmp_path / "tiny/few_labels-tiny.csv")
    assert (rows["steps"] > 0).all()
    assert rows["accuracy"].between(0, 1).all()
    settings["epochs 2"] = ["train.epochs=3"]
    few_labels.main("tiny")
    assert trained[2:] == [3]
    table = json.loads((tmp_path / "tiny/few_labels-tiny.json").read_text())["rows"]
    assert [row["setting"] for row in table] == ["as in params.yaml", "epochs 5", "epochs 2"]
    assert table[0] | {"setting": "epochs 5"} == table[1]
    assert 0 < table[0]["TF-IDF"] == table[2]["TF-IDF"] <= 1
    train = pd.read_parquet(finished / "data/raw/train.parquet")
    rows, _ = draw(open_tokens("train"), 60, seed=0)
    assert texts_of_tf_idf == [train["text"].iloc[rows].tolist()] * 2
    assert len(pd.read_csv(tmp_path / "tiny/few_labels-tiny.csv")) == 3
