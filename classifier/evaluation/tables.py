"""Tables of the report in Markdown, and the cells of those with metrics and shares of labels."""

from pathlib import Path
from typing import Any

import pandas as pd

from classifier.evaluation.markdown import Markdown, verbatim
from classifier.files.places import METRICS, SPLITS

LABELS_IN_TABLE = 20  # of more labels, a table shows the worst or the rarest ones
COLUMNS_IN_MATRIX = 10  # a confusion matrix of more labels is a picture only
ANSWER_HEADS = dict.fromkeys(["label", "labels", "value", "rating"], "predicted")  # heads of columns of answers
ENDS = ("", "_low", "_high")  # endings of the keys of a metric or difference, and of the bounds of its interval
NONE = "none there"  # instead of a metric of a label that no test text has


def row(cells: list) -> Markdown:
    """Return a row of a table in Markdown. Each cell is shown as it is."""
    return Markdown(f"| {' | '.join(str(verbatim(cell)) for cell in cells)} |")


def head(names: list[str], left: int = 1, last: int = 0) -> Markdown:
    """Return the header of a table in Markdown, and the line below it.

    Args:
        names: The names of the columns.
        left: The number of first columns that are aligned to the left.
        last: The number of last columns that are aligned to the left. The others are aligned to the right.
    """
    right = len(names) - left - last
    return Markdown(f"{row(names)}\n|{'---|' * left}{'---:|' * right}{'---|' * last}")


def comparison_rows(evaluate: dict, labels: list[str], learned: bool) -> list[list[str]]:
    """Return the rows of the table that compares the classifier with the baseline.

    Args:
        evaluate: metrics/evaluate.json.
        labels: The names of the labels. With two labels, precision, recall and F1 are those of the second one.
        learned: Whether there is a baseline. Without one, a row has the classifier's share alone.
    """
    mean = mean_over_labels(evaluate, labels)
    described, of = (labels[1:], labels[1]) if len(labels) == 2 else (labels, mean)
    counted = [label for label in described if evaluate["labels"][label]["support"]]
    shares = [("accuracy", evaluate["accuracy"], evaluate.get("baseline_accuracy"))]
    for key, name in (("precision", "precision"), ("recall", "recall"), ("f1", "F1")):
        of_baseline = [evaluate["labels"][label].get(f"baseline_{key}", 0) for label in counted]
        shares.append((f"{name}, {of}", evaluate.get(key), sum(of_baseline) / len(counted) if counted else None))
    if len(labels) == 2:
        shares.append((f"F1, {mean}", evaluate["macro_f1"], evaluate.get("baseline_macro_f1")))
    return [[name, *map(share_cell, both[: 1 + learned])] for name, *both in shares]


def mean_over_labels(evaluate: dict, labels: list[str]) -> str:
    """Return what a mean metric of metrics/evaluate.json is the mean over, in words."""
    complete = all(evaluate["labels"][label]["support"] for label in labels)
    return "mean over the labels" if complete else "mean over the labels with test texts"


def answer_cell(value: Any, name: str = "", missing: str = "none") -> str:
    """Return a part of an answer, or an expected answer, as a cell.

    Args:
        value: The part.
        name: Its name.
        missing: The cell of None.
    """
    if value is None:
        return missing
    if isinstance(value, list):
        return ", ".join(answer_cell(item, name) for item in value) or "none"
    if name.startswith("confidence"):
        return f"{value:.1%}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def percent(share: float, decimals: int) -> str:
    """Return a share as a percentage. One that would be rounded to 0 is "<1%" or, with one decimal, "<0.1%"."""
    smallest = 0.01 / 10**decimals
    return f"<{smallest:.{decimals}%}" if 0 < share < smallest / 2 else f"{share:.{decimals}%}"


def share_cell(share: float | None) -> str:
    """Return a share as a percentage, or NONE for None."""
    return NONE if share is None else percent(share, 1)


def confusion_rows(labels: list[str]) -> list[list]:
    """Return the rows of the confusion matrix: an actual label, then its counts. Return no row for too many labels."""
    if len(labels) > COLUMNS_IN_MATRIX:
        return []
    table = read_csv_table(METRICS / "confusion.csv", ["actual", "predicted"])
    counts = table.pivot(index="actual", columns="predicted", values="count")
    return [[label, *(f"{count:,}" for count in counts.loc[label, labels])] for label in labels]


def read_csv_table(path: Path, texts: list[str] | None = None) -> pd.DataFrame:
    """Return a CSV file with text values exactly as written.

    Args:
        path: The file.
        texts: The columns to read as strings, even if they look like numbers. "NA" and "" are not missing values.
    """
    return pd.read_csv(path, dtype=dict.fromkeys(texts or [], str), keep_default_na=False)


def label_rows(evaluate: dict, labels: list[str], learned: bool) -> list[list[str]]:
    """Return the rows of the metrics by label; of more than LABELS_IN_TABLE labels those with the lowest F1.

    Args:
        evaluate: metrics/evaluate.json.
        labels: The names of the labels.
        learned: Whether there is a baseline, whose precision, recall and F1 are the last cells.
    """
    if len(labels) > LABELS_IN_TABLE:
        last = float("inf")  # a label that no test text has
        labels = sorted(labels, key=lambda label: evaluate["labels"][label].get("f1", last))[:LABELS_IN_TABLE]
    keys = ["mean_probability", "precision", "recall", "f1"]
    keys += ["baseline_precision", "baseline_recall", "baseline_f1"] if learned else []
    rows = []
    for label in labels:
        values = evaluate["labels"][label]
        shares = [values["support"] / evaluate["n"], *map(values.get, keys)]
        rows.append([label, f"{values['support']:,}", *map(share_cell, shares)])
    return rows


def share_rows(data: dict, labels: list[str]) -> list[list[str]]:
    """Return each label with its share of train, validation and test, as rows of a table.

    Of more than LABELS_IN_TABLE labels, the rows are those of the labels with the fewest train texts.

    Args:
        data: metrics/data.json.
        labels: The names of the labels.
    """
    if len(labels) > LABELS_IN_TABLE:
        labels = sorted(labels, key=lambda label: data[f"train_share_{label}"])[:LABELS_IN_TABLE]
    return [[label, *(percent(data[f"{split}_share_{label}"], 1) for split in SPLITS)] for label in labels]


def forms_table(forms: dict[str, dict]) -> list[Markdown]:
    """Return the lines of the table of the exported forms: size, and differences to fp32 with their 95% intervals.

    Args:
        forms: metrics/export.json. It is not empty.
    """
    compared = next(iter(forms.values()))["validation"]
    values = [key.removesuffix("_difference") for key in compared if key.endswith("_difference")]
    counts = ["answers changed"] if "answers_changed" in compared else []
    names = ["form", "split", "MB", "texts", *counts, *(value.replace("_", " ") for value in values), "kept"]
    lines = [head(names, 2, 1)]
    for name, form in forms.items():
        for split in ("validation", "test"):
            if found := form.get(split):
                cells = [name, split, form["megabytes"], f"{found['texts']:,}"]
                cells += [found["answers_changed"]] * bool(counts)
                for key in (f"{value}_difference" for value in values):
                    cells.append("{:+.4f} ({:+.4f} to {:+.4f})".format(*(found[f"{key}{end}"] for end in ENDS)))
                lines.append(row([*cells, "yes" if form["kept"] else "no"]))
    return lines
