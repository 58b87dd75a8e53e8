"""What limits the results of a run. The report names the limits that the numbers show, each with a next step."""

import pandas as pd

from classifier.evaluation.intervals import wilson_interval
from classifier.evaluation.markdown import Markdown, verbatim

MOST = 4  # limits in the report
WIDE_TEST, WIDE_VALIDATION = 0.1, 0.05  # widths of the 95% interval of an accuracy from which texts count as few
GAP = 1.5  # validation loss divided by training loss
LABELS_NAMED = 5
RARE = 0.5  # share of a label, divided by the share that it would have if all labels were equally frequent


def limits(results: dict[str, dict], validation: pd.DataFrame, train, labels: list[str]) -> list[Markdown]:
    """Return two to four limits of a run as sentences, the most important first.

    Args:
        results: The contents of data.json, baseline.json, evaluate.json and training.json in metrics/, by their names.
        validation: metrics/validation.csv.
        train: The section `train` of params.yaml.
        labels: The names of the labels.
    """
    data, baseline, evaluate, training = (results[name] for name in ("data", "baseline", "evaluate", "training"))
    found = [
        origin(data),
        labels_without_texts(evaluate, labels),
        baseline_not_beaten(baseline, evaluate),
        few_texts(data, evaluate, training),
        no_threshold(data, evaluate),
        earlier_step(validation, train),
        gap(training, train),
        rare_label(data, evaluate, train, labels),
        miscalibrated(evaluate),
        doubtful_labels(baseline),
        one_seed(train),
    ]
    return [Markdown(sentence) for sentence in found if sentence][:MOST]


def origin(data: dict) -> str:
    """Return what the origin of the test texts leaves open."""
    if data["official_test"]:
        return "The test texts come from the same data set as the train texts. On other texts the accuracy is unknown."
    if "groups" in data:
        return (
            "The test texts are held out of the training split in whole groups, so train has no row of their groups. "
            "On texts of another origin the accuracy can be lower. A data set with an official test split shows by how "
            "much."
        )
    return (
        "The test texts are held out of the training split. They may come from the same sources as the train texts, "
        "such as reviews of one film, so accuracy on new sources can be lower. A data set with an official test split "
        "shows by how much. No `group` is set, so train and test may have rows of the same author or patient. This "
        "report cannot know whether they do."
    )


def labels_without_texts(evaluate: dict, labels: list[str]) -> str | None:
    """Return a limit if the test split lacks a label. Of more than LABELS_NAMED such labels, not all are named."""
    names = [f"'{verbatim(label)}'" for label in labels if not evaluate["labels"][label]["support"]]
    if not names:
        return None
    if len(names) == 1:
        return f"The test split has no text with the label {names[0]}, so nothing is known of it."
    if len(names) > LABELS_NAMED:
        names[LABELS_NAMED - 1 :] = [f"{len(names) - LABELS_NAMED + 1:,} others"]
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"The test split has no text with the labels {listed}, so nothing is known of them."


def baseline_not_beaten(baseline: dict, evaluate: dict) -> str | None:
    """Return a limit if the classifier is not shown to be better than the baseline, or than guessing without one."""
    if not baseline["learned"]:
        guessing = evaluate["guessing_accuracy"]
        if evaluate["accuracy_low"] > guessing:
            return None
        return f"The accuracy is not shown to be above that of guessing, {guessing:.1%}: add train texts."
    if evaluate["difference"] > 0 and evaluate["mcnemar_p"] < 0.05:
        return None
    numbers = f"{100 * evaluate['difference']:+.1f} points, p = {evaluate['mcnemar_p']}"
    return f"The accuracy is not shown to be above the baseline's ({numbers}): add train texts, or try another `model`."


def few_texts(data: dict, evaluate: dict, training: dict) -> str | None:
    """Return a limit if the test or the validation texts are too few for a narrow interval of the accuracy."""
    width = evaluate["accuracy_high"] - evaluate["accuracy_low"]
    if width > WIDE_TEST:
        return (
            f"The {data['test']:,} test texts are too few: the 95% interval of the accuracy is {100 * width:.1f} "
            "points wide. Raise `test` in the data set's entry."
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
    above = evaluate["above_threshold"]
    if "threshold" in above:
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


def gap(training: dict, train) -> str | None:
    """Return a limit if the validation loss is far above the training loss.

    The two cannot be compared if the training loss is weighted, or if the weights are those of an earlier step.
    """
    losses = training["train_loss"], training["validation_loss"]
    if train.class_weights or train.keep == "best" or losses[1] <= GAP * losses[0]:
        return None
    return (
        f"The validation loss, {losses[1]:.4f}, is far above the training loss, {losses[0]:.4f}: the model fits the "
        "train texts better than new ones. Add train texts or train for fewer epochs."
    )


def rare_label(data: dict, evaluate: dict, train, labels: list[str]) -> str | None:
    """Return a limit if a label has less than half of the train texts that it would have among equal labels."""
    share, label = min((data[f"train_share_{label}"], label) for label in labels)
    if train.class_weights or share * len(labels) >= RARE:
        return None
    recall = evaluate["labels"][label].get("recall")
    found = "" if recall is None else f", and its recall is {recall:.1%}"
    return (
        f"Only {share:.1%} of the train texts are labelled {verbatim(label)}{found}: "
        "try `dvc exp run -S train.class_weights=balanced`."
    )


def miscalibrated(evaluate: dict) -> str | None:
    """Return a limit if the calibration error is larger than chance explains."""
    if evaluate["ece"] <= evaluate["ece_by_chance"]:
        return None
    return (
        f"The calibration error, {evaluate['ece']:.4f}, is larger than chance explains "
        f"({evaluate['ece_by_chance']:.4f}): add validation texts."
    )


def doubtful_labels(baseline: dict) -> str | None:
    """Return a limit if the list of doubtful labels has rows."""
    if not (count := baseline["doubtful_labels"]):
        return None
    return (
        f"{count:,} train labels ({count / baseline['train']:.1%}) are doubtful: read the first rows of "
        "data/doubtful_labels.csv and correct the wrong ones (see docs/how-to/label-errors.md)."
    )


def one_seed(train) -> str:
    """Return what a single training leaves open."""
    return (
        f"This is one training, with the seed {train.seed}. Another seed shows how much of the result is chance: "
        f"`dvc exp run -S train.seed={train.seed + 1}`."
    )
