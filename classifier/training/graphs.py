"""A gradient as a CUDA graph: its hundreds of small kernels are started at once, and not one by one from Python, which
takes longer than they do.

A graph repeats what it has recorded, so there is one for each shape of a batch.
"""

from collections.abc import Callable

import torch
from transformers import (
    BertForSequenceClassification,
    DistilBertForSequenceClassification,
    MPNetForSequenceClassification,
    RobertaForSequenceClassification,
)

ENCODERS = (
    BertForSequenceClassification,
    DistilBertForSequenceClassification,
    MPNetForSequenceClassification,
    RobertaForSequenceClassification,
)
METHODS = ("LORA", "IA3", "VERA")  # of peft's, beside full and head


def repeatable(network) -> bool:
    """Whether each step does the same with other numbers: of an encoder and a method that ask nothing of their values,
    and without dropout, of which the recording would draw too, so that a resumed run was not that of a whole one.
    """
    config = getattr(network, "active_peft_config", None)
    return (
        any(isinstance(module, ENCODERS) for module in network.modules())
        and (config is None or config.peft_type in METHODS)
        and not any(module.p for module in network.modules() if isinstance(module, torch.nn.Dropout))
    )


class Graphs:
    """`graphs(inputs, answers, count)` adds the gradient of `loss(inputs, answers, count)`, a scalar, to that of the
    parameters, and returns the loss, which the next call may overwrite. They keep their gradients' tensors: set these
    to zero, and not to None.

    inputs: input_ids and attention_mask, (rows, tokens); their shapes should be few.
    """

    def __init__(self, loss: Callable, parameters: list[torch.nn.Parameter]):
        self.loss, self.parameters = loss, parameters
        self.recorded = {}
        self.pool, self.stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)

    def __call__(self, inputs: dict[str, torch.Tensor], answers: torch.Tensor, count: int) -> torch.Tensor:
        given = [inputs["input_ids"], inputs["attention_mask"], answers]
        shape = *given[0].shape, count
        if shape not in self.recorded:
            self.recorded[shape] = self.record([tensor.to(self.parameters[0].device) for tensor in given], count)
        graph, own, loss = self.recorded[shape]
        for tensor, value in zip(own, given, strict=True):
            tensor.copy_(value)
        graph.replay()
        return loss

    def record(self, own: list[torch.Tensor], count: int) -> tuple:
        """(graph, the tensors that it reads, the loss that it writes)."""

        def gradients() -> tuple:
            ids, mask, answers = own
            loss = self.loss({"input_ids": ids, "attention_mask": mask}, answers, count)
            return loss, torch.autograd.grad(loss, self.parameters, materialize_grads=True)

        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            gradients()  # once before: what kernels set up at their first call is no part of a graph
        torch.cuda.current_stream().wait_stream(self.stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            loss, added = gradients()
            for parameter, gradient in zip(self.parameters, added, strict=True):
                parameter.grad.add_(gradient)
        return graph, own, loss
