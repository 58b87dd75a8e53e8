"""Write the trained model in forms that other programs load. Remove forms that may answer worse than in fp32.

In:  models/base/, models/adapter/, data/tokens/, data/predictions.parquet, metrics/evaluate.json, metrics/data.json,
     and the hash of data/raw/.
Out: models/export/: config, tokenizer, the forms that `export.formats` of params.yaml names, and the model card
     README.md. Without a form, README.md alone says how to write one.
     metrics/export.json: the size of each form, and how its answers differ from those in fp32.

Forms in fp32 are always kept. A form with rounded weights (bf16, int8) that may be worse than fp32 by more than
`export.tolerance` is removed (see classifier/export/gate.py).
"""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from classifier.errors import InputError
from classifier.evaluation.metrics import rounded
from classifier.evaluation.tasks.task import MEASURES
from classifier.export.card import About, model_card
from classifier.export.forms import FORMS, FormName
from classifier.export.gate import Difference, differences, in_words, passes
from classifier.export.graph import check_size
from classifier.files.digests import dvc_hash
from classifier.files.formats import array_of, read_json, read_table, table_of, write_json
from classifier.files.places import ADAPTER, BASE, EXPORT, METRICS, PREDICTIONS, RAW, VALIDATION
from classifier.files.writing import replace_folder
from classifier.model.forward import logits
from classifier.model.loading import load_classifier
from classifier.model.padding import types_after_of
from classifier.params.catalogue import ModelSource
from classifier.params.settings import Param, Settings
from classifier.params.sources import Source
from classifier.runner.run import main
from classifier.tasks.task import TASKS
from classifier.text.tokens import open_tokens

NOTHING = "No form of the model is here: `export.formats` in params.yaml is empty. `make export` writes all forms.\n"


class ExportSettings(Settings):
    """The section `export` of params.yaml."""

    formats: list[FormName]
    license: str | None
    tolerance: Annotated[float, Field(ge=0, le=1)]
    about: dict[str, About]


def export(
    *,
    settings: Annotated[ExportSettings, Param("export")],
    data_source: Annotated[Source, Param("datasets.${dataset}.source")],
    model_source: Annotated[ModelSource, Param("models.${model}.source")],
) -> None:
    """Write the forms, compare each with fp32, and describe those that are kept on the model card."""
    results, card = {}, NOTHING
    with replace_folder(EXPORT) as folder:
        if settings.formats:
            model, tokenizer = load_merged()
            results = write_forms(model, tokenizer, settings, folder)
            trained = model.config.trained
            card = model_card(
                model.config,
                evaluate=read_json(METRICS / "evaluate.json"),
                data=read_json(METRICS / "data.json"),
                forms=results,
                hashes={path.as_posix(): dvc_hash(path) for path in (RAW, BASE, ADAPTER)},
                about_data=about(settings.about.get(trained["dataset"]), data_source),
                about_model=about(settings.about.get(trained["model"]), model_source),
                license=settings.license,
            )
        (folder / "README.md").write_text(card, encoding="utf-8")
    write_json(METRICS / "export.json", results)


def about(entry: About | None, source: Source | ModelSource) -> About:
    """Return what the card says of a data set or model: its entry, with its name on the Hub if it comes from there."""
    hub = {"hub": source.hub} if hasattr(source, "hub") else {}
    return About(**(entry.model_dump(exclude_none=True) if entry else {}) | hub)


def load_merged():
    """Return the classifier with merged weights, on the CPU, and a tokenizer that cuts long texts as the training did.

    A tokenizer has no setting for head+tail. If the training used head+tail, the tokenizer keeps the beginning of a
    text.

    Raises InputError if the method's parameters cannot be merged into the weights.
    """
    from peft import PeftModel
    from transformers import AutoTokenizer

    model, tokenizer = load_classifier()
    if isinstance(model, PeftModel):
        method = model.config.trained["method"]
        raise InputError(f"method {method}: cannot be merged into the weights; set export.formats to []")
    tokenize, has_types = model.config.tokenize, types_after_of(model) is not None
    tokenizer = AutoTokenizer.from_pretrained(
        tokenizer.name_or_path,
        local_files_only=True,
        model_max_length=tokenize["max_length"],
        truncation_side="left" if tokenize["truncation"] == "tail" else "right",
        # Without pairs, token_type_ids are zeros, or unknown to the model.
        model_input_names=["input_ids", "attention_mask"] + ["token_type_ids"] * has_types,
    )
    return model.cpu(), tokenizer


def write_forms(model, tokenizer, settings: ExportSettings, folder: Path) -> dict[str, dict[str, Any]]:
    """Write config, tokenizer and the forms that pass the gate; return the content of metrics/export.json."""
    results = {}
    if any(FORMS[name].is_graph for name in settings.formats):
        check_size(model)
    test_in_fp32 = functools.cache(lambda: fp32_test_rows(model))
    for name in dict.fromkeys(settings.formats):
        file = folder / FORMS[name].file
        file.parent.mkdir(exist_ok=True)
        FORMS[name].write(model, tokenizer, file)
        result = tested(name, FORMS[name].load(folder, model.config), settings.tolerance, test_in_fp32)
        results[name] = {"megabytes": round(file.stat().st_size / 1e6, 1), **result}
        if not result["kept"]:
            file.unlink()
            if not any(file.parent.iterdir()):
                file.parent.rmdir()  # onnx/
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return results


def tested(name: FormName, model, tolerance: float, test_in_fp32: Callable[[], pd.DataFrame]) -> dict[str, Any]:
    """Compare a form's answers with those in fp32, print the verdict, and return it for metrics/export.json.

    The validation split decides whether a form is kept. If a form with rounded weights is kept, it then scores the test
    split, too.

    Args:
        name: The form.
        model: The loaded form.
        tolerance: By how much a form with rounded weights may be worse.
        test_in_fp32: A function that returns the labels and the predictions of the test split in fp32.
    """
    result, found = compared(name, model, "validation", read_table(VALIDATION)[0])
    if not FORMS[name].is_rounded:
        tolerance = math.inf
    kept = passes(found, tolerance)
    print(f"export: {name}: {'kept' if kept else 'not kept'}: {in_words(found, result['texts'], tolerance)}")
    result = {"kept": kept, "validation": result}
    if kept and FORMS[name].is_rounded:
        result["test"], _ = compared(name, model, "test", test_in_fp32())
    return rounded(result)


def fp32_test_rows(model) -> pd.DataFrame:
    """Return the labels and the predictions of the test split in fp32.

    These are the rows of `evaluate`. If `evaluate` scored in bf16, the model, which is in fp32, scores the split again.
    """
    rows, metadata = read_table(PREDICTIONS)
    return predictions_of(model, "fp32", "test", rows["label"]) if "scoring_precision" in metadata else rows


def predictions_of(model, name: str, split: str, labels: pd.Series) -> pd.DataFrame:
    """Score a split with a model, named in the progress bar; return the labels and the columns of predictions."""
    scores = logits(model, open_tokens(split), f"export {name}").astype(np.float64)
    names = list(model.config.id2label.values())
    columns = TASKS[model.config.task].prediction_columns(scores, names, model.config.decision)
    return table_of({"label": array_of(labels), **columns})


def compared(name: str, model, split: str, fp32: pd.DataFrame) -> tuple[dict[str, float], dict[str, Difference]]:
    """Compare a form's answers to a split with those in fp32.

    fp32: The labels and the predictions of the split.

    Returns:
        The numbers for metrics/export.json, and the Difference of each value, by the value's name.
    """
    task, names = model.config.task, list(model.config.id2label.values())
    form = predictions_of(model, name, split, fp32["label"])
    found = differences(*(MEASURES[task].paired_values(table, names) for table in (fp32, form)))
    predicted, before = array_of(form["predicted"]), array_of(fp32["predicted"])
    result = {"texts": len(form)}
    if predicted.dtype.kind != "f":  # numbers nearly always change in some digit
        result["answers_changed"] = int((predicted != before).reshape(len(form), -1).any(axis=1).sum())
    for value, difference in found.items():
        key = f"{value}_difference"
        result |= {key: difference.mean, f"{key}_low": difference.low, f"{key}_high": difference.high}
    return result, found


if __name__ == "__main__":
    main(export)
