"""The export of a classifier, and its model card."""

from pathlib import Path

from classifier.export.card import About, model_card
from classifier.export.forms import FORMS
from classifier.files.places import EXPORT

DATA = {"official_test": True, "train": 60, "validation": 60, "test": 60, "test_available": 60}  # metrics/data.json


def write_export() -> None:
    """Write models/export for the classifier in models/adapter, with all forms and without a model card."""
    from stages.export import load_merged

    model, tokenizer = load_merged()
    for form in FORMS.values():
        (EXPORT / form.file).parent.mkdir(parents=True, exist_ok=True)
        form.write(model, tokenizer, EXPORT / form.file)
    model.config.save_pretrained(EXPORT)
    tokenizer.save_pretrained(EXPORT)


def compared(kept: bool = True) -> dict:
    """Return a form's results in metrics/export.json."""
    ends = {"": 0.0, "_low": -0.002, "_high": 0.002}
    validation = {"texts": 60, "answers_changed": 0} | {f"loss_difference{end}": value for end, value in ends.items()}
    return {"megabytes": 1.5, "kept": kept, "validation": validation}


def card_of(config, evaluate: dict, data: dict, **changes) -> str:
    """Return the model card of a classifier with the form `transformers`, without hashes and facts of its sources.

    Args:
        config, evaluate, data: As in `model_card`.
        changes: Other arguments of `model_card`.
    """
    others = {"forms": {"transformers": compared()}, "hashes": {"models/adapter": f"{'0' * 32}.dir"}}
    others |= {"about_data": About(), "about_model": About(), "license": None}
    return model_card(config, evaluate=evaluate, data=data, **others | changes)


def read_card() -> str:
    """Return the model card in models/export."""
    return Path(EXPORT, "README.md").read_text()
