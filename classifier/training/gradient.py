"""The loss of a batch and its gradient, computed eagerly or by CUDA graphs."""

from collections.abc import Callable
from functools import partial

import numpy as np

from classifier.model.padding import pad_batch, padding_multiple, types_after_of
from classifier.tasks.task import Task


class Gradient:
    """Computes the gradient of a batch in micro-batches.

    `gradient(sequences, labels, count)` returns the loss: the sum of the rows' losses, divided by `count`. It
    adds the gradient of this loss to the gradients of the network's parameters. `count` is the number of rows of the
    whole batch, of which `sequences` may be the shard of one rank. So the sum over micro-batches and over ranks is the
    batch's mean loss, and the gradients add up likewise.

    Args:
        network: The classifier.
        task: The task, which has the loss.
        micro_batch_size: Rows per forward and backward pass.
        bf16: Whether the forward pass runs under torch's autocast to bfloat16. The weights stay in float32.
        settings: The `loss_settings` of the task.
        max_length: The largest number of tokens that a row can have. No padding goes beyond it. None: no limit.
        use_cuda_graphs: Use CUDA graphs where the device and the network allow it.

    Attributes:
        uses_cuda_graphs: Whether CUDA graphs are used. The gradients must then be set to zero between two steps and
            not to None, because the graphs write to the gradient tensors that were there at the capture.
    """

    def __init__(
        self,
        network,
        task: Task,
        micro_batch_size: int,
        bf16: bool = False,
        settings: np.ndarray | None = None,
        max_length: int | None = None,
        use_cuda_graphs: bool = False,
    ):
        import torch

        from classifier.training.graphs import GraphedBackward, can_capture

        self.network, self.micro_batch_size, self.max_length = network, micro_batch_size, max_length
        settings = None if settings is None else torch.from_numpy(settings).float().to(network.device)
        # Not a method of this object: graphs that held this object would not be freed together with it.
        loss_function = partial(scaled_loss, network, task, bf16, settings)
        self.uses_cuda_graphs = use_cuda_graphs and network.device.type == "cuda" and can_capture(network)
        if self.uses_cuda_graphs:
            trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
            self.backward = GraphedBackward(loss_function, trained)
            self.padding_multiple = 32  # few shapes: each shape needs a graph
        else:
            self.backward = partial(eager_backward, loss_function, network.device)
            self.padding_multiple = padding_multiple(bf16, network.device)

    def __call__(self, sequences: list[np.ndarray], labels: np.ndarray, count: int) -> float:
        import torch

        total = 0.0
        for start in range(0, len(sequences), self.micro_batch_size):
            rows = slice(start, start + self.micro_batch_size)
            inputs = pad_batch(
                sequences[rows],
                self.network.config.pad_token_id,
                self.padding_multiple,
                self.max_length,
                types_after_of(self.network),
            )
            total += self.backward(inputs, torch.from_numpy(labels[rows]), count).item()
        return total


def eager_backward(loss_function: Callable, device, inputs: dict, labels, count: int):
    """Run the forward and backward pass of a micro-batch operation by operation.

    The last three arguments and the result are those of classifier.training.graphs.GraphedBackward, which runs both
    passes as a CUDA graph.

    Args:
        loss_function: `loss_function(inputs, labels, count)` returns the scalar loss.
        device: The device of the network.
        inputs: The tensors of `pad_batch`, (rows, tokens).
        labels: The label of each row, (rows,) or (rows, names).
        count: The divisor of the loss.

    Returns:
        The loss. Its gradient is added to that of the parameters.
    """
    loss = loss_function({name: tensor.to(device) for name, tensor in inputs.items()}, labels.to(device), count)
    loss.backward()
    return loss


def scaled_loss(network, task: Task, bf16: bool, settings, inputs: dict, labels, count: int):
    """Return the sum of the rows' losses, divided by `count`: a scalar tensor.

    Args:
        network: The classifier. All tensors are on its device.
        task: The task, which has the loss.
        bf16: Whether to run it under autocast to bfloat16.
        settings: The `loss_settings` of the task, a tensor or None.
        inputs: The tensors of `pad_batch`, (rows, tokens).
        labels: The label of each row, (rows,) or (rows, names).
        count: The divisor.
    """
    import torch

    with torch.autocast(network.device.type, torch.bfloat16, enabled=bf16):
        logits = network(**inputs).logits
    return task.loss(logits.float(), labels, settings) / count


def orthogonality_penalty(model):
    """Return AdaLoRA's penalty on its singular vectors, a scalar, as peft computes it; None for other methods.

    The penalty is `orth_reg_weight` times the mean Frobenius norm of P P' - I over all P, which are A and B'.
    Zhang et al. 2023, eq. 4, squares the norm. peft adds the penalty only to a loss that the model itself computes.
    """
    import torch
    from peft import AdaLoraModel

    if not isinstance(model.base_model, AdaLoraModel):
        return None
    gaps = []
    for name, parameter in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            matrix = parameter if "lora_A" in name else parameter.T
            gaps.append(torch.linalg.matrix_norm(matrix @ matrix.T - torch.eye(len(matrix), device=matrix.device)))
    return model.active_peft_config.orth_reg_weight * torch.stack(gaps).mean()
