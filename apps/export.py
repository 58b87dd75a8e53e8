"""Export the trained classifier as one folder that other programs can load.

    make export

In:  models/base/ and models/adapter/. Also metrics/evaluate.json and metrics/data.json, if dvc.lock shows that they
     belong to this adapter and its data.
Out: models/export/: the weights with the adapter merged into them (safetensors), config, tokenizer, model.onnx and the
     model card README.md.

The export is not a stage of the pipeline, because no stage reads its output.
"""

from collections.abc import Sequence
from pathlib import Path

from classifier.errors import InputError
from classifier.evaluation.limits import labels_without_texts
from classifier.evaluation.markdown import verbatim
from classifier.evaluation.tasks.task import MEASURES
from classifier.files.formats import read_json
from classifier.files.places import ADAPTER, METRICS, RAW
from classifier.files.writing import replace_folder
from classifier.runner.command import exit_on_user_error, no_arguments
from classifier.runner.outputs import last_run
from classifier.text.cleaning import MARKUP

EXPORT = Path("models/export")
CARDS = Path(__file__).with_name("cards")  # card.md.j2, and a template for each task


def export() -> None:
    """Write models/export/, replacing an earlier export.

    Raises InputError if the model is missing, or if its method's parameters cannot be merged into the weights.
    """
    from peft import PeftModel

    from classifier.model.forward import types_after
    from classifier.model.loading import load_classifier, trained_settings

    method = trained_settings()["trained"]["method"]
    model, tokenizer = load_classifier()
    if isinstance(model, PeftModel):
        raise InputError(f"method {method}: cannot be merged into the weights; use models/adapter")
    has_types = types_after(model) is not None
    tokenizer = load_export_tokenizer(tokenizer.name_or_path, model.config.tokenize, has_types)
    evaluate, data = read_card_metrics()
    with replace_folder(EXPORT) as folder:
        model.cpu().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_onnx(model, folder / "model.onnx", tokenizer.model_input_names)
        (folder / "README.md").write_text(model_card(model.config, evaluate, data), encoding="utf-8")
    print(f"export: {EXPORT}")


def load_export_tokenizer(path: str, tokenize: dict, has_types: bool):
    """Load the tokenizer, set so that other programs truncate long texts as in the training.

    A tokenizer has no setting for head+tail. If the training used head+tail, the tokenizer keeps the beginning of a
    text.

    Args:
        path: folder of the tokenizer.
        tokenize: settings of the stage `tokenize` at the time of the training.
        has_types: whether the model was trained with token types, which tell the two texts of a pair apart.
    """
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(
        path,
        local_files_only=True,
        model_max_length=tokenize["max_length"],
        truncation_side="left" if tokenize["truncation"] == "tail" else "right",
        # Without pairs, token_type_ids are zeros, or unknown to the model.
        model_input_names=["input_ids", "attention_mask"] + ["token_type_ids"] * has_types,
    )


def write_onnx(model, path: Path, names: Sequence[str] = ("input_ids", "attention_mask")) -> None:
    """Write the model as an ONNX graph from the outputs of the tokenizer to logits, (rows, labels).

    names: input_ids, attention_mask and perhaps token_type_ids, each (rows, tokens).
    """
    import contextlib
    import io
    import logging
    import warnings

    import torch

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask, token_type_ids=None):
            types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            return self.model(input_ids=input_ids, attention_mask=attention_mask, **types).logits

    example = torch.ones((2, 8), dtype=torch.int64)
    mask = example.clone()
    mask[1, 5:] = 0  # without padding in the example, the graph would ignore the mask
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # silences the warning that torchvision is not installed
    with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(
            Logits().eval(),
            (example, mask, mask.clone())[: len(names)],  # torch takes one tensor for one input
            path,
            input_names=names,
            output_names=["logits"],
            dynamic_shapes={name: {0: "rows", 1: "tokens"} for name in names},
            dynamo=True,
            external_data=False,  # one file
        )


def read_card_metrics() -> tuple[dict | None, dict | None]:
    """Read the metrics that the model card shows.

    Returns:
        (metrics/evaluate.json, metrics/data.json). A file is None if dvc.lock does not show that it belongs to
        models/adapter; a printed line then says why.
    """
    evaluate, data = METRICS / "evaluate.json", METRICS / "data.json"
    try:
        evaluated = last_run("evaluate", ADAPTER, evaluate)
    except InputError as error:
        print(f"export: the card has no results: {error}")
        return None, None
    try:
        if last_run("data", data).get(RAW) != evaluated[RAW]:
            raise InputError(f"{data} describes other texts than those that were scored; `dvc repro`")
    except InputError as error:
        print(f"export: the card does not say where the test texts come from: {error}")
        return read_json(evaluate), None
    return read_json(evaluate), read_json(data)


def model_card(config, evaluate: dict | None, data: dict | None) -> str:
    """Return the model card in the format of the Hugging Face Hub, which reads the results from the card's metadata.

    Args:
        config: config of the classifier.
        evaluate, data: as read_card_metrics() returns them.
    """
    from huggingface_hub import EvalResult, ModelCardData
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    trained, metrics = config.trained, MEASURES[config.task].CARD
    dataset = {"dataset_name": trained["dataset"], "dataset_type": trained["dataset"], "dataset_split": "test"}
    of_test = {"task_type": "text-classification", **dataset}
    metadata = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=[trained["method"]],
        model_name=f"{trained['model']}-{trained['method']}-{trained['dataset']}" if evaluate else None,
        eval_results=evaluate
        and [
            EvalResult(metric_name=words, metric_type=name, metric_value=evaluate[name], **of_test)
            for words, name in metrics.items()
            if name in evaluate  # a test split without a label may have no F1 and no ROC AUC
        ],
    )
    layout = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    templates = Environment(loader=FileSystemLoader(CARDS), **layout)
    return templates.get_template(f"{config.task.replace('-', '_')}.md.j2").render(
        card_data=metadata.to_yaml(),
        trained=trained,
        metrics=metrics,
        merged=(ADAPTER / "adapter_config.json").is_file(),
        temperature=config.calibration_temperature,
        decision=config.decision,
        biased=any(config.calibration_bias),
        without_texts=evaluate and labels_without_texts(evaluate, list(config.id2label.values())),
        labels=[verbatim(label) for label in config.id2label.values()],
        columns=[verbatim(name) for name in config.columns],
        separator=repr(config.separator),
        pair=getattr(config, "pair", False),
        has_types=getattr(config, "token_types_after", None) is not None,
        tokenize=config.tokenize,
        markup=repr(MARKUP.pattern),
        evaluate=evaluate,
        data=data,
    )


if __name__ == "__main__":
    no_arguments("python -m apps.export", "make export   # after `dvc repro`")
    with exit_on_user_error("export"):
        export()
