"""The batches of an epoch, and the gradient of one."""

from typing import TYPE_CHECKING

import numpy as np

from stages.classifier.forward import pad

if TYPE_CHECKING:
    from stages.classifier.graphs import Graphs


def epoch_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Row numbers of each batch of an epoch: a function of its arguments alone, so that a resumed run is exact. Torch's
    samplers draw from a random state and start an epoch at its beginning only.

    Rows are shuffled, sorted by length within windows of 32 batches (little padding, still random company), and
    the batches shuffled. Within a batch, longest first.
    """
    rng = np.random.default_rng((seed, epoch))
    rows = rng.permutation(len(lengths))
    window = 32 * batch_size
    rows = np.concatenate(
        [
            part[np.argsort(-lengths[part], kind="stable")]
            for part in (rows[start : start + window] for start in range(0, len(rows), window))
        ]
    )
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return [batches[number] for number in rng.permutation(len(batches))]


def multiplies_bf16(device) -> bool:
    """Whether the hardware multiplies matrices in bf16; one that emulates it is slower with it than without."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))


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


def gradient(
    network,
    sequences: list[np.ndarray],
    labels: np.ndarray,
    count: int,
    micro_batch_size: int,
    bf16: bool = False,
    weights=None,
    graphs: "Graphs | None" = None,
) -> float:
    """Add the gradient of these rows' cross-entropy, its sum divided by `count`; return that quotient.

    count: the rows of the whole batch, however it is cut into micro-batches and shares of several processes, so that
    their sum is its mean. bf16, weights: see cross_entropy. graphs: add the gradient in its place; made with the same
    bf16 and weights.
    """
    import torch

    total = 0.0
    for start in range(0, len(sequences), micro_batch_size):
        part = slice(start, start + micro_batch_size)
        inputs = pad(sequences[part], network.config.pad_token_id)
        answers = torch.from_numpy(labels[part])
        if graphs:
            loss = graphs(inputs, answers, count)
        else:
            inputs = {name: tensor.to(network.device) for name, tensor in inputs.items()}
            loss = cross_entropy(network, inputs, answers.to(network.device), count, bf16, weights)
            loss.backward()
        total += loss.item()
    return total


def cross_entropy(network, inputs: dict, answers, count: int, bf16: bool = False, weights=None):
    """Of some rows, its sum divided by `count`, a scalar.

    inputs: input_ids and attention_mask, (rows, tokens); answers: (rows,) int64. bf16: torch's autocast; weights stay
    fp32. weights: of the labels, (labels,) float32 where the network is, see label_weights.
    """
    import torch

    with torch.autocast(network.device.type, torch.bfloat16, enabled=bf16):
        scores = network(**inputs).logits
    return torch.nn.functional.cross_entropy(scores.float(), answers, weights, reduction="sum") / count


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
