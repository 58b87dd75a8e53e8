"""Slices: groups of test texts that are measured separately.

A slice is a column that divides the texts into groups, one for each of its values. `slices` in the data set's entry
names columns. The number of words, `length`, is a slice of every data set. The MOST_VALUES most frequent values of a
slice are measured, if they have at least LEAST_ROWS rows. The rows of all other values are only counted.
"""

import hashlib
import itertools

import numpy as np
import pandas as pd

from classifier.evaluation import metrics
from classifier.evaluation.intervals import mean_interval, wilson_interval
from classifier.params.datasets import LENGTH
from classifier.text.words import count_words

LENGTHS = [0, 100, 200, 300, 500]  # the lowest number of words of each group
LEAST_ROWS = 30  # of a value that is measured
MOST_VALUES = 20  # of a slice that are measured, the most frequent ones
RANGES = 5  # of about equal size, into which a column with more than MOST_VALUES different numbers is cut
MOST_CHARACTERS = 60  # of a key
MISSING = {"": "missing", "missing": '"missing"'}  # the key of an empty value, and that of the value "missing" itself


Calibrated = tuple[np.ndarray, np.ndarray] | None  # probabilities and labels; see `calibrated` of a task's measures


def groups_of(table: pd.DataFrame, columns: list[str]) -> dict[str, pd.Series]:
    """Return the value of each row, by slice.

    Args:
        table: The columns text, perhaps text_pair, and those of the slices, with texts.
        columns: The columns of the slices besides the length.
    """
    words = sum(table[name].map(count_words) for name in ("text", "text_pair") if name in table)
    names = [f"{low}-{high - 1} words" for low, high in itertools.pairwise(LENGTHS)] + [f"{LENGTHS[-1]}+ words"]
    length = pd.cut(words, [*LENGTHS, float("inf")], right=False, labels=names)
    return {LENGTH: length} | {name: in_ranges(table[name]) for name in columns}


def in_ranges(values: pd.Series) -> pd.Series:
    """Return the values of a column; of one with more than MOST_VALUES different numbers, the range of each value.

    A range is named by its lowest and its highest value, such as "1990 to 1999". Missing values stay "".
    """
    numbers = pd.to_numeric(values[values != ""], errors="coerce").astype(float)
    if numbers.nunique() <= MOST_VALUES or not np.isfinite(numbers).all():
        return values
    part = pd.qcut(numbers, RANGES, labels=False, duplicates="drop")
    ends = [(values[rows.idxmin()], values[rows.idxmax()]) for _, rows in numbers.groupby(part)]
    names = [low if low == high else f"{low} to {high}" for low, high in ends]
    codes = part.reindex(values.index).fillna(len(names)).astype(int)
    return pd.Series(pd.Categorical.from_codes(codes, [*names, ""], ordered=True), values.index)


def key_of(value: str) -> str:
    """Return the key of a value or a column in metrics/evaluate.json.

    It is the value, unless that is long or has characters that DVC or a terminal cannot show. Then the key ends with a
    hash of the value, so that different values have different keys.
    """
    if value in MISSING:
        return MISSING[value]
    plain = "".join(character if character.isprintable() else " " for character in value)
    plain = " ".join(plain.translate(str.maketrans("[]", "()")).split())  # DVC reads [/x] as the end of a style
    if plain == value and len(value) <= MOST_CHARACTERS:
        return value
    return f"{plain[: MOST_CHARACTERS - 10]}… {hashlib.sha256(value.encode()).hexdigest()[:8]}"


def measure_slices(
    per_row: dict[str, pd.Series], groups: dict[str, pd.Series], calibrated: Calibrated, bins: int
) -> dict[str, dict]:
    """Return the metrics of each value of each slice, and the worst value, as metrics/evaluate.json has them.

    A one-sided test compares the rows of each value with all other rows. The null hypothesis is that the rows of the
    value have no worse quality. The test is Fisher's exact test for shares, and Welch's t-test for errors. The value
    with the smallest p-value is the worst one. Its p-value is multiplied by the number of tests (Bonferroni, the first
    step of Holm's method).

    Args:
        per_row: (rows,) of each metric, whose mean is measured: bool for a share, float for an error. The first one is
            the quality that is tested.
        groups: The value of each row, by slice; see `groups_of`. The values of a categorical column keep its order.
        calibrated: The probabilities and labels of the rows; None measures no calibration.
        bins: The number of bins of confidence.
    """
    quality, arrays = next(iter(per_row)), {name: series.to_numpy() for name, series in per_row.items()}
    slices, left_out, tests = {}, {}, []
    for name, values in groups.items():
        kept, others = chosen_values(values)
        by_value = slices[key_of(name)] = {}
        if len(others):
            left_out[key_of(name)] = {"values": len(others), "n": int(others.sum())}
        for value in kept:
            rows, key = (values == value).to_numpy(), key_of(value)
            by_value[key] = measured(arrays, rows, calibrated, bins)
            if not rows.all():
                tests.append((p_of_worse(arrays[quality], rows), key_of(name), key))
    result = {"slices": metrics.rounded(slices)} | ({"slices_left_out": left_out} if left_out else {})
    if tests:
        p, name, key = min(tests)
        row = slices[name][key]
        others = (arrays[quality].sum() - row["n"] * row[quality]) / (len(arrays[quality]) - row["n"])
        means = metrics.rounded({quality: row[quality], f"{quality}_of_others": float(others)})
        worst = {"slice": name, "value": key, "n": row["n"]} | means
        result["worst_slice"] = worst | {"p": float(f"{min(1, p * len(tests)):.3g}"), "looked_at": len(tests)}
    return result


def chosen_values(values: pd.Series) -> tuple[pd.Index, pd.Series]:
    """Return (the values of a slice to measure, how many rows each other value has)."""
    counts = values.value_counts().sort_index()
    counts = counts[counts > 0]  # a categorical column counts values that no row has
    frequent = counts.sort_values(ascending=False, kind="stable")
    kept = frequent[frequent >= LEAST_ROWS].index[:MOST_VALUES]
    return counts.index[counts.index.isin(kept)] if values.dtype == "category" else kept, counts.drop(kept)


def measured(per_row: dict[str, np.ndarray], rows: np.ndarray, calibrated: Calibrated, bins: int) -> dict[str, float]:
    """Return the metrics of some rows, (rows,) bool, with 95% intervals. Other arguments: see `measure_slices`."""
    result = {"n": int(rows.sum())}
    for name, values in per_row.items():
        chosen = values[rows]
        low, high = wilson_interval(chosen.sum(), len(chosen)) if chosen.dtype == bool else mean_interval(chosen)
        result |= {name: float(chosen.mean()), f"{name}_low": low, f"{name}_high": high}
    if calibrated:
        probabilities, labels = calibrated[0][rows], calibrated[1][rows].ravel()
        probabilities = probabilities.reshape(len(labels), -1)
        result["ece"] = metrics.expected_calibration_error(metrics.reliability(probabilities, labels, bins))
        result["ece_by_chance"] = metrics.calibration_error_by_chance(probabilities, bins)
    return result


def p_of_worse(quality: np.ndarray, rows: np.ndarray) -> float:
    """Return the p-value of the null hypothesis that the quality of some rows is not worse than that of all others.

    Args:
        quality: (rows,) bool, whether each answer is right, or float, its error.
        rows: (rows,) bool, the rows in question.
    """
    from scipy.stats import fisher_exact, ttest_ind

    first, second = quality[rows], quality[~rows]
    if quality.dtype == bool:
        counts = [[part.sum(), len(part) - part.sum()] for part in (first, second)]
        return float(fisher_exact(counts, alternative="less").pvalue)
    p = ttest_ind(first, second, equal_var=False, alternative="greater").pvalue
    return 1.0 if np.isnan(p) else float(p)  # NaN if all errors are equal, or if one of the two parts has a single row
