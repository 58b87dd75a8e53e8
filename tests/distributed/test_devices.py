"""The choice of the device and of the precision, on fake hardware; the environment that torch is loaded with."""

import os
import platform
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from classifier.distributed.devices import device, uses_bf16
from classifier.errors import InputError
from classifier.runner import environment
from classifier.runner.environment import let_idle_threads_sleep


@pytest.mark.parametrize(
    ("variables", "spin_count"),
    [({}, environment.SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_waiting_threads_soon_sleep(monkeypatch, variables, spin_count):
    """Unless the environment sets how OpenMP's threads wait."""
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    let_idle_threads_sleep()
    assert os.environ.get("GOMP_SPINCOUNT") == spin_count


@pytest.mark.parametrize(
    "command",
    [["stages.train"], ["stages.evaluate"], ["apps.infer", "a good film"], ["apps.infer", "--file", "texts.csv"]],
    ids=" ".join,
)
def test_a_command_sets_its_environment_before_torch_is_loaded(finished, command):
    """OpenMP reads its variables when torch is loaded. glibc reads its tunables when the process starts."""
    tunable = environment.MALLOC.partition(":")[0]  # the first one: glibc cuts the list at its colons while it reads it
    Path("texts.csv").write_text("text\na good film\n")
    Path("sitecustomize.py").write_text(
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            print('torch is loaded with', os.environ.get('GOMP_SPINCOUNT'))\n"
        f"            print('{tunable}' in open('/proc/self/environ').read())\n"
        "            sys.stdout.flush()\n"
        "            os._exit(0)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    removed = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "GLIBC_TUNABLES")
    variables = {name: value for name, value in os.environ.items() if name not in removed}
    variables["PYTHONPATH"] = f".{os.pathsep}{os.environ['PYTHONPATH']}"
    lines = subprocess.check_output([sys.executable, "-m", *command], text=True, env=variables).splitlines()
    assert lines[-2] == f"torch is loaded with {environment.SPINS}"
    restarted = "a good film" not in command and platform.libc_ver()[0] == "glibc"
    assert lines[-1] == str(restarted)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="process 3 of this host has no GPU: the host has 2; start 2 processes"):
        device()
    for name in ("cuda:0", "cuda:1", "cuda"):  # all processes of this host would take the same GPU
        monkeypatch.setenv("DEVICE", name)
        with pytest.raises(InputError, match=rf"^DEVICE={name} .* each takes the GPU of its local rank; unset DEVICE"):
            device()
    monkeypatch.setenv("DEVICE", "cpu")
    assert device().type == "cpu"
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")  # LOCAL_RANK alone is not torchrun's
    monkeypatch.setattr(torch, "empty", lambda size, device: SimpleNamespace(device=device))
    monkeypatch.delenv("DEVICE")
    assert device() == "cuda:0"

    def busy(size, device):
        raise RuntimeError("CUDA error: device is busy")

    monkeypatch.setattr(torch, "empty", busy)
    with pytest.raises(InputError, match=r"^cuda:0: CUDA error: device is busy; set DEVICE=cpu in the environment"):
        device()
    monkeypatch.setenv("DEVICE", "cuda:1")
    with pytest.raises(
        InputError, match=r"^DEVICE=cuda:1 in the environment: CUDA error: device is busy; unset DEVICE"
    ):
        device()


@pytest.mark.parametrize(
    ("gpu", "cpu", "expected"),
    [
        (None, {"avx512_bf16": True}, True),
        (None, {"amx_bf16": True, "avx512_bf16": False}, True),
        (None, {"avx2": True, "avx512_bf16": False}, False),
        (None, {}, False),  # not an x86 CPU
        (True, {}, True),
        (False, {"avx512_bf16": True}, False),  # an older GPU emulates bf16; the CPU does not matter beside a GPU
    ],
)
def test_bf16_is_chosen_where_the_hardware_has_it(monkeypatch, gpu, cpu, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: gpu or including_emulation)
    monkeypatch.setattr(torch.cuda, "device", nullcontext)  # which makes a GPU the current one, that torch asks
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    device = torch.device("cpu" if gpu is None else "cuda")
    assert uses_bf16("auto", device) is expected
    assert [uses_bf16(precision, device) for precision in ("fp32", "bf16")] == [False, True]
