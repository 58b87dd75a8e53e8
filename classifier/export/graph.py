"""Write a classifier as an ONNX graph, in fp32 or with weights in int8."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from classifier.errors import InputError

# The operators whose weights get eight bits: linear layers (MatMul, Gemm: int8) and embeddings (Gather: uint8).
QUANTIZED = ["MatMul", "Gemm", "Gather"]
LARGEST = 2**31 - 2**25  # bytes of weights in an ONNX file: protobuf's limit, less 32 MB for the operators


def check_size(model) -> None:
    """Raise InputError if the weights of a model are too large for an ONNX file."""
    size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    if size > LARGEST:
        raise InputError(
            f"export.formats: the ONNX graph would have {size / 1e9:.1f} GB, and an ONNX file holds 2.1 GB; "
            "take out onnx and int8"
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what torch and onnxruntime print and log below errors: a user can do nothing about it."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)


def write_onnx(model, path: Path, names: Sequence[str] = ("input_ids", "attention_mask")) -> None:
    """Write the model as an ONNX graph from the outputs of the tokenizer to logits, (rows, labels).

    The same weights give the same bytes in any folder.

    Args:
        model: A sequence classifier of transformers, on the CPU in fp32.
        path: The new file.
        names: input_ids, attention_mask and perhaps token_type_ids, each (rows, tokens).
    """
    import onnx
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
    with quiet(), plain_attention(model):
        program = torch.onnx.export(
            Logits().eval(),
            (example, mask, mask.clone())[: len(names)],  # a clone: torch would make one input of the same tensor twice
            input_names=names,
            output_names=["logits"],
            dynamic_shapes={name: {0: "rows", 1: "tokens"} for name in names},
            dynamo=True,
        )
    graph = program.model_proto
    forget_source(graph)
    onnx.save(graph, path)


@contextlib.contextmanager
def plain_attention(model) -> Iterator[None]:
    """Let a model compute attention by plain matrix products: ONNX Runtime runs the int8 graph a fifth faster then."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def forget_source(message) -> None:
    """Remove what torch notes about the source of each node: stack traces, with the paths of this machine."""
    for part in (message, message.graph, *message.graph.node, *message.graph.value_info, *message.functions):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def write_int8(fp32: Path, path: Path) -> None:
    """Write an ONNX graph with weights of eight bits.

    A linear layer has int8 weights, with a scale for each output channel, and rounds its inputs to uint8 by the range
    that they have in the batch. So an answer depends a little on the other texts of its batch. These weights use seven
    bits: on CPUs without int8 instructions (VNNI), sums of products of eight bits can overflow. A table of embeddings
    is uint8 with one scale.

    Args:
        fp32: The graph that `write_onnx` wrote.
        path: The new file.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(
            fp32,
            path,
            op_types_to_quantize=QUANTIZED,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
