"""Which device and which precision are taken, of hardware that is made up."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from classifier.distributed.devices import device, trains_in_bf16
from classifier.errors import InputError
from classifier.runner import environment
from classifier.runner.environment import share_cores


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, environment.SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_threads_that_wait_soon_sleep(monkeypatch, given, spins):
    """Unless the environment says how they wait."""
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    share_cores()
    assert os.environ.get("GOMP_SPINCOUNT") == spins


@pytest.mark.parametrize("command", [["stages.train"], ["stages.evaluate"], ["apps.infer", "a good film"]])
def test_what_a_command_sets_is_there_when_torch_is_loaded(finished, command):
    """For OpenMP, which then reads its environment; and glibc has read its own, at the process's start."""
    first = environment.MALLOC.partition(":")[0]  # at the next colon glibc cuts its list while it reads it
    Path("sitecustomize.py").write_text(
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            print('torch is loaded with', os.environ.get('GOMP_SPINCOUNT'))\n"
        f"            print('{first}' in open('/proc/self/environ').read())\n"
        "            sys.stdout.flush()\n"
        "            os._exit(0)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    set_by_it = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "GLIBC_TUNABLES")
    own = {name: value for name, value in os.environ.items() if name not in set_by_it}
    own["PYTHONPATH"] = f".{os.pathsep}{os.environ['PYTHONPATH']}"
    told = subprocess.check_output([sys.executable, "-m", *command], text=True, env=own).splitlines()
    assert told[-2] == f"torch is loaded with {environment.SPINS}"
    begun_anew = command[0] != "apps.infer" and platform.libc_ver()[0] == "glibc"
    assert told[-1] == str(begun_anew)


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
