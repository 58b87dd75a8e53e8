"""The jobs of the server that wait, and the thread that does them. Texts of several requests are scored together."""

import asyncio
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from classifier.text.pairs import Text

Function = Callable[[list[Text]], list[Any]]  # from texts to their answers


class AbandonedError(Exception):
    """The error that stops a call whose answers no request waits for."""


class Job(NamedTuple):
    """The texts of one request.

    Args:
        function: The function from texts to their answers. Jobs with the same function share calls of it.
        texts: The texts.
        weight: The number of texts whose scoring takes about as long as this job.
        arrived: The time of the arrival, as `time.monotonic` has it.
    """

    function: Function
    texts: list[Text]
    weight: int
    arrived: float


class JobQueue:
    """A queue of jobs in the order of their arrival, and the thread that does them.

    While the thread runs a call, further jobs wait. The next call gets the texts of the oldest job and of the jobs
    directly after it that have the same function, up to `batch_size` texts. `do` and `stop_if_abandoned` run in the
    scoring thread, and all other methods run in the thread of the event loop.

    Args:
        batch_size: The most texts of a call. A job with more texts has a call of its own.
    """

    def __init__(self, batch_size: int):
        self.batch_size = batch_size
        self.jobs: dict[asyncio.Future, Job] = {}  # by the result that the request waits for
        self.current: list[asyncio.Future] = []  # the results of the call that runs
        self.not_empty = asyncio.Event()
        self.thread = ThreadPoolExecutor(1, "scoring")

    @property
    def weight(self) -> int:
        """The weight of all jobs that wait."""
        return sum(job.weight for job in self.jobs.values())

    @property
    def delay(self) -> float:
        """The seconds that the oldest job has waited."""
        return max((time.monotonic() - job.arrived for job in self.jobs.values()), default=0.0)

    def add(self, function: Function, texts: list[Text], weight: int) -> asyncio.Future:
        """Add a job; return its result, a list with the answer to each text."""
        result = asyncio.get_running_loop().create_future()
        self.jobs[result] = Job(function, texts, weight, time.monotonic())
        self.not_empty.set()
        return result

    def drop(self, result: asyncio.Future) -> None:
        """Take a job out of the queue. If the job runs and nobody waits for another job of its call, the call ends."""
        self.jobs.pop(result, None)
        result.cancel()

    async def run(self) -> None:
        """Do the jobs until the task of this call is cancelled."""
        while True:
            await self.not_empty.wait()
            if not (batch := self.take()):
                self.not_empty.clear()
                continue
            self.current = [*batch]
            outcomes = await asyncio.get_running_loop().run_in_executor(self.thread, self.do, [*batch.values()])
            self.current = []
            for result, outcome in zip(batch, outcomes, strict=True):
                if result.done():  # the client is gone, or the time is over
                    continue
                if isinstance(outcome, Exception):
                    result.set_exception(outcome)
                else:
                    result.set_result(outcome)

    def take(self) -> dict[asyncio.Future, Job]:
        """Remove and return the jobs of the next call: the oldest job, and those after it that can share the call."""
        batch, texts = {}, 0
        for result, job in self.jobs.items():
            first = next(iter(batch.values()), job)
            texts += len(job.texts)
            if batch and (texts > self.batch_size or job.function != first.function):
                break
            batch[result] = job
        for result in batch:
            del self.jobs[result]
        return batch

    def do(self, jobs: list[Job]) -> list[list[Any] | Exception]:
        """Call the function once with the texts of all jobs; return the answers, or the error, of each job.

        If the call fails, call the function once for each job. So a faulty text fails only the request that has it.
        """
        try:
            answers = iter(jobs[0].function([text for job in jobs for text in job.texts]))
            return [list(itertools.islice(answers, len(job.texts))) for job in jobs]
        except BaseException as error:  # a panic in the tokenizer's Rust code is no Exception
            if len(jobs) > 1:
                return [outcome for job in jobs for outcome in self.do([job])]
            return [error if isinstance(error, Exception) else RuntimeError(repr(error))]

    def stop_if_abandoned(self, *_: Any) -> None:
        """Raise AbandonedError if nobody waits for the call that runs. For a hook of the network's forward pass."""
        if self.current and all(result.done() for result in self.current):
            raise AbandonedError

    def close(self) -> None:
        """Wait for the end of the thread."""
        self.thread.shutdown()
