"""The model card, README.md of models/export, in the format of the Hugging Face Hub."""

from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import Field

from classifier.evaluation import findings, tables
from classifier.evaluation.limits import labels_without_texts
from classifier.evaluation.markdown import verbatim
from classifier.evaluation.promises import promises
from classifier.evaluation.tasks.task import MEASURES
from classifier.export.forms import FORMS
from classifier.files.places import ADAPTER
from classifier.params.settings import Settings
from classifier.text.cleaning import MARKUP

CARDS = Path(__file__).with_name("cards")  # card.md.j2, and a template for each task


class About(Settings):
    """The facts about a data set or a pretrained model that the card states and that no file of the pipeline has."""

    hub: str | None = None  # its name on the Hub
    language: str | list[str] | None = Field(None)  # of a data set
    license: str | None = None


def model_card(
    config,
    evaluate: dict[str, Any],
    data: dict[str, Any],
    forms: dict[str, dict[str, Any]],
    hashes: dict[str, str],
    about_data: About,
    about_model: About,
    license: str | None,
) -> str:
    """Return the model card. The Hub reads the results from the card's metadata.

    Args:
        config: The config of the classifier.
        evaluate: metrics/evaluate.json.
        data: metrics/data.json.
        forms: metrics/export.json.
        hashes: The hashes that dvc.lock has for data and models, by path.
        about_data: What the card says of the data set.
        about_model: What the card says of the pretrained model.
        license: The licence of the trained model; None if it is not known.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    labels, measures = list(config.id2label.values()), MEASURES[config.task]
    layout = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    templates = Environment(loader=FileSystemLoader(CARDS), **layout)
    templates.filters |= {"row": tables.row, "head": tables.head}
    return templates.get_template(f"{config.task.replace('-', '_')}.md.j2").render(
        metadata=metadata(config, evaluate, about_data, about_model, license),
        trained=config.trained,
        merged=(ADAPTER / "adapter_config.json").is_file(),
        labels=[verbatim(label) for label in labels],
        evaluate=evaluate,
        data=data,
        about_data=about_data,
        about_model=about_model,
        hashes=hashes,
        **texts_and_answers(config),
        **results(evaluate, labels, measures),
        **written_forms(forms),
    )


def texts_and_answers(config) -> dict[str, Any]:
    """Return the template's values about the model's texts, its calibration and its decision."""
    return {
        "columns": [verbatim(name) for name in config.columns],
        "separator": repr(config.separator),
        "pair": getattr(config, "pair", False),
        "has_types": getattr(config, "token_types_after", None) is not None,
        "tokenize": config.tokenize,
        "markup": repr(MARKUP.pattern),
        "temperature": config.calibration_temperature,
        "biased": any(config.calibration_bias),
        "decision": config.decision,
    }


def results(evaluate: dict[str, Any], labels: list[str], measures: ModuleType) -> dict[str, Any]:
    """Return the template's values about the results. measures: the task's module in classifier/evaluation/tasks/."""
    return {
        "metrics": measures.CARD,
        "promises": promises(evaluate, measures),
        "without_texts": labels_without_texts(evaluate, labels),
        "by_label": tables.label_rows(evaluate, labels, learned=False) if "labels" in evaluate else [],
        "quality": measures.QUALITY,
        "by_slice": findings.slice_rows(evaluate, measures.ROW_QUALITY),
    }


def written_forms(forms: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the template's values about the forms of the model. forms: metrics/export.json."""
    kept = [name for name, form in forms.items() if form["kept"]]
    return {
        "kept": {name: FORMS[name].file for name in kept},
        "graphs": [FORMS[name].file for name in kept if FORMS[name].is_graph],
        "formats": list(forms),
        "left_out": [name for name in forms if name not in kept],
        "forms_table": tables.forms_table(forms),
    }


def metadata(config, evaluate: dict[str, Any], about_data: About, about_model: About, license: str | None) -> str:
    """Return the metadata of the card as YAML. Arguments: as in `model_card`."""
    from huggingface_hub import EvalResult, ModelCardData

    trained, metrics = config.trained, MEASURES[config.task].CARD
    of_test = {
        "task_type": "text-classification",
        "dataset_name": trained["dataset"],
        "dataset_type": about_data.hub or trained["dataset"],
        "dataset_split": "test",
    }
    # Some metrics need certain test texts, such as the ROC AUC, which needs texts with different labels.
    present = {words: name for words, name in metrics.items() if name in evaluate}
    card = ModelCardData(
        language=about_data.language,
        license=license,
        base_model=about_model.hub,
        base_model_relation="finetune" if about_model.hub else None,
        datasets=[about_data.hub] if about_data.hub else None,
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=[trained["method"]],
        metrics=list(present.values()),
        model_name=f"{trained['model']}-{trained['method']}-{trained['dataset']}",
        eval_results=[
            EvalResult(metric_name=words, metric_type=name, metric_value=evaluate[name], **of_test)
            for words, name in present.items()
        ],
    )
    return card.to_yaml()
