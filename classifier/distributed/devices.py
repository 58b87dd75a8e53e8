"""What a network runs on: which device, in which precision it trains there, and how exactly CUDA repeats itself."""

import os

from classifier.distributed.rank import rank_and_count
from classifier.errors import InputError


def device():
    """The torch device that DEVICE in the environment names (cpu, cuda:1, mps), or else the best one here. Of several
    processes on a host each has a GPU of its own.

    Raises InputError if there is no such device, there are fewer GPUs than processes, or one is named for several.
    """
    import torch

    launched = rank_and_count()
    number = int(os.environ["LOCAL_RANK"]) if launched else 0
    found = f"cuda:{number}" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    name = os.environ.get("DEVICE")
    if not name and found.startswith("cuda") and number >= (count := torch.cuda.device_count()):
        raise InputError(f"process {number + 1} of this host has no GPU, of which {count} are here; start {count}")
    name = name or found
    if launched and launched[1] > 1 and name != found and name.startswith("cuda:") and found.startswith("cuda:"):
        raise InputError(f"DEVICE={name} in the environment: of several processes each takes its own GPU; leave it out")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # no such name, a build of torch without it, or one in use
        said = str(error).splitlines()[0]
        if name == os.environ.get("DEVICE"):
            raise InputError(
                f"DEVICE={name} in the environment: {said}; {found} is here, also without DEVICE"
            ) from None
        raise InputError(f"{name}: {said}; DEVICE=cpu in the environment goes without it") from None


def training_device(deterministic: bool):
    """`device`, made the current one if it is a GPU, with deterministic kernels only if that is wanted."""
    import torch

    chosen = device()
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)  # whose kinds of numbers are asked for, and on which graphs are recorded
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
            torch.use_deterministic_algorithms(True)
            torch.utils.deterministic.fill_uninitialized_memory = False  # by a kernel each time, and nothing reads it
    return chosen


def trains_in_bf16(precision: str, device) -> bool:
    """Whether a network on the device, the current one if it is a GPU, trains in bf16. precision: of the recipe; auto:
    in bf16 where the hardware multiplies matrices in it, since one that emulates it is slower with it than without.
    """
    import torch

    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
