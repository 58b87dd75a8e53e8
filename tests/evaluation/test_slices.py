"""Metrics by slice, against scipy, the metrics of the whole split, and cases worked by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from classifier.evaluation import metrics
from classifier.evaluation.findings import slice_rows, slice_tables, worst_slice
from classifier.evaluation.intervals import mean_interval, wilson_interval
from classifier.evaluation.slices import LEAST_ROWS, MOST_VALUES, groups_of, key_of, measure_slices
from classifier.evaluation.tasks.task import MEASURES
from classifier.files.formats import table_of
from classifier.params.datasets import OWN_COLUMNS
from classifier.tasks.task import TASKS

SINGLE = MEASURES["single-label"]


def measured(right: np.ndarray, groups: dict[str, list[str]], **per_row) -> dict:
    """Return the metrics by slice of rows whose answer is right or wrong, without calibration."""
    values = {"accuracy": pd.Series(right)} | {name: pd.Series(rows) for name, rows in per_row.items()}
    return measure_slices(values, {name: pd.Series(rows) for name, rows in groups.items()}, None, 10)


def test_a_case_by_hand():
    """Of 40 texts from the web 20 are right, of 60 from books 57, of 5 from letters all. Letters are too few."""
    right = np.array([True] * 20 + [False] * 20 + [True] * 57 + [False] * 3 + [True] * 5)
    result = measured(right, {"source": ["web"] * 40 + ["book"] * 60 + ["letter"] * 5}, log_loss=np.arange(105.0))
    assert list(result["slices"]["source"]) == ["book", "web"]  # the most frequent first
    assert result["slices_left_out"] == {"source": {"values": 1, "n": 5}}
    web = result["slices"]["source"]["web"]
    assert (web["n"], web["accuracy"], web["log_loss"]) == (40, 0.5, 19.5)
    assert (web["accuracy_low"], web["accuracy_high"]) == pytest.approx(wilson_interval(20, 40), abs=5e-5)
    half = stats.t.ppf(0.975, 39) * stats.sem(np.arange(40.0))
    assert (web["log_loss_low"], web["log_loss_high"]) == pytest.approx((19.5 - half, 19.5 + half), abs=5e-5)
    # Of all 105 texts 82 are right. The hypergeometric chance that at most 20 of 40 are, times two groups:
    p = 2 * stats.hypergeom.cdf(20, 105, 82, 40)
    expected = {
        "slice": "source",
        "value": "web",
        "n": 40,
        "accuracy": 0.5,
        "accuracy_of_others": 0.9538,
        "looked_at": 2,
    }
    assert result["worst_slice"] == expected | {"p": float(f"{p:.3g}")}
    assert result["worst_slice"]["p"] < 1e-6  # and not rounded to 0


def test_the_length_counts_the_characters_of_a_script_without_spaces():
    groups = groups_of(pd.DataFrame({"text": ["好" * 150, "good " * 150, "good film"]}), [])
    assert list(groups["length"]) == ["100-199 words", "100-199 words", "0-99 words"]


def test_the_worst_error_is_that_of_welch():
    rng = np.random.default_rng(0)
    error = np.abs(np.concatenate([rng.normal(0, 1, 100), rng.normal(0, 2, 50), rng.normal(0, 1, 80)]))
    groups = {"a": ["x"] * 100 + ["y"] * 50 + ["z"] * 80, "b": ["p", "q"] * 115}
    series = {name: pd.Series(values) for name, values in groups.items()}
    result = measure_slices({"absolute_error": pd.Series(error)}, series, None, 10)
    test = stats.ttest_ind(error[100:150], np.delete(error, range(100, 150)), equal_var=False, alternative="greater")
    worst = result["worst_slice"]
    assert (worst["slice"], worst["value"], worst["n"], worst["looked_at"]) == ("a", "y", 50, 5)
    assert worst["p"] == pytest.approx(5 * test.pvalue, rel=1e-2)
    y = result["slices"]["a"]["y"]
    assert (y["absolute_error_low"], y["absolute_error_high"]) == pytest.approx(mean_interval(error[100:150]), abs=5e-5)


def test_the_worst_of_equal_groups_is_chance():
    """In 200 draws of equally good groups, the corrected p-value is below 5% in at most about 5%."""
    rng = np.random.default_rng(1)
    small = 0
    for _ in range(200):
        groups = {"a": rng.choice(list("abcde"), 300).tolist(), "b": rng.choice(list("xy"), 300).tolist()}
        small += measured(rng.random(300) < 0.8, groups)["worst_slice"]["p"] < 0.05
    assert small <= 15


def test_nothing_to_compare():
    """All rows have one value, or the errors are all equal."""
    assert "worst_slice" not in measured(np.full(40, True), {"a": ["x"] * 40})
    few = measured(np.full(20, True), {"a": ["x"] * 20})
    assert few == {"slices": {"a": {}}, "slices_left_out": {"a": {"values": 1, "n": 20}}}
    equal = {"absolute_error": pd.Series(np.ones(80))}
    assert measure_slices(equal, {"a": pd.Series(["x", "y"] * 40)}, None, 10)["worst_slice"]["p"] == 1


def test_the_length_in_words():
    texts = ["a b"] * 30 + ["a " * 99] * 30 + ["a " * 100] * 40 + ["a " * 500] * 40
    table = pd.DataFrame({"text": texts})
    result = measure_slices({"accuracy": pd.Series(np.full(140, True))}, groups_of(table, []), None, 10)
    counts = {words: group["n"] for words, group in result["slices"]["length"].items()}
    assert counts == {"0-99 words": 60, "100-199 words": 40, "500+ words": 40}  # in this order
    assert "slices_left_out" not in result
    pairs = groups_of(pd.DataFrame({"text": texts, "text_pair": texts}), [])["length"]
    assert pairs.value_counts().to_dict() == {
        "0-99 words": 30, "100-199 words": 30, "200-299 words": 40, "300-499 words": 0, "500+ words": 40
    }  # fmt: skip


def test_many_numbers_are_cut_into_ranges():
    """Of the years 1950 to 1999, each range has ten. Missing years are a group of their own."""
    years = [str(1950 + n % 50) for n in range(400)] + [""] * 50
    table = pd.DataFrame({"text": "a", "year": years, "few": [str(n % MOST_VALUES) for n in range(450)]})
    groups = groups_of(table, ["year", "few"])
    result = measure_slices({"accuracy": pd.Series(np.full(450, True))}, groups, None, 10)["slices"]
    assert {value: row["n"] for value, row in result["year"].items()} == {
        "1950 to 1959": 80, "1960 to 1969": 80, "1970 to 1979": 80, "1980 to 1989": 80, "1990 to 1999": 80,
        "missing": 50,
    }  # fmt: skip
    assert len(groups["few"].unique()) == MOST_VALUES
    mixed = groups_of(table.assign(year=[*years[:-1], "unknown"]), ["year"])["year"]
    assert mixed.nunique() == 52
    uneven = pd.DataFrame({"text": "a", "n": ["0"] * 300 + [str(n) for n in range(1, 101)]})
    assert set(groups_of(uneven, ["n"])["n"]) == {"0 to 20", "21 to 100"}  # three fifths and more are 0


def test_the_most_frequent_values():
    values = [f"v{n}" for n in range(30) for _ in range(30 + n)] + ["rare"] * (LEAST_ROWS - 1)
    result = measured(np.full(len(values), True), {"a": values})
    assert list(result["slices"]["a"]) == [f"v{n}" for n in range(29, 9, -1)]
    assert result["slices_left_out"]["a"] == {"values": 11, "n": sum(range(30, 40)) + LEAST_ROWS - 1}


def test_keys():
    """Short values are their own keys, and others have keys that differ."""
    plain = ["web", "a.b", "a/b", "a|b", "<b>", "好 😀", "x" * 60, "missing values"]
    assert [key_of(value) for value in plain] == plain
    assert [key_of(value) for value in ("", "missing")] == ["missing", '"missing"']
    odd = ["x" * 61, "x" * 62, "a\nb", "a b ", "[/red]", "(/red)…", "\x1b[31m", "\x00", "a  b"]
    keys = [key_of(value) for value in odd]
    assert len(set(keys)) == len(odd)
    assert max(map(len, keys)) <= 60
    assert all(key.isprintable() and not set(key) & set("[]") for key in keys)


def test_all_metrics_of_a_value_are_those_of_its_rows_alone():
    """For labels and for several labels a text, the calibration too."""
    rng = np.random.default_rng(0)
    probability = rng.dirichlet([1, 1], 200)
    labels = (rng.random(200) < probability[:, 1]).astype(int)
    table = pd.DataFrame({"label": labels, "predicted": probability.argmax(axis=1)})
    table[["probability_a", "probability_b"]] = probability
    group = pd.Series(rng.choice(["x", "y"], 200))
    values = SINGLE.paired_values(table, ["a", "b"])
    x = measure_slices(values, {"g": group}, (probability, labels), 10)["slices"]["g"]["x"]
    rows = (group == "x").to_numpy()
    whole = metrics.classification_metrics(labels[rows], probability[rows])
    expected = {name: whole[name] for name in ("accuracy", "accuracy_low", "accuracy_high", "log_loss")}
    expected |= metrics.calibration_errors(labels[rows], probability[rows], probability[rows], 10)
    del expected["ece_uncalibrated"]
    assert {name: x[name] for name in expected} == pytest.approx(expected, abs=5e-5)
    pairs = np.stack([1 - probability, probability], axis=2)  # (rows, names, 2)
    both = np.stack([1 - labels, labels], axis=1)
    of_pairs = measure_slices(values, {"g": group}, (pairs, both), 10)["slices"]["g"]["x"]
    flat = metrics.reliability(pairs[rows].reshape(-1, 2), both[rows].ravel(), 10)
    assert of_pairs["ece"] == pytest.approx(metrics.expected_calibration_error(flat), abs=5e-5)


@pytest.mark.parametrize("p", [0.0321, 0.0684])
def test_the_sentence_about_the_worst(p):
    values = {"n": 200, "accuracy": 0.8, "accuracy_low": 0.75, "accuracy_high": 0.85}
    worst = {"slice": "a_b", "value": "x|y", "n": 200, "accuracy": 0.8, "accuracy_of_others": 0.9}
    worst |= {"p": p, "looked_at": 7}
    sentence = worst_slice({"slices": {"a_b": {"x|y": values}}, "worst_slice": worst}, SINGLE)
    found = ("where a\\_b is x\\|y, the accuracy is 80.0%", "75.0% to 85.0%", "90.0% of all other texts")
    for part in (*found, f"p = {p} ", "7 groups", "Fisher's"):
        assert part in sentence
    assert ("hardly explain" in sentence) == (p < 0.05)
    assert worst_slice({"slices": {}}, SINGLE) is None


def test_tables_of_numbers():
    values = {"n": 40, "absolute_error": 12.3456, "absolute_error_low": 10.0, "absolute_error_high": 14.7}
    many = {f"v{n}": values | {"absolute_error": float(n)} for n in range(25)}
    evaluate = {"slices": {"a": {"x": values}, "b": many}, "slices_left_out": {"a": {"values": 2, "n": 9}}}
    first, _ = slice_tables(evaluate, MEASURES["regression"])
    assert first["head"].startswith("| a | texts | mean absolute error |")
    assert first["rows"] == [["x", "40", "12.35 (10 to 14.7)"]]
    assert first["left_out"] == {"values": 2, "n": 9}
    worst = slice_rows(evaluate, "absolute_error")  # the 20 largest errors
    assert [row[1] for row in worst][:3] == ["v24", "v23", "v22"]
    assert len(worst) == 20


@pytest.mark.parametrize("task", MEASURES)
def test_no_slice_hides_a_column_of_predictions(task):
    """The columns that a task adds to data/predictions.parquet cannot be columns of slices."""
    from random_classifier import LABELS

    names, labels = LABELS[task]
    scores = np.random.default_rng(0).normal(size=(60, len(names)))
    columns = TASKS[task].prediction_columns(scores, names, TASKS[task].decide(scores, labels))
    assert {name for name in columns if not name.startswith("probability_")} <= OWN_COLUMNS
    values = MEASURES[task].paired_values(table_of({"label": labels, **columns}), names)
    assert next(iter(values)) == MEASURES[task].ROW_QUALITY
