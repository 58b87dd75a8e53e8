"""The trained classifier as one folder that other programs load: `make export`.

In:  models/base/ and models/adapter/; metrics/evaluate.json and metrics/data.json, if dvc.lock says that they are of
     this adapter and its data.
Out: models/export/: weights with the adapter merged into them (safetensors), config and tokenizer, model.onnx and
     the model card README.md.

Not a stage of the pipeline: nothing else reads its output.
"""

import sys
from pathlib import Path

from classifier.errors import InputError
from classifier.evaluation.markdown import verbatim
from classifier.files.formats import read_json
from classifier.files.places import ADAPTER, METRICS, RAW
from classifier.files.writing import replaced
from classifier.runner.command import no_arguments
from classifier.runner.outputs import last_run
from classifier.text.cleaning import MARKUP

EXPORT = Path("models/export")
CARD = Path(__file__).with_name("card.md.j2")


def write_onnx(model, path: Path) -> None:
    """The model as a graph from input_ids and attention_mask, (rows, tokens), to logits, (rows, labels)."""
    import contextlib
    import io
    import logging
    import warnings

    import torch

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    names = ["input_ids", "attention_mask"]
    example = torch.ones((2, 8), dtype=torch.int64)
    mask = example.clone()
    mask[1, 5:] = 0  # with padding, or the graph would have no mask
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # that torchvision is not installed
    with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(
            Logits().eval(),
            (example, mask),
            path,
            input_names=names,
            output_names=["logits"],
            dynamic_shapes={name: {0: "rows", 1: "tokens"} for name in names},
            dynamo=True,
            external_data=False,  # one file
        )


def export() -> None:
    """Write models/export/ anew.

    Raises InputError if the model is missing, or if its method leaves nothing to merge.
    """
    from peft import PeftModel
    from transformers import AutoTokenizer

    from classifier.model.loading import load_classifier, trained_settings

    trained = trained_settings()["trained"]
    model, tokenizer = load_classifier()
    if isinstance(model, PeftModel):
        raise InputError(f"method {trained['method']}: cannot be merged into the weights; use models/adapter")

    # Clients cut long texts by the tokenizer's own settings. token_type_ids: zeros or unknown to the model.
    cut = model.config.tokenize
    tokenizer = AutoTokenizer.from_pretrained(
        tokenizer.name_or_path,
        local_files_only=True,
        model_max_length=cut["max_length"],
        truncation_side="left" if cut["truncation"] == "tail" else "right",
        model_input_names=["input_ids", "attention_mask"],
    )
    evaluate, data = results()
    with replaced(EXPORT) as folder:
        model.cpu().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_onnx(model, folder / "model.onnx")
        (folder / "README.md").write_text(model_card(model.config, evaluate, data), encoding="utf-8")
    print(f"export: {EXPORT}")


def results() -> tuple[dict | None, dict | None]:
    """(metrics/evaluate.json, metrics/data.json), None for one that dvc.lock does not show to be of models/adapter, and
    a line says why.
    """
    path, about = METRICS / "evaluate.json", METRICS / "data.json"
    try:
        evaluated = last_run("evaluate", ADAPTER, path)
    except InputError as error:
        print(f"export: the card has no results: {error}")
        return None, None
    try:
        if last_run("data", about).get(RAW) != evaluated[RAW]:
            raise InputError(f"{about} is of other texts; `dvc repro`")
    except InputError as error:
        print(f"export: the card does not say where the test texts come from: {error}")
        return read_json(path), None
    return read_json(path), read_json(about)


def model_card(config, evaluate: dict | None, data: dict | None) -> str:
    """The card in the Hub's format, its results as metadata that the Hub reads.

    config: of the classifier; evaluate, data: as results returns them.
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    trained = config.trained
    metadata = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=[trained["method"]],
        model_name=f"{trained['model']}-{trained['method']}-{trained['dataset']}" if evaluate else None,
        eval_results=evaluate
        and [
            EvalResult(
                task_type="text-classification",
                dataset_name=trained["dataset"],
                dataset_type=trained["dataset"],
                dataset_split="test",
                metric_type=name,
                metric_value=evaluate[name],
            )
            for name in ("accuracy", "f1", "roc_auc", "log_loss")
        ],
    )
    card = ModelCard.from_template(
        metadata,
        template_str=CARD.read_text(encoding="utf-8"),
        trained=trained,
        merged=(ADAPTER / "adapter_config.json").is_file(),
        temperature=config.calibration_temperature,
        labels=[verbatim(label) for label in config.id2label.values()],
        columns=[verbatim(name) for name in config.columns],
        separator=repr(config.separator),
        tokenize=config.tokenize,
        markup=repr(MARKUP.pattern),
        evaluate=evaluate,
        data=data,
    )
    return str(card)


if __name__ == "__main__":
    no_arguments("python -m apps.export", "make export   # after `dvc repro`")
    try:
        export()
    except (InputError, OSError) as error:
        sys.exit(f"export: {error}")
    except KeyboardInterrupt:
        sys.exit("export: interrupted")
