"""`make learning-curve`: the curve that it makes of results, and what it says of failed runs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import git, read
from markdown_tables import shows
from scipy import stats
from tiny import ROOT

from apps.revisions import differences
from benchmarks.learning_curve import command, curve
from benchmarks.learning_curve.command import draw, measure
from benchmarks.learning_curve.curve import make_curve, mean_with_interval
from benchmarks.learning_curve.plan import Run, plan
from benchmarks.learning_curve.report import conclusion, curve_table
from classifier.evaluation.intervals import wilson_interval


def refusal(**options) -> str:
    """Run a measurement that must fail; return its one line of error."""
    with pytest.raises(SystemExit) as refused:
        measure(**options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def scored(right: str, seed: int = 0, learned: bool = True) -> pd.DataFrame:
    """Return what experiment_scores() returns, for a text for each character; "1" stands for a right answer."""
    values = np.array([*right], dtype=float)
    columns = {
        "label": 0.0,
        "accuracy": values,
        "tfidf": values[::-1],
        "log_loss": 1 - 0.9 * values,
        "learned": learned,
    }
    return pd.DataFrame(columns, index=[f"text {seed} {number}" for number in range(len(right))])


def run_of(labels: int, seed: int) -> Run:
    return Run(f"{labels} {seed}", seed, labels, labels - 20, 20, [])


@pytest.fixture
def curve_of(monkeypatch):
    """Return a function from {(labels, seed): right answers} to the curve of these results."""

    def curve_of_results(results: dict[tuple[int, int], str], learned: bool = True) -> pd.DataFrame:
        tables = {f"{size} {seed}": scored(right, seed, learned) for (size, seed), right in results.items()}
        monkeypatch.setattr(curve, "experiment_scores", tables.get)
        made = make_curve([run_of(*key) for key in results])
        return made.assign(dataset="mine", model="minilm", method="lora")

    return curve_of_results


def test_a_curve_worked_by_hand(curve_of):
    """Of 20 texts, 10 and 14 are right in two draws of the first size, and 20 in one draw of the second size."""
    half = "1" * 10 + "0" * 10
    by_size = curve_of({(50, 1): half, (50, 2): "1" * 14 + "0" * 6, (1000, 1): "1" * 20})
    first, last = by_size.iloc[0], by_size.iloc[1]
    assert (first["train"], first["validation"], first["test"], first["draws"]) == (30, 20, 20, 2)
    assert first["accuracy"] == pytest.approx(0.6)
    between = stats.t.ppf(0.975, 1) * 0.1  # 0.1: the standard error of the mean of 0.5 and 0.7
    within = stats.t.ppf(0.975, 39) * np.sqrt((20 * 0.25 + 20 * 0.21) / 40**2 * 40 / 39)
    assert first["accuracy_low"] == max(0, 0.6 - np.hypot(between, within)) == 0
    assert first["accuracy_high"] == 1
    assert first["log_loss"] == pytest.approx(0.46)
    assert first["log_loss_high"] == pytest.approx(0.46 + 0.9 * np.hypot(between, within))
    assert tuple(last[["accuracy", "accuracy_low", "accuracy_high"]]) == pytest.approx((1, *wilson_interval(20, 20)))
    assert (last["gain"], last["gain_draws"]) == (50, 1)
    assert last["gain_low"] == pytest.approx(50 - stats.t.ppf(0.975, 19) * 50 / np.sqrt(19))
    lines = curve_table(by_size).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        *("50", "30", "20", "2", "60.0% (0.0 to 100.0)", "60.0% (0.0 to 100.0)", "0.460 (0.000 to 1.612)"),
        *("", "draws and texts"),
    ]
    assert [cell.strip() for cell in lines[3].split("|")[1:-1]] == [
        *("1,000", "980", "20", "1", "100.0% (83.9 to 100.0)", "100.0% (83.9 to 100.0)", "0.100 (0.100 to 0.100)"),
        *("+50.0 (+26.0 to +74.0)", "texts"),
    ]
    assert conclusion(by_size) == (
        "From 50 to 1,000 labels accuracy rose by 50.0 points (95% interval of the change 26.0 to 74.0, on the same 20 "
        "test texts in one draw). The interval is above 0: more labels helped."
    )


def test_intervals_of_draws_and_texts():
    rng = np.random.default_rng(0)
    values = pd.Series(rng.normal(size=200))
    mean, low, high = mean_with_interval([values], -np.inf, np.inf)
    assert (low, high) == pytest.approx(tuple(stats.ttest_1samp(values, 0).confidence_interval()))
    again = mean_with_interval([values, values, values], -np.inf, np.inf)
    assert again == pytest.approx((mean, low, high))  # three draws of the same texts are no more texts
    others = [pd.Series(values.to_numpy(), index=values.index + 200 * draw) for draw in range(3)]
    assert np.diff(mean_with_interval(others, -np.inf, np.inf)[1:]) < np.diff([low, high]) / 1.7
    right = [pd.Series(1.0, index=range(20))] * 3
    assert mean_with_interval(right, 0, 1) == (
        1,
        *wilson_interval(20, 20),
    )  # a spread of 0 does not make the mean certain


def test_a_gain_is_that_of_make_compare(curve_of):
    by_size = curve_of({(1000, 1): "1100110011" * 4, (2000, 1): "1111110010" * 4})
    values = [{"accuracy": pd.Series([*right]) == "1"} for right in ("1100110011" * 4, "1111110010" * 4)]
    compared = differences(*values)["accuracy"]
    gain = by_size.iloc[1][["gain", "gain_low", "gain_high"]]
    assert tuple(gain) == pytest.approx((compared["difference"], compared["low"], compared["high"]))


def test_what_the_conclusion_says(curve_of):
    one, two = "1" * 30 + "0" * 10, "0" + "1" * 30 + "0" * 9
    assert "rose by 0.0 points" in conclusion(curve_of({(1000, 1): one, (2000, 1): two}))
    assert conclusion(curve_of({(1000, 1): one, (2000, 1): two})).endswith(
        "The interval holds 0: this does not show that more labels help."
    )
    worse = conclusion(curve_of({(50, 1): "1" * 40, (50, 2): "1" * 40, (100, 1): one, (100, 2): one}))
    assert "fell by 25.0 points" in worse
    assert "in each of 2 draws" in worse
    assert worse.endswith("The interval is below 0: more labels did harm.")
    for alone in ({(50, 1): one}, {(50, 1): one, (100, 2): two}):  # no draw in common
        assert conclusion(curve_of(alone)).startswith("Two sizes with a draw in common are needed")
    guessed = curve_table(curve_of({(50, 1): one}, learned=False))
    assert "(59.8 to 85.8)* |" in guessed
    assert guessed.splitlines()[-1].startswith("\\* In a draw or more TF-IDF learned nothing")


@pytest.mark.usefixtures("project")
def test_a_run_that_failed_is_named_and_the_others_are_drawn(capsys, monkeypatch, tmp_path):
    """Runs whose experiment exists are not run again."""
    existing = [plan([], [50], 1)[0].name]

    def execute(runs):
        assert [run.labels for run in runs] == [100, 220]
        existing.append(runs[1].name)

    monkeypatch.setattr(command, "execute", execute)
    monkeypatch.setattr(command, "missing_runs", lambda runs: [run for run in runs if run.name not in existing])
    monkeypatch.setattr(curve, "experiment_scores", lambda name: scored("110" * 10))
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("MACHINE", "mine")
    line = refusal(sizes="100 50 220", draws="1")
    assert line == "learning-curve: 1 of 3 runs failed; the same command runs them again"
    printed = capsys.readouterr().out
    assert "2 of 3 runs to make" in printed
    assert "100 labels, seed 13: failed; `dvc queue logs labels-100-seed-13-" in printed
    assert "From 50 to 220 labels accuracy rose by 0.0 points" in printed
    path = tmp_path / "results/mine/learning_curve-imdb-wheel-minilm-lora.csv"
    assert path.with_suffix(".png").is_file()
    written = pd.read_csv(path)
    assert curve_table(written) in printed  # the file has everything that the table and the sentence need
    assert conclusion(written) in printed
    draw([path, path], tmp_path / "both.png")
    assert (tmp_path / "both.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(SystemExit, match="CSV files that `make learning-curve` wrote are needed"):
        draw([Path("params.yaml")], tmp_path / "none.png")


def test_docs_show_what_was_measured():
    page = (ROOT / "docs/how-to/few-labels.md").read_text()
    curves = list((ROOT / "benchmarks/results").glob("*/learning_curve-*.csv"))
    assert curves
    for path in curves:
        measured = pd.read_csv(path)
        assert shows(page, curve_table(measured)), path
        assert conclusion(measured) in " ".join(page.split()), path


@pytest.mark.scale
def test_experiments_run_and_are_not_run_again(finished, capfd):
    measure(sizes="50 100", draws="1", settings="train.epochs=1")
    out = capfd.readouterr().out
    assert "2 of 2 runs to make" in out
    assert "From 50 to 100 labels accuracy" in out
    assert git("status", "--porcelain") == ""  # this folder stays as it was
    git("commit", "-q", "--allow-empty", "-m", "later")
    measure(sizes="50 100", draws="1", settings="train.epochs=1")
    again = capfd.readouterr().out
    assert "0 of 2 runs to make" in again
    assert out.split("\n\n|")[1] == again.split("\n\n|")[1]
    assert "1 of 1 runs failed" in refusal(sizes="50", draws="1", settings="methods.lora.peft.r=0")
    assert len(git("for-each-ref", "refs/exps/*/*/labels-*").splitlines()) == 2


def test_the_scores_of_a_run_are_those_of_its_metrics(finished):
    """Read for real, as the curve reads an experiment."""
    scores, metrics = curve.experiment_scores("workspace"), read("metrics/evaluate.json")
    assert len(scores) == metrics["n"]
    assert scores["accuracy"].mean() == pytest.approx(metrics["accuracy"], abs=1e-4)
    assert scores["tfidf"].mean() == pytest.approx(metrics["baseline_accuracy"], abs=1e-4)
    assert scores["log_loss"].mean() == pytest.approx(metrics["log_loss"], abs=1e-4)
    assert (scores["learned"] == 1).all()
