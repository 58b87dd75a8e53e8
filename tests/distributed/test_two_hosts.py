"""Two hosts tokenize, train and evaluate together, with `dvc repro` on one of them.

The hosts are two network namespaces of this machine, each with its own address. Needs Linux, root and iproute2.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import contents, flat, read, run_stages
from safetensors.numpy import load_file
from tiny import edit_params

pytestmark = pytest.mark.scale

HOST = f"host-{os.getpid()}-"  # pytest-xdist runs tests in several processes at once
SET_UP = """\
ip netns add host-a
ip netns add host-b
ip link add wire-a netns host-a type veth peer name wire-b netns host-b
ip -n host-a addr add 10.77.0.1/24 dev wire-a
ip -n host-b addr add 10.77.0.2/24 dev wire-b
ip -n host-a link set wire-a up
ip -n host-b link set wire-b up
ip -n host-a link set lo up
ip -n host-b link set lo up"""
TORCHRUN = "torchrun --nnodes 2 --nproc-per-node 1 --master-addr 10.77.0.1 --node-rank"


@pytest.fixture
def on() -> Iterator[Callable[..., subprocess.Popen]]:
    """Return a function that starts a shell command on a host, in a folder: on("a", "dvc repro", folder) -> Popen."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("needs root and iproute2, to make two hosts")
    started = []

    def on(host: str, command: str, folder: Path, **environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            ["ip", "netns", "exec", f"{HOST}{host}", "sh", "-c", command],
            cwd=folder,
            env=os.environ | {"GLOO_SOCKET_IFNAME": f"wire-{host}"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    try:
        for command in SET_UP.replace("host-", HOST).splitlines():
            process = subprocess.run(command.split(), capture_output=True, text=True)
            if process.returncode:
                pytest.skip(f"{command}: {process.stderr.strip()}")
        yield on
    finally:
        for process in started:
            process.kill()
            process.wait()
        for host in ("a", "b"):
            subprocess.run(["ip", "netns", "delete", f"{HOST}{host}"], stderr=subprocess.DEVNULL)


def test_two_hosts_with_a_shared_folder(finished, on):
    edit_params(finished, **{"tokenize.windows": 2, "train.seed": 14, "train.learning_rate": 0.001})
    first = on("a", "dvc repro evaluate", finished, LAUNCH=f"{TORCHRUN} 0")
    stages = "for stage in tokenize train evaluate; do LINE 1 --no-python python -m stages.$stage || exit 1; done"
    second = on("b", stages.replace("LINE", TORCHRUN), finished)
    output_a, output_b = first.communicate(timeout=240)[0], second.communicate(timeout=60)[0]
    assert (first.returncode, second.returncode) == (0, 0), output_a + output_b
    assert "2 processes" in output_a
    assert "train: " not in output_b, "only rank 0 prints"
    together, weights = flat(read("metrics/training.json")), load_file("models/adapter/adapter_model.safetensors")
    scored = contents(finished)
    run_stages("tokenize", "evaluate")
    assert contents(finished) == scored
    run_stages("train")
    assert flat(read("metrics/training.json")) == pytest.approx(together, abs=2e-3)
    for name, tensor in load_file("models/adapter/adapter_model.safetensors").items():
        np.testing.assert_allclose(tensor, weights[name], atol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("params.yaml", "rank 1 of 2 runs another stage than rank 0, or has other params or code; bring its"),
        ("data/tokens", "the connection to the other processes was lost"),  # the other host prints the cause
    ],
)
def test_a_host_whose_folder_differs_is_refused(finished, tmp_path, on, missing, line):
    other = tmp_path / "other"
    edit_params(finished, **{"train.seed": 14})
    shutil.copytree(finished, other)
    if missing == "params.yaml":
        edit_params(other, **{"train.seed": 15})
    else:
        shutil.rmtree(other / missing)
    before = contents(finished)
    first = on("a", "dvc repro train", finished, LAUNCH=f"{TORCHRUN} 0")
    second = on("b", f"{TORCHRUN} 1 --no-python python -m stages.train", other)
    output_a, output_b = first.communicate(timeout=240)[0], second.communicate(timeout=60)[0]
    assert first.returncode
    assert second.returncode
    assert f"train: {line}" in output_a
    assert missing == "params.yaml" or "train: data/tokens: not found; `dvc repro train` makes it" in output_b
    assert contents(finished) == before
