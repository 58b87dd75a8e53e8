"""The state of a training: packed into a checkpoint, and restored from one."""

from dataclasses import asdict
from typing import Any

from classifier.training.progress import Progress

# Attributes of AdaLoRA's rank allocator: the last importance of each weight, and the running means of the importance
# and of its deviation from this mean.
ADALORA_IMPORTANCE = ("ipt", "exp_avg_ipt", "exp_avg_unc")


def pack(training) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return everything that the next step of a Training depends on: tensors by name, and a JSON-serializable state."""
    state = {"progress": asdict(training.progress), "scheduler": training.scheduler.state_dict()}
    state["hardware"] = hardware(training)
    return pack_tensors(training.network, training.optimizer, training.best_weights), state


def unpack(training, tensors: dict[str, Any], state: dict[str, Any]) -> list[str]:
    """Restore what `pack` returned; return each change of the hardware settings since then, in words."""
    training.best_weights = unpack_tensors(tensors, training.network, training.optimizer)
    training.scheduler.load_state_dict(state["scheduler"])
    for group, learning_rate in zip(training.optimizer.param_groups, training.scheduler.get_last_lr(), strict=True):
        group["lr"] = learning_rate  # a scheduler restores its own count, not the optimizer's learning rate
    training.progress = Progress(**state["progress"])
    before = state["hardware"]
    return [f"{name} {before[name]}, now {now}" for name, now in hardware(training).items() if now != before[name]]


def hardware(training) -> dict[str, Any]:
    """Return the hardware settings, which affect the weights but are not in the run's key. The chip is left out."""
    import torch

    return {
        "device": training.network.device.type,
        "processes": training.processes.count,
        "threads": torch.get_num_threads(),
        "bf16": training.bf16,
    }


def trained_parameters(network) -> dict[str, Any]:
    """Return the parameters that train, by name and without their gradients. They share the network's memory."""
    return {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}


def pack_tensors(network, optimizer, best_weights: dict[str, Any]) -> dict[str, Any]:
    """Return the tensors of a training by name.

    The tensors are the trained weights, AdamW's moments, the random state, AdaLoRA's importances and ranks, and the
    weights at the lowest validation loss so far (`best_weights`, which is empty if the recipe does not keep them).
    """
    import torch

    tensors = {f"weights.{name}": weights.contiguous() for name, weights in trained_parameters(network).items()}
    tensors |= {f"best_weights.{name}": weights for name, weights in best_weights.items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": moment for name, moment in moments.items()}
    tensors["random"] = torch.get_rng_state()
    if network.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(network.device)
    if allocator := getattr(network.base_model, "rankallocator", None):
        for kind in ADALORA_IMPORTANCE:
            tensors |= {f"{kind}.{name}": importance for name, importance in getattr(allocator, kind).items()}
        for name, kept_ranks in (network.active_peft_config.rank_pattern or {}).items():
            tensors[f"rank_pattern.{name}"] = torch.tensor(kept_ranks)
    return tensors


def unpack_tensors(tensors: dict[str, Any], network, optimizer) -> dict[str, Any]:
    """Restore what `pack_tensors` returned; return its `best_weights`."""
    import torch

    torch.set_rng_state(tensors.pop("random"))
    cuda_state = tensors.pop("random.cuda", None)
    if cuda_state is not None and network.device.type == "cuda":
        torch.cuda.set_rng_state(cuda_state, network.device)
    parameters, optimizer_state = dict(network.named_parameters()), optimizer.state_dict()
    best_weights, rank_pattern = {}, {}
    for key, tensor in tensors.items():
        kind, _, name = key.partition(".")
        if kind == "weights":
            parameters[name].data.copy_(tensor)
        elif kind == "best_weights":
            best_weights[name] = tensor
        elif kind == "optimizer":
            number, _, moment = name.partition(".")
            optimizer_state["state"].setdefault(int(number), {})[moment] = tensor
        elif kind == "rank_pattern":
            rank_pattern[name] = tensor.tolist()
        else:  # a kind of ADALORA_IMPORTANCE
            getattr(network.base_model.rankallocator, kind)[name] = tensor.to(network.device)
    optimizer.load_state_dict(optimizer_state)
    if rank_pattern:
        network.active_peft_config.rank_pattern = rank_pattern
    return best_weights
