"""The distance between the texts of a file and the validation texts: can a classifier tell their features apart?

This is the classifier two-sample test (Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample Tests"). Each of the
two samples is split into halves. A linear discriminant analysis is fitted to the features of both first halves, and
scores the texts of both second halves.
The AUC is the probability that a text of the file has a higher score than a validation text. The p-value is that of the
Mann-Whitney test of the two groups of scores. No text is both fitted and scored, so the p-value is valid however well
the discriminant fits.

Other tests would do as well: see Rabanser et al. 2019, "Failing Loudly". benchmarks/other_texts.py measures how often
this test detects other texts, and how often it raises a false alarm.
"""

from typing import Any

import numpy as np

FEWEST = 30  # the fewest texts that each sample must have for a comparison
FALSE_ALARMS = 0.01  # the highest probability of a false alarm, if both samples are drawn at random
# The smallest AUC of an alarm: a medium effect, d = 0.5 (Rice and Harris 2005, "Comparing effect sizes in follow-up
# studies"). In a large file, a smaller difference can have a p-value below FALSE_ALARMS and still matter little. It may
# also come from the random choice of the validation texts, which are the same for all files.
SMALLEST = 0.64


def distance(features: np.ndarray, reference: np.ndarray | None) -> dict[str, Any]:
    """Return how far texts are from the validation texts.

    Args:
        features: Features of texts, (texts, width). A text that occurs several times should have one row: the test
            assumes that the texts are independent.
        reference: Features of the validation texts, (texts, width). None: models/adapter has none.

    Returns:
        texts and validation_texts, the sizes of the samples; auc, from 0 to 1, where 0.5 is chance; p_value; differs:
        whether the p-value is below FALSE_ALARMS and the AUC at least SMALLEST. If the samples are not compared, the
        last three are missing, and not_compared has the reason. Without a reference, validation_texts is missing too.
    """
    if reference is None:
        reason = "models/adapter has no features of validation texts; train it again with `dvc repro train`"
        return {"texts": len(features), "not_compared": reason}
    sizes = {"texts": len(features), "validation_texts": len(reference)}
    if min(sizes.values()) < FEWEST:
        return sizes | {"not_compared": f"fewer than {FEWEST} texts"}
    auc, p_value = two_sample_test(features.astype(np.float64), reference.astype(np.float64))
    return sizes | {"auc": round(auc, 4), "p_value": p_value, "differs": p_value < FALSE_ALARMS and auc >= SMALLEST}


def two_sample_test(sample: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Return (AUC, p-value) of the classifier two-sample test of two arrays, (rows, width)."""
    from scipy.stats import mannwhitneyu
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    generator = np.random.default_rng(0)  # for random halves: a file can be sorted
    halves = [np.array_split(generator.permutation(rows), 2) for rows in (reference, sample)]
    fitted = [half for half, _ in halves]
    discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    discriminant.fit(np.concatenate(fitted), np.repeat([0, 1], list(map(len, fitted))))
    scores, of_sample = (discriminant.decision_function(half) for _, half in halves)
    statistic, p_value = mannwhitneyu(of_sample, scores, alternative="greater")
    return float(statistic / (len(scores) * len(of_sample))), float(p_value)
