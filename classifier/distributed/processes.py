"""Several processes that tokenize, train or score together, on one host or on several.

LAUNCH in the environment names a launcher with its options: torchrun, or a command that starts torchrun on each host.
If LAUNCH is set, `tokenize`, `train`, `evaluate` and `apps.infer --file` start themselves again under this launcher,
once per process, and wait until all processes have ended (see classifier/runner/launch.py). torch.distributed connects
the processes: over gloo between CPUs, over NCCL between GPUs. `rank` is the number of a process, from 0.

The number of processes is a property of the hardware, like the number of threads. Therefore params.yaml does not have
this number, and neither the rows of a batch nor DVC's run-cache depend on it.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from classifier.distributed.devices import device
from classifier.distributed.rank import rank_and_count
from classifier.errors import InputError, out_of_memory

NOT_CONNECTED = "the processes could not connect"
CONNECTION_LOST = "the connection to the other processes was lost"


@dataclass(frozen=True)
class Processes:
    """The processes that work together, as one of them sees them.

    If there is only one process, the methods send nothing: `shard`, `broadcast` and `all_reduce` return their argument,
    `all_reduce_gradients` returns the loss, and the other methods do nothing. If there are several, a rank that sends
    something waits for the other ranks: up to 30 minutes between CPUs and 10 minutes between GPUs (torch's defaults).
    Then the rank fails. Only `ending_together` waits without such a limit.

    Args:
        rank: The number of this process, from 0.
        count: The number of processes on all hosts.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def from_environment(cls) -> "Processes":
        """Return the processes that the launcher started; a single process without a launcher."""
        return cls(*rank_and_count() or ())

    @classmethod
    def connect(cls) -> "Processes":
        """Connect the processes that the launcher started; return once all of them have called this.

        If one of the connected processes ends, the next exchange of data fails in the others, so they end as well. A
        second call keeps the connection.

        Raises:
            InputError: The processes could not connect.
        """
        processes = cls.from_environment()
        if processes.count > 1:
            import torch

            on_gpu = (chosen := device()).type == "cuda"
            try:
                if on_gpu:
                    torch.cuda.set_device(chosen)  # NCCL sends from and to the current device
                if not torch.distributed.is_initialized():
                    torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
            except (RuntimeError, ValueError) as error:
                if out_of_memory(error):
                    raise
                raise InputError(f"{NOT_CONNECTED}: {str(error).splitlines()[0]}") from error
        return processes

    @property
    def is_rank_0(self) -> bool:
        """Whether this is the process that prints and writes the results."""
        return self.rank == 0

    def shard(self, items: Sequence) -> Sequence:
        """Return this rank's share: every count-th item.

        If the items are sorted by length, all ranks get about the same amount of work.
        """
        return items[self.rank :: self.count]

    @contextmanager
    def ending_together(self) -> Iterator[None]:
        """Let no rank leave a `with` block before all ranks have reached its end, however late some of them are."""
        if self.count == 1:
            yield
            return
        import torch

        group = torch.distributed.new_group(backend="gloo", timeout=timedelta(days=365))
        yield
        with report_lost_connection():
            torch.distributed.barrier(group)

    def check_equal(self, value: str, problem: str) -> None:
        """Check that all ranks have the same value.

        Args:
            value: The value of this rank.
            problem: What is wrong with a rank that has another value than rank 0, and how to fix it.

        Raises:
            InputError: The values differ. It is raised on every rank.
        """
        if self.count > 1:
            import torch

            values = [None] * self.count
            with report_lost_connection():
                torch.distributed.all_gather_object(values, value)
            for rank, other in enumerate(values):
                if other != values[0]:
                    raise InputError(f"rank {rank} of {self.count} {problem}")

    def broadcast(self, value: Any) -> Any:
        """Send the value of rank 0, pickled, to all ranks, and return this value on each rank."""
        if self.count == 1:
            return value
        import torch

        values = [value]
        with report_lost_connection():
            torch.distributed.broadcast_object_list(values, src=0)
        return values[0]

    def broadcast_parameters(self, parameters: list) -> None:
        """Set each parameter to its value on rank 0."""
        if self.count > 1:
            values = self.broadcast([parameter.detach().cpu() for parameter in parameters])
            for parameter, value in zip(parameters, values, strict=True):
                parameter.data.copy_(value)

    def all_reduce(self, tensor):
        """Return the sum of the tensor over all ranks, the same bytes on each rank."""
        if self.count == 1:
            return tensor
        import torch

        total = tensor.to("cuda" if torch.distributed.get_backend() == "nccl" else "cpu", copy=True)
        with report_lost_connection():
            torch.distributed.all_reduce(total)
            if total.is_cuda:
                torch.cuda.synchronize()  # so that an error is raised here and not by a later operation
        return total.to(tensor.device)

    def all_reduce_gradients(self, parameters: list, loss: float) -> float:
        """Set each parameter's gradient to the sum of its gradients over all ranks; return the sum of the losses.

        One flat tensor carries everything: the gradients, a 1 or 0 for each parameter (whether it has a gradient on
        this rank), and the loss. On a rank whose shard of the batch is empty, no parameter has a gradient.

        torch's DistributedDataParallel, which exchanges gradients during the backward pass, does not fit here. It needs
        a backward pass on every rank, but a rank with an empty shard has none. And it averages over ranks, which is
        wrong if the shards have different sizes.
        """
        if self.count == 1:
            return loss
        import torch

        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        numbers = gradients[0].new_tensor([*(float(p.grad is not None) for p in parameters), loss])
        flat = torch.cat([gradient.flatten() for gradient in gradients] + [numbers])
        *sums, numbers = self.all_reduce(flat).split([p.numel() for p in parameters] + [len(numbers)])
        *ranks_with_gradient, loss = numbers.tolist()
        for parameter, total, ranks in zip(parameters, sums, ranks_with_gradient, strict=True):
            parameter.grad = total.view_as(parameter) if ranks else None
        return loss


ALONE = Processes()


@contextmanager
def report_lost_connection() -> Iterator[None]:
    """Raise an error of torch.distributed as an InputError.

    In most cases another rank has failed, and the message of that rank tells the cause. So this process waits ten
    seconds, in which the launcher can end it, before it raises an error of its own.
    """
    try:
        yield
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        time.sleep(10)
        raise InputError(f"{CONNECTION_LOST}: {str(error).splitlines()[0]}") from error
