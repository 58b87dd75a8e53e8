"""The trained classifier as one folder that other programs load: `make export`.

In:  models/base/, models/adapter/, metrics/{data,training,evaluate}.json and params.yaml.
Out: models/export/: weights with the adapter merged into them (safetensors), config and tokenizer, model.onnx and
     the model card README.md.

Not a stage of the pipeline: nothing else reads its output.
"""

import sys
from pathlib import Path

from stages.files import METRICS, read_json, replaced
from stages.results.markdown import verbatim
from stages.run import no_arguments
from stages.settings.errors import InputError
from stages.settings.params import load_params
from stages.text import MARKUP

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

    Raises InputError if the model or its metrics are missing, or if its method leaves nothing to merge.
    """
    from peft import PeftModel
    from transformers import AutoTokenizer

    from stages.use.loading import load_classifier

    params = load_params()
    model, tokenizer = load_classifier()
    if isinstance(model, PeftModel):
        raise InputError(f"method {params.method}: cannot be merged into the weights; use models/adapter")
    try:
        metrics = {name: read_json(METRICS / f"{name}.json") for name in ("data", "training", "evaluate")}
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: not found; make it with `dvc repro evaluate`") from None

    # Clients cut long texts by the tokenizer's own settings. token_type_ids: zeros or unknown to the model.
    cut = model.config.tokenize
    tokenizer = AutoTokenizer.from_pretrained(
        tokenizer.name_or_path,
        local_files_only=True,
        model_max_length=cut["max_length"],
        truncation_side="left" if cut["truncation"] == "tail" else "right",
        model_input_names=["input_ids", "attention_mask"],
    )
    labels = list(model.config.id2label.values())
    with replaced(EXPORT) as folder:
        model.cpu().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_onnx(model, folder / "model.onnx")
        (folder / "README.md").write_text(model_card(params, metrics, labels, cut), encoding="utf-8")
    print(f"export: {EXPORT}")


def model_card(params, metrics: dict[str, dict], labels: list[str], tokenize: dict) -> str:
    """The card in the Hub's format, its results as metadata that the Hub reads."""
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=[params.method],
        model_name=f"{params.model}-{params.method}-{params.dataset}",
        eval_results=[
            EvalResult(
                task_type="text-classification",
                dataset_name=params.dataset,
                dataset_type=params.dataset,
                dataset_split="test",
                metric_type=name,
                metric_value=metrics["evaluate"][name],
            )
            for name in ("accuracy", "f1", "roc_auc", "log_loss")
        ],
    )
    card = ModelCard.from_template(
        data,
        template_str=CARD.read_text(encoding="utf-8"),
        params=params,
        labels=[verbatim(label) for label in labels],
        tokenize=tokenize,
        markup=MARKUP.pattern,
        **metrics,
    )
    return str(card)


if __name__ == "__main__":
    no_arguments("python -m stages.serving.export", "make export   # after `dvc repro`")
    try:
        export()
    except (InputError, OSError) as error:
        sys.exit(f"export: {error}")
    except KeyboardInterrupt:
        sys.exit("export: interrupted")
