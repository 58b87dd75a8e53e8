"""A summary of a scored file: its answers, the answers to the validation texts, and the distance of these texts.

The summary is a JSON file beside the output. docs/reference/metrics.md lists its keys.
"""

from collections import Counter
from typing import Any

import numpy as np

from classifier.files.formats import array_of
from classifier.files.places import VALIDATION
from classifier.model.features import from_bytes, read_features
from classifier.predict.distance import FALSE_ALARMS, distance
from classifier.predict.threshold import validation_rows
from classifier.scoring.job import Job
from classifier.scoring.parts import FEATURES
from classifier.tasks.single_label import UNCERTAIN


class Tally:
    """Counts of the labels in answers, and the moments of the numbers in them, gathered while the answers arrive."""

    def __init__(self):
        self.texts, self.labels, self.moments = 0, Counter(), []

    def add(self, predicted: list, numbers: np.ndarray) -> None:
        """Count answers.

        Args:
            predicted: The first part of each answer: a number (float), a label, a list of labels, a rating (int), or
                None for an uncertain rating.
            numbers: The answers themselves if they are numbers, and else the confidence of each answer. Empty if a text
                can have several labels: such an answer has no single confidence.
        """
        self.texts += len(predicted)
        for answer in predicted:
            if not isinstance(answer, float):
                self.labels.update(
                    answer if isinstance(answer, list) else [str(UNCERTAIN if answer is None else answer)]
                )
        if len(numbers):
            self.moments.append((len(numbers), numbers.mean(), numbers.var()))

    def mean_and_sd(self) -> tuple[float, float]:
        """Return the mean and the standard deviation of all numbers."""
        counts, means, variances = np.transpose(self.moments)
        mean = np.average(means, weights=counts)
        return float(mean), float(np.average(variances + (means - mean) ** 2, weights=counts) ** 0.5)


class Summary:
    """The summary of a file, gathered while its scored rows are written.

    Args:
        job: The file.
        names: The names of the model's labels.

    Raises InputError if models/adapter/validation.parquet is damaged.
    """

    def __init__(self, job: Job, names: list[str]):
        self.added, self.min_confidence = job.added, job.min_confidence
        self.names = names
        self.are_numbers, self.have_confidence = self.added["predicted"] == "float64", "confidence" in self.added
        self.validation = validation_rows() if VALIDATION.is_file() else None
        self.rows, self.tally, self.features = 0, Tally(), {}

    def add(self, table) -> None:
        """Count the rows of a pyarrow Table with the columns of `Job.added` and FEATURES."""
        import pyarrow as pa

        self.rows += len(table)
        has_answer = np.any([table[name].is_valid().to_numpy() for name in self.added], axis=0)
        answered = table.select([*self.added]).filter(pa.array(has_answer))
        number = "predicted" if self.are_numbers else "confidence" if self.have_confidence else None
        numbers = answered[number].to_numpy().astype(np.float64) if number else np.array([])
        self.tally.add(answered["predicted"].to_pylist(), numbers)
        self.features |= dict(map(from_bytes, table[FEATURES].drop_null().to_pylist()))

    def content(self) -> dict[str, Any]:
        """Return the content of the summary's file."""
        reference = read_features()
        content = {"rows": self.rows, "without_answer": self.rows - self.tally.texts, "file": self.facts(self.tally)}
        if self.validation is not None:
            content["validation"] = self.facts(self.validation_tally(self.validation))
        if self.have_confidence and self.tally.texts:
            content["predicted_accuracy"] = content["file"]["mean_confidence"]
            if self.validation is not None:
                content["validation_accuracy"] = round(float(self.validation["unseen_right"].mean()), 4)
        return content | {"distance": distance(np.array([*self.features.values()]), reference)}

    def validation_tally(self, rows) -> Tally:
        """Return the tally of the answers to the validation texts, with the same threshold.

        rows: The rows of models/adapter/validation.parquet, a DataFrame.
        """
        tally, predicted = Tally(), array_of(rows["predicted"])
        if self.are_numbers:
            tally.add(predicted.tolist(), predicted)
            return tally
        if predicted.ndim == 1:
            predicted = np.eye(len(self.names))[predicted]
        labels = [[self.names[number] for number in np.flatnonzero(row)] for row in predicted]
        is_sure = rows["confidence"] >= self.min_confidence
        answers = [answer if sure else [UNCERTAIN] for answer, sure in zip(labels, is_sure, strict=True)]
        tally.add(answers, rows["unseen_confidence"].to_numpy() if self.have_confidence else np.array([]))
        return tally

    def facts(self, tally: Tally) -> dict[str, float]:
        """Return the facts about answers that the summary shows; {} if there are no answers.

        For numbers: their mean and standard deviation. For labels: the share of each label, and the mean confidence or,
        if a text can have several labels, the mean number of labels per text.
        """
        if not tally.texts:
            return {}
        if self.are_numbers:
            mean, deviation = tally.mean_and_sd()
            return {"mean": float(f"{mean:.6g}"), "sd": float(f"{deviation:.6g}")}
        names = [*self.names, *[UNCERTAIN] * bool(self.min_confidence)]
        facts = {f"share_{name}": round(tally.labels[name] / tally.texts, 4) for name in names}
        if self.have_confidence:
            return facts | {"mean_confidence": round(tally.mean_and_sd()[0], 4)}
        labels = tally.labels.total() - (tally.labels[UNCERTAIN] if self.min_confidence else 0)
        return facts | {"labels_per_text": round(labels / tally.texts, 4)}


def summary_lines(summary: dict[str, Any]) -> tuple[list[str], str | None]:
    """Return the lines of a summary for stdout, and the warning for stderr or None."""
    accuracy, distance = summary.get("predicted_accuracy"), summary["distance"]
    beside = f" (validation {summary['validation_accuracy']:.1%})" if "validation_accuracy" in summary else ""
    lines = [] if accuracy is None else [f"predicted accuracy {accuracy:.1%}{beside}"]
    if not distance.get("differs"):
        return lines, None
    return lines, (
        f"these texts differ from the training's: a classifier tells them apart (AUC {distance['auc']:.2f}; 0.5 is "
        f"chance; false-alarm rate {FALSE_ALARMS:.0%}); label some of them and check"
    )
