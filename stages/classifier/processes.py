"""Several processes that train or score as one, on one host or on many.

LAUNCH in the environment names a launcher with its options: torchrun, or what starts torchrun on each host. A stage
that is told so runs under it, once for each process, and waits. torch.distributed, set up by Accelerate, joins them:
gloo between CPUs, NCCL between GPUs. Their number is hardware, like the number of threads, and so no param: neither the
rows of a batch nor DVC's run-cache depend on it.
"""

import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.classifier.hardware import device
from stages.settings.environment import rank_and_count
from stages.settings.errors import InputError

UNJOINED = "the processes could not be joined"
LOST = "the connection to the other processes broke off"


@dataclass(frozen=True)
class Processes:
    """This one of `count` processes; alone if not told otherwise, and then nothing is sent and each call is free."""

    rank: int = 0
    count: int = 1

    @classmethod
    def here(cls) -> "Processes":
        """As the launcher says in the environment; Processes() without one."""
        return cls(*rank_and_count() or ())

    @classmethod
    def joined(cls) -> "Processes":
        """Those of `here`, connected: when one ends, the others notice. Returns once all have called it."""
        processes = cls.here()
        if processes.count > 1:
            from accelerate import PartialState

            try:
                PartialState(cpu=device().type != "cuda")  # which keeps its state from one call to the next
            except (RuntimeError, ValueError) as error:
                raise InputError(f"{UNJOINED}: {str(error).splitlines()[0]}") from error
        return processes

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and shows what all have done."""
        return self.rank == 0

    def share(self, items: Sequence) -> Sequence:
        """Every count-th item, so that of items sorted by length all have as much to do."""
        return items[self.rank :: self.count]

    def agree(self, value: str, otherwise: str) -> None:
        """Raises InputError, in all of them, if the value is not the same everywhere. otherwise: what is then wrong."""
        if self.count > 1:
            from accelerate.utils import gather_object

            with lost_peers_told():
                values = gather_object([value])
            for rank, other in enumerate(values):
                if other != values[0]:
                    raise InputError(f"process {rank} of {self.count} {otherwise}")

    def from_first(self, value: Any) -> Any:
        """What the first process gives, in all of them; it is pickled between them."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        with lost_peers_told():
            return broadcast_object_list([value])[0]

    def begin_alike(self, parameters: list) -> None:
        """Give each parameter the first process's value."""
        if self.count > 1:
            values = self.from_first([parameter.detach().cpu() for parameter in parameters])
            for parameter, value in zip(parameters, values, strict=True):
                parameter.data.copy_(value)

    def sum(self, tensor):
        """The tensor's sum over all processes, the same bytes in each."""
        if self.count == 1:
            return tensor
        import torch
        from accelerate import PartialState

        moved = tensor.to(PartialState().device, copy=True)
        with lost_peers_told():
            torch.distributed.all_reduce(moved)
            if moved.is_cuda:
                torch.cuda.synchronize()  # an error shows here, and not at what comes next
        return moved.to(tensor.device)

    def sum_gradients(self, parameters: list, loss: float) -> float:
        """Give each parameter the sum of its gradients over all processes; return the sum of their losses.

        DistributedDataParallel would do it during the backward pass, but wants one from every process, and takes the
        mean: of a batch with fewer rows than processes, and of its uneven shares, neither is right.
        """
        if self.count == 1:
            return loss
        import torch

        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        used = gradients[0].new_tensor([each.grad is not None for each in parameters])  # a share may be empty
        flat = torch.cat([each.flatten() for each in gradients] + [used, used.new_tensor([loss])])
        *sums, used, loss = self.sum(flat).split([*(each.numel() for each in parameters), len(parameters), 1])
        for parameter, total, uses in zip(parameters, sums, used.tolist(), strict=True):
            parameter.grad = total.view_as(parameter) if uses else None
        return loss.item()


ALONE = Processes()


@contextmanager
def lost_peers_told() -> Iterator[None]:
    """An error of torch.distributed as one line. The launcher has some seconds to end this process for the sake of the
    one that broke off, which says why.
    """
    try:
        yield
    except RuntimeError as error:
        time.sleep(10)
        raise InputError(f"{LOST}: {str(error).splitlines()[0]}") from error


def launch(stage: str, *arguments: str) -> None:
    """Run `python -m stages.STAGE ARGUMENTS` under the launcher that LAUNCH names, and wait until all have ended.

    Their output is this process's; raises InputError with the line that one of them has ended with.
    """
    given = f"LAUNCH={os.environ['LAUNCH']} in the environment"
    try:
        launcher = shlex.split(os.environ["LAUNCH"])
    except ValueError as error:
        raise InputError(f"{given}: {error}") from None
    names = [Path(word).name for word in launcher]
    if "torchrun" not in names:
        raise InputError(f"{given}: has no torchrun, which tells the processes who they are")
    launcher.insert(names.index("torchrun") + 1, "--no-python")  # what it starts is a command
    environment = {name: value for name, value in os.environ.items() if name != "LAUNCH"}
    environment["LAUNCHED_BY"] = f"{os.getpid()} {platform.node()}"
    command = [*launcher, sys.executable, "-m", f"stages.{stage}", *arguments]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of what follows
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", env=environment)
    except OSError as error:
        raise InputError(f"{given}: {error.strerror}") from None
    try:
        told = process.communicate()[1]  # read to its end: until no process is left that could write to it
    except BaseException:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave one running
        process.terminate()
        process.communicate()
        raise
    if process.returncode:
        if os.environ.get("DEBUG"):
            sys.stderr.write(told)
        raise InputError(reason(told, stage) or f"{launcher[0]} ended with status {process.returncode}")


def reason(told: str, stage: str) -> str | None:
    """Of all that processes and launcher have said, the line that tells most."""
    own = re.findall(rf"^{stage}: (.*)", told, re.MULTILINE)
    causes = [line for line in own if not line.startswith((UNJOINED, LOST))]
    killed = re.findall(r"Signal \d+ \((\w+)\) received by PID", told)
    killed.sort(key="SIGTERM".__eq__)  # which the launcher itself sends to the others
    words = re.findall(r"^.*[A-Za-z].*$", told, re.MULTILINE)
    return next(iter(causes + [f"a process was ended by {name}" for name in killed] + own + words[-1:]), None)
