"""The forms in which models/export holds the classifier: how each is written, and how it is loaded to be scored."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Literal

from classifier.export.graph import write_int8, write_onnx

FormName = Literal["transformers", "bf16", "onnx", "int8"]


@dataclass(frozen=True)
class Form:
    """A form of the classifier.

    Attributes:
        file: Its file in the folder of the export, under the name that transformers and transformers.js expect.
        write: Writes the file: write(model, tokenizer, file).
        load: Returns a model that `logits` of classifier/model/forward.py takes: load(folder, config).
        is_rounded: Whether its weights are rounded, so that its answers differ from those in fp32.
    """

    file: str
    write: Callable
    load: Callable
    is_rounded: bool

    @property
    def is_graph(self) -> bool:
        """Whether it is an ONNX graph."""
        return self.file.endswith(".onnx")


def write_fp32_weights(model, tokenizer, file: Path) -> None:
    """Write model.safetensors."""
    model.save_pretrained(file.parent)


def write_bf16_weights(model, tokenizer, file: Path) -> None:
    """Write model.bf16.safetensors, which transformers calls the variant "bf16"."""
    import torch

    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(file.parent, variant="bf16")


def write_fp32_graph(model, tokenizer, file: Path) -> None:
    """Write onnx/model.onnx."""
    write_onnx(model, file, tokenizer.model_input_names)


def write_int8_graph(model, tokenizer, file: Path) -> None:
    """Write onnx/model_int8.onnx, from onnx/model.onnx if the folder has it already."""
    fp32 = file.with_name("model.onnx")
    with TemporaryDirectory() as folder:
        if not fp32.exists():
            fp32 = Path(folder) / "model.onnx"
            write_fp32_graph(model, tokenizer, fp32)
        write_int8(fp32, file)


def load_weights(folder: Path, config):
    """Return the classifier of model.safetensors."""
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(folder, config=config, local_files_only=True)


def load_bf16_weights(folder: Path, config):
    """Return the classifier of model.bf16.safetensors, which computes in bf16."""
    import torch
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(
        folder, config=config, local_files_only=True, variant="bf16", dtype=torch.bfloat16
    )


def load_graph(name: str) -> Callable:
    """Return the function that loads a graph in the folder onnx/ as a model."""

    def load(folder: Path, config) -> "OnnxModel":
        return OnnxModel(folder / name, config)

    return load


class OnnxModel:
    """An ONNX graph that is called like a sequence classifier of transformers."""

    def __init__(self, path: Path, config):
        import onnxruntime
        import torch

        self.config, self.device, self.dtype = config, torch.device("cpu"), torch.float32
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def eval(self) -> "OnnxModel":
        return self

    def __call__(self, **inputs):
        import torch

        (logits,) = self.session.run(["logits"], {name: tensor.numpy() for name, tensor in inputs.items()})
        return SimpleNamespace(logits=torch.from_numpy(logits))


FORMS: dict[FormName, Form] = {
    "transformers": Form("model.safetensors", write_fp32_weights, load_weights, is_rounded=False),
    "bf16": Form("model.bf16.safetensors", write_bf16_weights, load_bf16_weights, is_rounded=True),
    "onnx": Form("onnx/model.onnx", write_fp32_graph, load_graph("onnx/model.onnx"), is_rounded=False),
    "int8": Form("onnx/model_int8.onnx", write_int8_graph, load_graph("onnx/model_int8.onnx"), is_rounded=True),
}
