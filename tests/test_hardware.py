"""Which device and which precision are taken, of hardware that is made up."""

from types import SimpleNamespace

import pytest
import torch

from stages.classifier.hardware import device, trains_in_bf16
from stages.settings.errors import InputError


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="process 3 of this host has no GPU, of which 2 are here; start 2"):
        device()
    monkeypatch.setenv("DEVICE", "cuda:1")
    with pytest.raises(InputError, match=r"^DEVICE=cuda:1 .* of several processes each takes its own GPU"):
        device()
    monkeypatch.setenv("DEVICE", "cpu")
    assert device().type == "cpu"
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")  # LOCAL_RANK of something else
    monkeypatch.setattr(torch, "empty", lambda size, device: SimpleNamespace(device=device))
    monkeypatch.delenv("DEVICE")
    assert device() == "cuda:0"

    def busy(size, device):
        raise RuntimeError("CUDA error: device is busy")

    monkeypatch.setattr(torch, "empty", busy)
    with pytest.raises(InputError, match=r"^cuda:0: CUDA error: device is busy; DEVICE=cpu in the environment"):
        device()
    monkeypatch.setenv("DEVICE", "cuda:1")
    with pytest.raises(InputError, match=r"^DEVICE=cuda:1 in the environment: CUDA error: device is busy; cuda:0 is"):
        device()


@pytest.mark.parametrize(
    ("gpu", "cpu", "expected"),
    [
        (None, {"avx512_bf16": True}, True),
        (None, {"amx_bf16": True, "avx512_bf16": False}, True),
        (None, {"avx2": True, "avx512_bf16": False}, False),
        (None, {}, False),  # not an x86
        (True, {}, True),
        (False, {"avx512_bf16": True}, False),  # an older GPU emulates it, and the GPU is what trains
    ],
)
def test_bf16_is_chosen_where_the_hardware_has_it(monkeypatch, gpu, cpu, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: gpu or including_emulation)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    device = torch.device("cpu" if gpu is None else "cuda")
    assert trains_in_bf16("auto", device) is expected
    assert [trains_in_bf16(precision, device) for precision in ("fp32", "bf16")] == [False, True]
