"""The device that a network runs on, the precision in which it computes there, and deterministic CUDA kernels."""

import os

from classifier.distributed.rank import rank_and_count
from classifier.errors import InputError


def device():
    """Return the torch device to run on.

    DEVICE in the environment names the device (cpu, cuda:1, mps). If DEVICE is not set, the device is a GPU if the host
    has one, and else the CPU. If several processes share a host with GPUs, the GPU is the one whose number is the local
    rank of the process.

    Raises:
        InputError: The device cannot be used, the host has fewer GPUs than processes, or DEVICE names one GPU for
            several processes.
    """
    import torch

    launched = rank_and_count()
    local_rank = int(os.environ["LOCAL_RANK"]) if launched else 0
    default = f"cuda:{local_rank}" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    requested = os.environ.get("DEVICE")
    if not requested and default == f"cuda:{local_rank}" and local_rank >= (gpus := torch.cuda.device_count()):
        raise InputError(
            f"process {local_rank + 1} of this host has no GPU: the host has {gpus}; start {gpus} processes"
        )
    name, variable = requested or default, f"DEVICE={requested} in the environment"
    named = "cuda:0" if name == "cuda" else name
    if launched and launched[1] > 1 and named != default and named.startswith("cuda") and default.startswith("cuda"):
        raise InputError(f"{variable}: with several processes each takes the GPU of its local rank; unset DEVICE")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # no such device, a build of torch without it, or a busy GPU
        problem = str(error).splitlines()[0]
        if requested:
            raise InputError(f"{variable}: {problem}; unset DEVICE to run on {default}") from None
        raise InputError(f"{name}: {problem}; set DEVICE=cpu in the environment to run on the CPU") from None


def training_device(deterministic: bool):
    """Return `device()` for a training. If it is a GPU, make it torch's current device.

    Args:
        deterministic: Whether CUDA uses deterministic kernels only.
    """
    import torch

    chosen = device()
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)  # CUDA graphs are captured on the current device
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by cuBLAS for determinism
            torch.use_deterministic_algorithms(True)
            # In deterministic mode torch fills the memory of each new tensor, which takes a kernel per tensor. This is
            # switched off, since no code of this project reads uninitialized memory.
            torch.utils.deterministic.fill_uninitialized_memory = False
    return chosen


def uses_bf16(precision: str, device) -> bool:
    """Return whether a network computes in bfloat16 on a device.

    Args:
        precision: fp32, bf16 or auto. auto takes bf16 only where the hardware multiplies matrices in bf16, because
            emulated bf16 is slower than fp32.
        device: A torch device.

    Raises:
        InputError: The precision is not fp32, bf16 or auto.
    """
    import torch

    if precision not in ("fp32", "bf16", "auto"):
        raise InputError(f"precision: {precision!r}: should be fp32, bf16 or auto")
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))


def scoring_metadata(precision: str) -> dict[str, str]:
    """Return the metadata that tells in which precision, fp32 or bf16, results were scored: none for fp32."""
    return {} if precision == "fp32" else {"scoring_precision": precision}
