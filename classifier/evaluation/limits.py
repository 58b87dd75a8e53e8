"""Find what limits the results of a run, as sentences for the report, most of them with a next step."""

import pandas as pd

from classifier.evaluation.intervals import wilson_interval
from classifier.evaluation.limits_of_labels import labels_without_texts, rare_label
from classifier.evaluation.markdown import Markdown

MOST = 4  # limits in the report
WIDE_TEST, WIDE_VALIDATION = 0.1, 0.05  # widths of the 95% interval of an accuracy from which texts count as few
GAP = 1.5  # validation loss divided by training loss
ERRORS = ("rmse",)  # headlines of which lower is better


def limits(
    results: dict[str, dict], validation: pd.DataFrame, train, labels: list[str], headline: str = "accuracy"
) -> list[Markdown]:
    """Return two to four limits of a run as sentences, the most important first.

    Args:
        results: The contents of data.json, baseline.json, evaluate.json and training.json in metrics/, by their names.
        validation: metrics/validation.csv.
        train: The section `train` of params.yaml.
        labels: The names of the labels.
        headline: The metric by which the classifier is compared with the baseline.
    """
    data, baseline, evaluate, training = (results[name] for name in ("data", "baseline", "evaluate", "training"))
    found = [
        origin(data),
        labels_without_texts(evaluate, labels),
        baseline_not_beaten(baseline, evaluate, headline),
        few_texts(data, evaluate, training),
        no_threshold(data, evaluate),
        earlier_step(validation, train),
        gap(training, train, headline),
        rare_label(data, evaluate, train, labels),
        miscalibrated(evaluate),
        doubtful_labels(baseline, headline),
        one_seed(train),
    ]
    return [Markdown(sentence) for sentence in found if sentence][:MOST]


def origin(data: dict) -> str:
    """Return what the origin of the test texts leaves open."""
    if data["official_test"]:
        return "The test texts come from the same data set as the train texts. On other texts the results are unknown."
    if "groups" in data:
        return (
            "The test texts are held out of the training split in whole groups, so train has no row of their groups. "
            "On texts of another origin the results can be worse. A data set with an official test split shows by how "
            "much."
        )
    return (
        "The test texts are held out of the training split. They may come from the same sources as the train texts, "
        "such as reviews of one film, so results on new sources can be worse. A data set with an official test split "
        "shows by how much. No `group` is set, so train and test may have rows of the same author or patient. This "
        "report cannot know whether they do."
    )


def baseline_not_beaten(baseline: dict, evaluate: dict, headline: str) -> str | None:
    """Return a limit if the classifier is not shown to be better than the baseline or, without one, than guessing."""
    sign, name = -1 if headline in ERRORS else 1, metric_name(headline)
    if not baseline["learned"]:
        metric = headline if f"guessing_{headline}" in evaluate else "accuracy"
        guessing, bound = evaluate[f"guessing_{metric}"], evaluate[f"{metric}_{'high' if sign < 0 else 'low'}"]
        if sign * bound > sign * guessing:
            return None
        shown = f"{guessing:.4g}" if metric in ERRORS else f"{guessing:.1%}"
        better = "below" if sign < 0 else "above"
        return f"The {metric_name(metric)} is not shown to be {better} that of guessing, {shown}: add train texts."
    if "mcnemar_p" in evaluate:
        is_better = evaluate["difference"] > 0 and evaluate["mcnemar_p"] < 0.05
        numbers = f"{100 * evaluate['difference']:+.1f} points, p = {evaluate['mcnemar_p']}"
    else:
        low, high = evaluate["difference_low"], evaluate["difference_high"]
        is_better = min(sign * low, sign * high) > 0
        numbers = f"difference {evaluate['difference']:+.4g}, 95% interval {low:+.4g} to {high:+.4g}"
    if is_better:
        return None
    better = "better than" if sign < 0 else "above"
    return (
        f"The {name} is not shown to be {better} the baseline's ({numbers}): add train texts, or try another `model`."
    )


def metric_name(name: str) -> str:
    """Return the name of a metric in words."""
    return {"rmse": "RMSE", "micro_f1": "micro F1", "r2": "R²"}.get(name, name.replace("_", " "))


def few_texts(data: dict, evaluate: dict, training: dict) -> str | None:
    """Return a limit if the test or the validation texts are too few for a narrow interval of the accuracy."""
    if "accuracy_low" not in evaluate:
        return None
    width = evaluate["accuracy_high"] - evaluate["accuracy_low"]
    if width > WIDE_TEST:
        is_whole = data["test"] == data.get("test_available")
        fix = "The source's test split has no more" if is_whole else "Raise `test` in the data set's entry"
        return (
            f"The {data['test']:,} test texts are too few: the 95% interval of the accuracy is {100 * width:.1f} "
            f"points wide. {fix}."
        )
    low, high = wilson_interval(round(training["validation_accuracy"] * data["validation"]), data["validation"])
    if high - low <= WIDE_VALIDATION:
        return None
    return (
        f"The {data['validation']:,} validation texts, which determine calibration and threshold, are few: the "
        f"95% interval of their accuracy is {100 * (high - low):.1f} points wide. Raise `validation` in the data "
        "set's entry."
    )


def no_threshold(data: dict, evaluate: dict) -> str | None:
    """Return a limit if the validation texts show no confidence threshold for the target accuracy."""
    above = evaluate.get("above_threshold")
    if above is None or "threshold" in above:
        return None
    needed = above["validation_texts_needed"]
    more = f"at least {needed}" if data["validation"] < needed else "more"
    return (
        f"The validation texts show no confidence threshold for {above['target']:.1%} accuracy: give validation {more} "
        "texts, or lower `evaluate.target_accuracy`."
    )


def earlier_step(validation: pd.DataFrame, train) -> str | None:
    """Return a limit if the validation loss was lowest before the last step, whose weights are kept."""
    best, last = validation.loc[validation["loss"].idxmin()], validation.iloc[-1]
    if train.keep == "best" or best["loss"] >= last["loss"]:
        return None
    return (
        f"The validation loss was lowest at step {int(best['step']):,} ({best['loss']:.4f}) and higher at the last "
        f"step ({last['loss']:.4f}): try `dvc exp run -S train.keep=best`."
    )


def gap(training: dict, train, headline: str) -> str | None:
    """Return a limit if the validation loss is far above the training loss.

    Return None where the two losses cannot be compared: if the training loss has weights of the labels or is that of
    standardised numbers, or if the weights of an earlier step may be kept.
    """
    losses = training["train_loss"], training["validation_loss"]
    if headline in ERRORS or train.class_weights or train.keep == "best" or losses[1] <= GAP * losses[0]:
        return None
    return (
        f"The validation loss, {losses[1]:.4f}, is far above the training loss, {losses[0]:.4f}: the model fits the "
        "train texts better than new ones. Add train texts or train for fewer epochs."
    )


def miscalibrated(evaluate: dict) -> str | None:
    """Return a limit if the calibration error is larger than chance explains."""
    if evaluate.get("ece", 0) <= evaluate.get("ece_by_chance", 0):
        return None
    return (
        f"The calibration error, {evaluate['ece']:.4f}, is larger than chance explains "
        f"({evaluate['ece_by_chance']:.4f}): add validation texts."
    )


def doubtful_labels(baseline: dict, headline: str) -> str | None:
    """Return a limit if the list of doubtful labels has rows; None for numbers, whose list always has rows."""
    if not (count := baseline["doubtful_labels"]) or headline in ERRORS:
        return None
    share = "" if headline == "micro_f1" else f" ({count / baseline['train']:.1%})"  # several labels of a text count
    return (
        f"{count:,} train labels{share} are doubtful: read the first rows of "
        "data/doubtful_labels.csv and correct the wrong ones (see docs/how-to/label-errors.md)."
    )


def one_seed(train) -> str:
    """Return what a single training leaves open."""
    return (
        f"This is one training, with the seed {train.seed}. Another seed shows how much of the result is chance: "
        f"`dvc exp run -S train.seed={train.seed + 1}`."
    )
