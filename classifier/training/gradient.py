"""The gradient of a batch, and how it is taken: in which precision, of how many rows at once, as CUDA graphs or not."""

from functools import partial

import numpy as np

from classifier.model.forward import pad_batch


class Gradient:
    """`gradient(sequences, labels, count)` adds the gradient of these rows' cross-entropy, its sum divided by `count`,
    to that of the network's parameters, and returns that quotient.

    count: the rows of the whole batch, however it is cut into micro-batches and shares of several processes, so that
    their sum is its mean. micro_batch_size: rows at once. bf16: torch's autocast; weights stay fp32. weights: of the
    labels, see label_weights. longest: tokens, the most that a row has. repeats: if the network is one for it,
    gradients are CUDA graphs, which keep the parameters' gradient tensors: set these to zero, and not to None.
    """

    def __init__(
        self,
        network,
        micro_batch_size: int,
        bf16: bool = False,
        weights: np.ndarray | None = None,
        longest: int | None = None,
        repeats: bool = False,
    ):
        import torch

        from classifier.training.graphs import Graphs, repeatable

        self.network, self.micro_batch_size, self.longest = network, micro_batch_size, longest
        weights = None if weights is None else torch.from_numpy(weights).to(network.device)
        self.loss = partial(loss, network, bf16, weights)  # no method: graphs that held this would outlive it
        self.graphs, self.multiple = None, 1
        if repeats and network.device.type == "cuda" and repeatable(network):
            trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
            self.graphs, self.multiple = Graphs(self.loss, trained), 32  # each shape has a graph
        elif bf16 and network.device.type == "cpu":
            self.multiple = 16  # for each shape torch's library for bf16, oneDNN, makes code and keeps it

    def __call__(self, sequences: list[np.ndarray], labels: np.ndarray, count: int) -> float:
        import torch

        total = 0.0
        for start in range(0, len(sequences), self.micro_batch_size):
            part = slice(start, start + self.micro_batch_size)
            inputs = pad_batch(sequences[part], self.network.config.pad_token_id, self.multiple, self.longest)
            answers = torch.from_numpy(labels[part])
            if self.graphs:
                value = self.graphs(inputs, answers, count)
            else:
                device = self.network.device
                inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
                value = self.loss(inputs, answers.to(device), count)
                value.backward()
            total += value.item()
        return total


def loss(network, bf16: bool, weights, inputs: dict, answers, count: int):
    """The cross-entropy of some rows, its sum divided by `count`, a scalar.

    weights: of the labels, (labels,), or None; inputs: input_ids and attention_mask, (rows, tokens); answers: (rows,)
    int64; all where the network is.
    """
    import torch

    with torch.autocast(network.device.type, torch.bfloat16, enabled=bf16):
        scores = network(**inputs).logits
    return torch.nn.functional.cross_entropy(scores.float(), answers, weights, reduction="sum") / count


def label_weights(wanted: str | dict[str, float] | None, labels: np.ndarray, names: list[str]) -> np.ndarray | None:
    """How much a row of each label counts in the loss, (names,) float32; None: all alike.

    wanted: "balanced", so that each label counts the same in all; or weights by name, 1 for those not named. Only their
    ratios matter: over `labels`, the rows to train on, their mean is 1.
    """
    if wanted is None:
        return None
    counts = np.bincount(labels, minlength=len(names))
    weights = 1 / counts if wanted == "balanced" else np.array([wanted.get(name, 1.0) for name in names])
    return (weights / np.average(weights, weights=counts)).astype(np.float32)


def orthogonality(model):
    """AdaLoRA's penalty on its singular vectors (Zhang et al. 2023, eq. 4), a scalar; None for other methods.

    peft adds it to a loss only if the model computes that loss itself.
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
