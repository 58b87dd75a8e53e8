"""Several processes that train or score as one, on one host or on many.

LAUNCH in the environment names a launcher with its options: torchrun, or what starts torchrun on each host. A stage
that is told so runs under it, once for each process, and waits. torch.distributed, set up by Accelerate, joins them:
gloo between CPUs, NCCL between GPUs. Their number is hardware, like the number of threads, and so no param: neither the
rows of a batch nor DVC's run-cache depend on it.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from classifier.distributed.devices import device
from classifier.distributed.rank import rank_and_count
from classifier.errors import InputError

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
