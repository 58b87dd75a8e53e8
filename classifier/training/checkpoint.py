"""Training state on disk, so that a killed run goes on where it was.

A checkpoint is one safetensors file in .checkpoints/, outside the stage's outputs (which DVC deletes before a
run), named by a digest of everything that the run depends on: a stale one is never picked up. The last one of a run is
called finished once the result is written. It stays until that result is safe in DVC's cache.
"""

import json
import os
from pathlib import Path
from typing import Any

from classifier.errors import InputError
from classifier.files.writing import written

FOLDER = Path(".checkpoints")
FINISHED = ".finished.safetensors"
IMPORTANCE = ("ipt", "exp_avg_ipt", "exp_avg_unc")  # of each rank, running means of AdaLoRA's allocator


def seconds_between() -> float:
    """Time from one checkpoint to the next: it changes no result, so the environment says it, and not params.yaml."""
    given = os.environ.get("CHECKPOINT_MINUTES", "1")
    try:
        return 60 * float(given)
    except ValueError:
        raise InputError(f"CHECKPOINT_MINUTES={given} in the environment: a number is needed") from None


def save(name: str, tensors: dict[str, Any], state: dict[str, Any]) -> None:
    """Replace the checkpoint `name` by these tensors and this JSON-able state: all of it or nothing."""
    from safetensors.torch import save_file

    with written(FOLDER / f"{name}.safetensors") as part:
        save_file(tensors, part, metadata={"state": json.dumps(state)})
        with part.open("rb+") as file:
            os.fsync(file.fileno())


def load(name: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """(tensors, state) of the checkpoint `name`, finished or not, or None. Checkpoints of other runs are removed."""
    from safetensors import safe_open

    for path in FOLDER.glob("*"):
        if not path.name.startswith(f"{name}."):
            path.unlink()
    path = next(FOLDER.glob(f"{name}.*safetensors"), None)
    if path is None:
        return None
    with safe_open(path, framework="pt") as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["state"])


def finish(name: str) -> None:
    """Mark the checkpoint `name` as that of a run whose result is written."""
    if (path := FOLDER / f"{name}.safetensors").is_file():  # else a finished one was gone on from
        path.rename(FOLDER / f"{name}{FINISHED}")


def clear_finished() -> None:
    """Remove finished checkpoints; one that a broken off training will go on from stays."""
    for path in FOLDER.glob(f"*{FINISHED}"):
        path.unlink(missing_ok=True)


def pack(model, optimizer, best: dict[str, Any]) -> dict[str, Any]:
    """Everything that the next step depends on, as named tensors: trained weights, AdamW's moments, random state and
    AdaLoRA's importances. And `best`: the weights of the best validation so far, by name, if they are kept.
    """
    import torch

    tensors = {f"model.{name}": p.detach().contiguous() for name, p in model.named_parameters() if p.requires_grad}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
    tensors |= {f"best.{name}": weights for name, weights in best.items()}
    tensors["random"] = torch.get_rng_state()
    if model.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(model.device)
    if allocator := getattr(model.base_model, "rankallocator", None):  # AdaLoRA's
        for kind in IMPORTANCE:
            tensors |= {f"{kind}.{name}": value for name, value in getattr(allocator, kind).items()}
        for name, kept in (model.active_peft_config.rank_pattern or {}).items():
            tensors[f"rank_pattern.{name}"] = torch.tensor(kept)
    return tensors


def unpack(tensors: dict[str, Any], model, optimizer) -> dict[str, Any]:
    """The inverse of pack; returns `best`."""
    import torch

    torch.set_rng_state(tensors.pop("random"))
    random = tensors.pop("random.cuda", None)
    if random is not None and model.device.type == "cuda":
        torch.cuda.set_rng_state(random, model.device)
    parameters, state = dict(model.named_parameters()), optimizer.state_dict()
    best, rank_pattern = {}, {}
    for name, tensor in tensors.items():
        kind, _, name = name.partition(".")
        if kind == "model":
            parameters[name].data.copy_(tensor)
        elif kind == "best":
            best[name] = tensor
        elif kind in IMPORTANCE:
            getattr(model.base_model.rankallocator, kind)[name] = tensor.to(model.device)
        elif kind == "rank_pattern":
            rank_pattern[name] = tensor.tolist()
        else:
            number, _, moment = name.partition(".")
            state["state"].setdefault(int(number), {})[moment] = tensor
    optimizer.load_state_dict(state)
    if rank_pattern:
        model.active_peft_config.rank_pattern = rank_pattern
    return best
