"""What a user of the classifier can rely on, as a list of about five sentences for the report and the model card."""

from types import ModuleType
from typing import Any

from classifier.evaluation.findings import shown, worst_slice
from classifier.evaluation.limits import metric_name
from classifier.evaluation.markdown import Markdown
from classifier.predict.distance import FALSE_ALARMS
from classifier.predict.threshold import LEVEL

TOO_FEW = 0.03  # a calibration error by chance above this tells nothing about the confidences


def promises(evaluate: dict[str, Any], measures: ModuleType) -> list[Markdown]:
    """Return what the test and the validation texts show: the answers, the confidences, the sets, the worst group.

    Args:
        evaluate: metrics/evaluate.json.
        measures: The module of the task in classifier/evaluation/tasks/.
    """
    sentences = [
        answers(evaluate, measures.HEADLINE),
        confidences(evaluate),
        sets(evaluate["sets"]),
        "The chances of error above are higher, since validation also chose the step of the training."
        if evaluate.get("validation_chose_step")
        else None,
        worst_slice(evaluate, measures),
        "All this holds for texts like the test texts. `python -m apps.infer --file` warns if the texts of a file "
        f"differ from the validation texts, with a false alarm in at most {FALSE_ALARMS:.0%} of the cases on average.",
    ]
    return [Markdown(sentence) for sentence in sentences if sentence]


def answers(evaluate: dict[str, Any], metric: str) -> str:
    """Return a sentence with the headline metric and its interval."""
    value, low, high = (shown(metric, evaluate[f"{metric}{end}"]) for end in ("", "_low", "_high"))
    return f"The {metric_name(metric)} is {value} (95% interval {low} to {high})."


def confidences(evaluate: dict[str, Any]) -> str | None:
    """Return sentences about the calibration error, and about the confidence from which the target accuracy is reached.

    Return None if the task has no probabilities.
    """
    if "ece" not in evaluate:
        return None
    error, by_chance = evaluate["ece"], evaluate["ece_by_chance"]
    of_labels = "micro_f1" in evaluate  # each pair of a text and a label has a probability
    what = "The probability of a label" if of_labels else "A confidence"
    right = "texts that have the label" if of_labels else "right answers"
    found = f"{what} differs from the share of {right} by {100 * error:.1f} points on average (ECE)"
    if error > by_chance:
        found += f", which is more than chance explains ({100 * by_chance:.1f})"
    else:
        few = by_chance > TOO_FEW
        found += ", and the texts are too few to tell more" if few else ", which chance alone can explain"
    above = evaluate["above_threshold"]
    if "threshold" not in above:
        return f"{found}; no confidence is shown above which {above['target']:.1%} of the answers are right."
    return (
        f"{found}. At least {above['target']:.1%} of the answers with a confidence of at least "
        f"{above['threshold']:.4f} are right, with a chance of error of at most {above['level']:.1%}; "
        f"{above['coverage']:.1%} of the test texts have such an answer."
    )


def sets(found: dict[str, Any]) -> str:
    """Return sentences about how often prediction sets hold the right label, or intervals the right number.

    found: The value of the key `sets` of metrics/evaluate.json.
    """
    target = f"{found['target']:.1%}"
    if not {"margin", "probability"} & found.keys():
        return (
            f"Prediction sets that hold the right label of {target} of the texts need at least "
            f"{found['validation_texts_needed']} validation texts."
        )
    chance = f"with a chance of error of at most {found['level']:.1%}"
    if found["level"] == LEVEL:
        by = f" by `python -m apps.infer --sets {found['target']}`"
    else:
        by, chance = "", f"{chance} (`python -m apps.infer --sets` allows {LEVEL:.1%})"
    if "margin" in found:
        width = f"An interval is {found['width']:.4g} wide."
        return f"At least {target} of the intervals{by} hold the number, {chance}. {width}"
    size = f"On test, {found['single']:.1%} of the sets have one label."
    if "labels_without_bound" in found:
        count = found["labels_without_bound"]
        labels = "1 label" if count == 1 else f"{count} labels"
        without = f" It does not hold for {labels}, which too few validation texts have." if count else ""
        return (
            f"Of the texts with a label, at least {target} have it in their set{by}, {chance} for each label."
            f"{without} {size}"
        )
    return f"At least {target} of the prediction sets{by} hold the right label, {chance}. {size}"
