"""The gradient of a micro-batch as a CUDA graph.

Python starts the hundreds of small kernels of a step one by one, which takes longer than the kernels themselves. A
graph starts all of them at once. It repeats exactly the kernels that it captured, on the same memory, so each shape of
a micro-batch needs a graph of its own.
"""

from collections.abc import Callable

import torch
from transformers import (
    BertForSequenceClassification,
    DistilBertForSequenceClassification,
    MPNetForSequenceClassification,
    RobertaForSequenceClassification,
)

# Encoders and peft methods without data-dependent control flow. Full fine-tuning and a head alone have none either.
ENCODERS = (
    BertForSequenceClassification,
    DistilBertForSequenceClassification,
    MPNetForSequenceClassification,
    RobertaForSequenceClassification,
)
METHODS = ("LORA", "IA3", "VERA")


def can_capture(network) -> bool:
    """Return whether a step of the network can be captured as a CUDA graph.

    The network must have no data-dependent control flow and no dropout. The capture would draw dropout masks of its
    own, and a resumed run captures again, so it would end with other weights than an uninterrupted run.
    """
    config = getattr(network, "active_peft_config", None)
    return (
        any(isinstance(module, ENCODERS) for module in network.modules())
        and (config is None or config.peft_type in METHODS)
        and not any(module.p for module in network.modules() if isinstance(module, torch.nn.Dropout))
    )


class GraphedBackward:
    """Runs the forward and backward pass of a micro-batch as a CUDA graph.

    The call and its result are those of classifier.training.gradient.eager_backward. The parameters keep their gradient
    tensors: set these to zero between two steps, and not to None.

    Args:
        loss_function: `loss_function(inputs, labels, count)` returns the scalar loss.
        parameters: The parameters to train, on the GPU.
    """

    def __init__(self, loss_function: Callable, parameters: list[torch.nn.Parameter]):
        self.loss_function, self.parameters = loss_function, parameters
        self.graphs = {}
        self.pool, self.stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)

    def __call__(self, inputs: dict[str, torch.Tensor], labels: torch.Tensor, count: int) -> torch.Tensor:
        """Add the gradient of the loss to that of the parameters; return the loss, which the next call may overwrite.

        Args:
            inputs: The tensors of `pad_batch`, (rows, tokens). Each new shape needs a new graph.
            labels: The label of each row, (rows,) or (rows, names).
            count: The divisor of the loss.
        """
        batch = inputs | {"labels": labels}
        shape = *inputs["input_ids"].shape, count
        if shape not in self.graphs:
            on_device = {name: tensor.to(self.parameters[0].device) for name, tensor in batch.items()}
            self.graphs[shape] = self.capture(on_device, count)
        graph, static_batch, loss = self.graphs[shape]
        for name, tensor in batch.items():
            static_batch[name].copy_(tensor)
        graph.replay()
        return loss

    def capture(self, static_batch: dict[str, torch.Tensor], count: int) -> tuple:
        """Return the graph, the tensors that it reads (`static_batch`) and the loss tensor that it writes."""

        def loss_and_gradients() -> tuple:
            inputs = {name: tensor for name, tensor in static_batch.items() if name != "labels"}
            loss = self.loss_function(inputs, static_batch["labels"], count)
            return loss, torch.autograd.grad(loss, self.parameters, materialize_grads=True)

        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            loss_and_gradients()  # warm-up: what kernels set up at their first call must not be captured
        torch.cuda.current_stream().wait_stream(self.stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            loss, gradients = loss_and_gradients()
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.grad.add_(gradient)
        return graph, static_batch, loss
