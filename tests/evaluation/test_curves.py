"""Curves and confusions as tables: exact for few labels, small for many."""

import numpy as np
import pytest
from sklearn import metrics

from classifier.evaluation.confusion import confusion_table
from classifier.evaluation.curves import curves, one_against_rest, precision_at, table_of_curves
from classifier.files.formats import write_csv


def scores(rows: int, labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that are right more often than by chance."""
    rng = np.random.default_rng(seed)
    actual = rng.permutation(np.arange(rows) % labels)
    logits = rng.normal(size=(rows, labels))
    logits[np.arange(rows), actual] += 2
    probabilities = np.exp(logits)
    return actual, probabilities / probabilities.sum(axis=1, keepdims=True)


def test_curves_are_thinned_and_keep_the_area():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 5000)
    positive = np.clip(rng.normal(0.4 + 0.2 * labels, 0.15), 0, 1)
    roc, precision_recall = curves(
        one_against_rest(labels, ["no", "yes"]), np.column_stack([1 - positive, positive]), ["no", "yes"]
    )
    assert len(roc) <= 200
    assert set(roc["label"]) == {"yes"}
    area = metrics.auc(roc["false_positive_rate"], roc["true_positive_rate"])
    assert area == pytest.approx(metrics.roc_auc_score(labels, positive), abs=0.002)
    assert precision_recall["recall"].is_monotonic_increasing
    area = metrics.auc(precision_recall["recall"], precision_recall["precision"])
    assert area == pytest.approx(metrics.average_precision_score(labels, positive), abs=0.005)


def test_each_of_a_few_labels_has_its_curve():
    """A label without a row has none, and no warning."""
    labels, probabilities = scores(90, 3)
    for table in curves(one_against_rest(labels, ["a", "b", "c"]), probabilities, ["a", "b", "c"]):
        assert table["label"].unique().tolist() == ["a", "b", "c"]
    for table in curves(
        one_against_rest(labels[labels < 2], ["a", "b", "c"]), probabilities[labels < 2], ["a", "b", "c"]
    ):
        assert table["label"].unique().tolist() == ["a", "b"]


@pytest.mark.parametrize(("k", "only"), [(2, 0), (2, 1), (3, 0)])
def test_a_label_that_all_rows_have_has_no_curve(k, only):
    """The tables have their columns then, and no line. scikit-learn would warn and give NaN."""
    labels, probabilities = scores(90, k)
    kept = labels == only
    roc, precision_recall = curves(
        one_against_rest(labels[kept], ["a", "b", "c"][:k]), probabilities[kept], ["a", "b", "c"][:k]
    )
    assert roc.columns.tolist() == ["label", "false_positive_rate", "true_positive_rate"]
    assert precision_recall.columns.tolist() == ["label", "recall", "precision"]
    assert len(roc) == len(precision_recall) == 0


def test_many_labels_have_the_mean_and_the_lowest_curves():
    """Of twelve straight lines from 0 to 0.05, 0.10, ..., 0.60, the mean ends at 0.325; the first five are lowest."""
    lines = {f"label {number}": (np.array([0, 1]), np.array([0, number / 20])) for number in range(12, 0, -1)}
    table = table_of_curves(lines, 200, np.interp)
    assert table["label"].unique().tolist() == ["mean of 12 labels", *(f"label {number}" for number in range(1, 6))]
    mean = table[table["label"] == "mean of 12 labels"]
    assert len(mean) == 100
    assert mean["y"].iloc[-1] == pytest.approx(np.mean(np.arange(1, 13) / 20))
    assert mean["y"].iloc[33] == pytest.approx(33 / 99 * 0.325, abs=1e-4)


def test_the_mean_curve_has_the_mean_area():
    labels, probabilities = scores(3000, 12)
    roc, precision_recall = curves(
        one_against_rest(labels, [f"label {number}" for number in range(12)]),
        probabilities,
        [f"label {number}" for number in range(12)],
    )
    roc, precision_recall = (table[table["label"].str.startswith("mean")] for table in (roc, precision_recall))
    area = metrics.auc(roc["false_positive_rate"], roc["true_positive_rate"])
    assert area == pytest.approx(metrics.roc_auc_score(labels, probabilities, multi_class="ovr"), abs=0.01)
    area = metrics.auc(precision_recall["recall"], precision_recall["precision"])
    exact = [metrics.average_precision_score(labels == number, probabilities[:, number]) for number in range(12)]
    assert area == pytest.approx(np.mean(exact), abs=0.01)


def test_precision_is_not_interpolated():
    recall, precision = np.array([0, 0.5, 0.5, 1]), np.array([1, 0.8, 0.5, 0.4])
    assert precision_at(np.array([0, 0.3, 0.5, 0.51, 1]), recall, precision).tolist() == [1, 0.8, 0.8, 0.4, 0.4]


def test_confusion_table_has_every_pair():
    table = confusion_table(np.array([[2, 1, 0], [0, 1, 0], [1, 0, 0]]), ["a", "b", "c"])
    assert table[["actual", "predicted"]].agg("".join, axis=1).tolist() == [x + y for x in "abc" for y in "abc"]
    assert table["count"].tolist() == [2, 1, 0, 0, 1, 0, 1, 0, 0]
    assert table["share"].tolist() == [0.6667, 0.3333, 0, 0, 1, 0, 1, 0, 0]


def test_confusion_table_of_a_label_without_rows():
    assert confusion_table(np.array([[3, 0], [0, 0]]), ["a", "b"])["share"].tolist() == [1, 0, 0, 0]


def test_confusion_table_of_many_labels_has_the_largest_confusions():
    """With 21 labels, the table has the two confusions alone: label 20 as label 0 (5 texts), label 3 as label 7 (2)."""
    counts = 9 * np.eye(21, dtype=int)
    counts[3, 7], counts[20, 0] = 2, 5
    table = confusion_table(counts, [f"label {number}" for number in range(21)])
    assert table.to_numpy().tolist() == [["label 20", "label 0", 5, 0.3571], ["label 3", "label 7", 2, 0.1818]]


def test_tables_of_300_labels_are_small(tmp_path):
    """They take less than 300 kB together, although a matrix of names of 40 characters would take 8 MB."""
    names = [f"label number {number:03} with a name of 40 letters"[:40] for number in range(300)]
    labels, probabilities = scores(9000, 300)
    counts = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(300))
    tables = [confusion_table(counts, names), *curves(one_against_rest(labels, names), probabilities, names)]
    for number, table in enumerate(tables):
        assert table.notna().all(axis=None)
        write_csv(tmp_path / f"{number}.csv", table)
    assert (counts.astype(bool) & ~np.eye(300, dtype=bool)).sum() > len(tables[0]) == 1000
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 300_000
