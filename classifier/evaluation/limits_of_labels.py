"""Find what limits the results on single labels of a data set (see limits.py)."""

from classifier.evaluation.markdown import verbatim

LABELS_NAMED = 5
RARE = 0.5  # share of a label, divided by the share that it would have if all labels were equally frequent


def labels_without_texts(evaluate: dict, labels: list[str]) -> str | None:
    """Return a limit if the test split lacks a label. Of more than LABELS_NAMED such labels, not all are named."""
    by_label = evaluate.get("labels", {})
    names = [f"'{verbatim(label)}'" for label in labels if not by_label.get(label, {"support": 1})["support"]]
    if not names:
        return None
    if len(names) == 1:
        return f"The test split has no text with the label {names[0]}, so nothing is known of it."
    if len(names) > LABELS_NAMED:
        names[LABELS_NAMED - 1 :] = [f"{len(names) - LABELS_NAMED + 1:,} others"]
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"The test split has no text with the labels {listed}, so nothing is known of them."


def rare_label(data: dict, evaluate: dict, train, labels: list[str]) -> str | None:
    """Return a limit if a label has less than half of the train texts that it would have among equal labels."""
    if "accuracy_low" not in evaluate:
        return None
    shares = [(data[f"train_share_{label}"], label) for label in labels]
    share, label = min(pair for pair in shares if pair[0] > 0)
    if train.class_weights or share * len(labels) >= RARE:
        return None
    recall = evaluate["labels"][label].get("recall")
    found = "" if recall is None else f", and its recall is {recall:.1%}"
    percent = f"{share:.1%}" if share >= 0.001 else f"{share * 100:.1g}%"
    return (
        f"Only {percent} of the train texts are labelled {verbatim(label)}{found}: "
        "try `dvc exp run -S train.class_weights=balanced`."
    )
