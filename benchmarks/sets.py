"""Count how often prediction sets miss their target, in simulations whose true coverage is known.

    make sets

Each draw makes validation rows: logits that are too confident and shifted, and labels of known probabilities. The
calibration, the cross-fitting and the bound are those of the stage `train` and of `--sets`. The coverage of all texts
is then computed from the known probabilities of TEXTS texts. It should be below the target in at most 5% of the draws.
"""

import itertools

import numpy as np
import pandas as pd
from scipy.special import expit, softmax
from scipy.stats import norm

from benchmarks.record import Record
from classifier.evaluation.intervals import wilson_interval
from classifier.files.formats import table_of
from classifier.predict.sets import find_bounds
from classifier.runner.command import no_arguments
from classifier.tasks import multi_label, regression, single_label
from classifier.training.calibration import cross_calibrate

TEXTS = 20_000
TARGETS, LEVEL = (0.9, 0.95), 0.05
COLUMNS = {"task": "", "labels": ",d", "validation rows": ",d", "target": ".0%", "bounds": ",d", "mean coverage": ".1%"}
COLUMNS |= {"below the target": ".1%", "lowest": ".1%", "highest": ".1%"}


def overconfident(scores: np.ndarray) -> np.ndarray:
    """Return the logits of a network that is too confident and prefers the first label."""
    return 1.8 * scores + 0.4 * (np.arange(scores.shape[1]) == 0)


class SingleLabel:
    """Texts with one of several labels.

    The most probable label is right for 81% of the texts with two labels, and for 74% with ten labels.

    labels: The number of labels.
    """

    name, task = "single-label", single_label

    def __init__(self, labels: int):
        self.labels = labels

    def scores(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return the true log-odds of the labels, (count, labels)."""
        scores = rng.normal(0, 2.5 / np.sqrt(2) if self.labels == 2 else 1, (count, self.labels))
        scores[np.arange(count), rng.integers(self.labels, size=count)] += 0 if self.labels == 2 else 4
        return scores

    def drawn(self, rng: np.random.Generator, scores: np.ndarray) -> np.ndarray:
        """Return labels that are drawn by their probabilities."""
        return (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)

    def outputs(self, scores: np.ndarray) -> np.ndarray:
        """Return the probabilities of the labels, (rows, labels), or the numbers."""
        return softmax(scores, axis=1)

    def coverage(self, right: np.ndarray, outputs: np.ndarray, decision: dict) -> list[float]:
        """Return the probability that a text's label is in its set, in a list of one.

        Args:
            right: The `outputs` of the true log-odds.
            outputs: Those of the calibrated logits.
            decision: The decision with bounds.
        """
        return [(self.task.in_sets(outputs, decision) * right).sum() / len(right)]


class MultiLabel(SingleLabel):
    """Texts that have each label independently of the others, with a probability of 36% on average."""

    name, task = "multi-label", multi_label

    def scores(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.normal(-1, 2.5, (count, self.labels))

    def drawn(self, rng: np.random.Generator, scores: np.ndarray) -> np.ndarray:
        return (rng.random(scores.shape) < expit(scores)).astype(np.uint8)

    def outputs(self, scores: np.ndarray) -> np.ndarray:
        return expit(scores)

    def coverage(self, right: np.ndarray, outputs: np.ndarray, decision: dict) -> list[float]:
        """Return the coverage of each label that has a bound, among the texts with the label."""
        covered = (self.task.in_sets(outputs, decision) * right).sum(axis=0) / right.sum(axis=0)
        return covered[~np.isnan(decision["bounds"])].tolist()


class Regression(SingleLabel):
    """Texts with numbers, whose errors are larger far from the mean."""

    name, task = "regression", regression

    def scores(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.normal(size=(count, 1))

    def drawn(self, rng: np.random.Generator, scores: np.ndarray) -> np.ndarray:
        return 3 * scores[:, 0] + (1 + np.abs(scores[:, 0])) * rng.normal(size=len(scores))

    def outputs(self, scores: np.ndarray) -> np.ndarray:
        return scores

    def coverage(self, right: np.ndarray, outputs: np.ndarray, decision: dict) -> list[float]:
        ends = ((outputs + side * decision["margin"] - 3 * right) / (1 + np.abs(right)) for side in (-1, 1))
        low, high = map(norm.cdf, ends)
        return [(high - low).mean()]


def coverages(texts: SingleLabel, rows: int, draws: int, targets: tuple[float, ...] = TARGETS) -> dict[float, list]:
    """Return, for each target, the true coverage of every bound that a draw found.

    Args:
        texts: The distribution of the texts.
        rows: The validation rows of a draw.
        draws: The number of draws.
        targets: The targets of the sets.
    """
    rng, found = np.random.default_rng(rows), {target: [] for target in targets}
    all_scores, names = texts.scores(rng, TEXTS), [str(number) for number in range(texts.labels)]
    all_logits, right = overconfident(all_scores), texts.outputs(all_scores)
    for _ in range(draws):
        scores = texts.scores(rng, rows)
        labels, logits = texts.drawn(rng, scores), overconfident(scores)
        unseen_scores, unseen = cross_calibrate(logits, labels, names, texts.task, True)
        decision, validation = texts.task.decide(unseen_scores, labels), table_of({"label": labels, **unseen})
        temperature, bias = texts.task.fit_calibration(logits, labels)
        outputs = texts.outputs(all_logits / temperature + bias)
        for target in targets:
            bounds = find_bounds(texts.task, validation, target, LEVEL)
            if not np.isnan(bounds).all():
                found[target] += texts.coverage(right, outputs, texts.task.with_bounds(decision, bounds))
    return found


def results(texts: SingleLabel, rows: int, draws: int) -> list[dict]:
    """Return a row of the table for each target that has bounds. Arguments: as in `coverages`."""
    table = []
    for target, found in coverages(texts, rows, draws).items():
        if found:
            missed = int((np.array(found) < target).sum())
            row = [texts.name, texts.labels, rows, target, len(found), np.mean(found), missed / len(found)]
            table.append(dict(zip(COLUMNS, [*row, *wilson_interval(missed, len(found))], strict=True)))
    return table


def main(draws: int = 2000, sizes: tuple[int, ...] = (60, 200, 1000)) -> None:
    """Simulate all tasks. draws: the number of draws of each size. sizes: the numbers of validation rows."""
    no_arguments("python -m benchmarks.sets", "make sets")
    what = f"How often the true coverage of prediction sets is below their target, in {draws:,} draws of validation "
    what += "rows. Of several labels, each has its own bound. lowest and highest: the 95% interval of this share."
    record = Record("sets", what)
    all_texts = [SingleLabel(2), SingleLabel(10), MultiLabel(3), Regression(1)]
    rows = [row for texts, size in itertools.product(all_texts, sizes) for row in results(texts, size, draws)]
    record.write(pd.DataFrame(rows), COLUMNS)


if __name__ == "__main__":
    main()
