"""Compare the plain score of prediction sets with the adaptive one (APS): size and coverage of the sets.

    make sets

The plain score of a label is its probability (Sadinle et al. 2019). The adaptive score is 1 minus the probability of
all labels that are more probable, minus a random part of the label's own probability (Romano et al. 2020,
"Classification with Valid and Adaptive Coverage"). Both bounds are chosen in the same way, from scores by calibrations
that have not seen the row, and both kinds of sets always have the most probable label. The data are the default's
validation and test texts and simulated texts with 20 labels. Some of these texts and labels are hard.
"""

import numpy as np
import pandas as pd
from scipy.special import softmax

from benchmarks.record import Record
from classifier.files.formats import read_table
from classifier.files.places import PREDICTIONS, VALIDATION
from classifier.model.loading import trained_settings
from classifier.predict.sets import find_bound
from classifier.runner.command import no_arguments
from classifier.tasks import single_label
from classifier.tasks.probabilities import probability_array
from classifier.training.calibration import cross_calibrate

LABELS, ROWS, TEXTS, DRAWS = 20, 1000, 5000, 50  # of the simulation
TARGETS, LEVEL = (0.9, 0.95, 0.99), 0.05
LEAST_SURE = 0.1  # share of the texts, those with the lowest confidence
COLUMNS = {"data": "", "score": "", "target": ".0%", "coverage": ".1%", "labels in a set": ".2f"}
COLUMNS |= {"single label": ".1%", "lowest coverage of a label": ".1%", "coverage of the least sure": ".1%"}


def plain(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the score of each label of each row, (rows, labels): its probability."""
    return probabilities


def adaptive(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the score of each label of each row by APS, (rows, labels); infinity for the most probable label.

    A set has this label anyway. With its usual score, the bound would count rows as missed that are covered.
    """
    order = np.argsort(-probabilities, axis=1)
    sorted_probabilities = np.take_along_axis(probabilities, order, axis=1)
    above = sorted_probabilities.cumsum(axis=1) - sorted_probabilities
    scores = np.empty_like(probabilities)
    sorted_scores = 1 - above - rng.random((len(order), 1)) * sorted_probabilities
    sorted_scores[:, 0] = np.inf
    np.put_along_axis(scores, order, sorted_scores, axis=1)
    return scores


def measured(validation: tuple, test: tuple, score, target: float, rng: np.random.Generator) -> list[float]:
    """Return the values of the last columns for a score and a target.

    Args:
        validation: (probabilities by calibrations of other rows, labels).
        test: (probabilities, labels).
        score: plain or adaptive.
        target: The target of the sets.
        rng: The source of the random parts.
    """
    (unseen, known), (probabilities, labels) = validation, test
    bound = find_bound(score(unseen, rng)[np.arange(len(known)), known], target, LEVEL)
    confidence = probabilities.max(axis=1)
    sets = (score(probabilities, rng) >= bound) | (probabilities == confidence[:, None])
    covered, sizes = sets[np.arange(len(labels)), labels], sets.sum(axis=1)
    least_sure = np.argsort(confidence)[: round(LEAST_SURE * len(labels))]
    by_label = [covered[labels == number].mean() for number in np.unique(labels)]
    return [covered.mean(), sizes.mean(), (sizes == 1).mean(), min(by_label), covered[least_sure].mean()]


def default_splits() -> tuple[tuple, tuple]:
    """Return the default's validation and test rows, as `measured` takes them.

    The logarithms of the probabilities are the calibrated logits minus a number for each row, which changes nothing.
    """
    trained, validation, test = trained_settings(), read_table(VALIDATION)[0], read_table(PREDICTIONS)[0]
    names = list(trained["id2label"].values())
    known, labels = (table["label"].to_numpy() for table in (validation, test))
    raw = np.log(probability_array(validation, names)) - trained["calibration_bias"]
    unseen, _ = cross_calibrate(raw * trained["calibration_temperature"], known, names, single_label, True)
    return (softmax(unseen, axis=1), known), (probability_array(test, names), labels)


def simulated_splits(rng: np.random.Generator) -> tuple[tuple, tuple]:
    """Return validation and test rows of a draw with LABELS labels, as `measured` takes them.

    The right label's logit is larger for easy texts and for the first labels. The network is too confident.
    """
    right = rng.integers(LABELS, size=ROWS + TEXTS)
    signal = rng.uniform(1, 6, len(right)) + np.linspace(1.5, -0.5, LABELS)[right]
    raw = rng.normal(size=(len(right), LABELS))
    raw[np.arange(len(right)), right] += signal
    raw *= 1.5
    names = [str(number) for number in range(LABELS)]
    unseen, _ = cross_calibrate(raw[:ROWS], right[:ROWS], names, single_label, True)
    temperature, bias = single_label.fit_calibration(raw[:ROWS], right[:ROWS])
    test = softmax(raw[ROWS:] / temperature + bias, axis=1)
    return (softmax(unseen, axis=1), right[:ROWS]), (test, right[ROWS:])


def main(draws: int = DRAWS) -> None:
    """Compare the scores, by means over draws.

    draws: the number of draws of the simulated texts, and of the random parts of the adaptive score.
    """
    no_arguments("python -m benchmarks.set_scores", "make sets")
    what = f"Prediction sets by the plain and by the adaptive score, on test texts; means over {draws} draws. The "
    what += f"least sure are the {LEAST_SURE:.0%} of the texts with the lowest confidence."
    record = Record("set_scores", what)
    rng = np.random.default_rng(0)
    data = {"the default": [default_splits()] * draws}
    data["20 labels, simulated"] = [simulated_splits(rng) for _ in range(draws)]
    rows = [
        [name, score.__name__, target, *np.mean([measured(*split, score, target, rng) for split in splits], axis=0)]
        for name, splits in data.items()
        for target in TARGETS
        for score in (plain, adaptive)
    ]
    record.write(pd.DataFrame(rows, columns=[*COLUMNS]), COLUMNS)


if __name__ == "__main__":
    main()
