"""What a user of the classifier can rely on, in up to five sentences. The report and the model card show them."""

from types import ModuleType
from typing import Any

from classifier.evaluation.findings import worst_slice
from classifier.evaluation.limits import ERRORS, metric_name
from classifier.evaluation.markdown import Markdown
from classifier.predict.distance import LEVEL

NO_SHARES = (*ERRORS, "quadratic_kappa")  # headlines that are no shares
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
        worst_slice(evaluate, measures),
        "All this holds for texts like the test texts. `python -m apps.infer --file` warns if the texts of a file "
        f"differ from the validation texts. The chance of a false alarm is {LEVEL:.0%}.",
    ]
    return [Markdown(sentence) for sentence in sentences if sentence]


def answers(evaluate: dict[str, Any], metric: str) -> str:
    """Return the headline's metric and its interval."""
    value, low, high = (
        f"{number:.4g}" if metric in NO_SHARES else f"{number:.1%}"
        for number in (evaluate[f"{metric}{end}"] for end in ("", "_low", "_high"))
    )
    return f"The {metric_name(metric)} is {value} (95% interval {low} to {high})."


def confidences(evaluate: dict[str, Any]) -> str | None:
    """Return whether the confidences are right on average, and above which confidence the answers are."""
    if "ece" not in evaluate:
        return None
    error, by_chance = evaluate["ece"], evaluate["ece_by_chance"]
    found = f"A confidence differs from the share of right answers by {100 * error:.1f} points on average (ECE)"
    if error > by_chance:
        found += f", which is more than chance explains ({100 * by_chance:.1f})"
    else:
        few = by_chance > TOO_FEW
        found += ", and the texts are too few to tell more" if few else ", which chance alone can explain"
    above = evaluate["above_threshold"]
    if "threshold" not in above:
        return f"{found}; no confidence is shown above which {above['target']:.0%} of the answers are right."
    return (
        f"{found}. At least {above['target']:.1%} of the answers with a confidence of {above['threshold']:.4f} and "
        f"more are right, with a chance of error of {above['level']:.1%}; {above['coverage']:.1%} of the test texts "
        "have such an answer."
    )


def sets(found: dict[str, Any]) -> str:
    """Return what the prediction sets hold, or the intervals of numbers.

    found: The key `sets` of metrics/evaluate.json.
    """
    if "coverage" not in found:
        return (
            f"Prediction sets that hold the right label of {found['target']:.1%} of the texts need at least "
            f"{found['validation_texts_needed']} validation texts."
        )
    are_intervals = "width" in found
    size = f"an interval is {found['width']:.4g} wide" if are_intervals else f"{found['single']:.1%} have one label"
    return (
        f"At least {found['target']:.1%} of the {'intervals' if are_intervals else 'prediction sets'} by `python -m "
        f"apps.infer --sets {found['target']}` hold the {'number' if are_intervals else 'right label'}, with a chance "
        f"of error of {found['level']:.1%}; {size}."
    )
