"""Measure where the time of a training step of the default goes, in the short epoch and in the epoch on whole texts.

    make profile         # after `dvc repro`

The time of a whole step is measured by the clock. The times of its parts are measured by torch's profiler.
"""

import re
import time
from typing import Annotated

import pandas as pd
import typer
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.default_training import default_training
from benchmarks.record import Record
from classifier.model.loading import silence_libraries
from classifier.training.training import Training

# Kinds of work, by the names of torch's operations on a CPU and of the kernels on a GPU.
KINDS = {
    "matrix products": r"::(add)?mm_?$|_linear_pointwise|gemm|nvjet",
    "attention": "attention|fmha|flash|sdpa|bmm$|softmax",
    "GELU": "gelu",
    "LayerNorm": "layer_norm",
}
REST = "the rest"
WHAT = (
    "Where the time of a training step goes, in the short epoch and in the whole one: "
    "the step by the clock, its parts by torch's profiler."
)


def kind_of(name: str) -> str:
    """Return the kind of work of an operation."""
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name, re.IGNORECASE)), REST)


def step_times(training: Training, steps: range) -> tuple[float, dict[str, float], int]:
    """Time the first half of these steps by the clock, and profile the second half.

    Returns:
        (seconds of a step by the clock, seconds of each kind of work in a step by the profiler, operations of a step).
        On a GPU the profiler's times are the GPU's alone, and the operations are its kernels.
    """
    if training.gradient.uses_cuda_graphs:
        for step in steps:  # each shape of a batch records its CUDA graph before the timing
            training.take_step(step)
    clocked, profiled = steps[: len(steps) // 2], steps[len(steps) // 2 :]
    started = time.perf_counter()
    for step in clocked:
        training.take_step(step)
    seconds = (time.perf_counter() - started) / len(clocked)
    on_gpu = training.network.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] * on_gpu)]) as profiler:
        for step in profiled:
            training.take_step(step)
    by_kind, count = dict.fromkeys([*KINDS, REST], 0.0), 0
    for event in profiler.key_averages():
        if (event.device_type == DeviceType.CUDA) == on_gpu and not event.is_user_annotation:
            microseconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            by_kind[kind_of(event.key)] += microseconds / 1e6 / len(profiled)
            count += event.count
    return seconds, by_kind, round(count / len(profiled))


def main(steps: Annotated[int, typer.Option(min=2, help="Steps of each epoch.")] = 24) -> None:
    """Show the milliseconds of a training step and its kinds of work, for the short epoch and the whole one."""
    silence_libraries()
    record, table = Record("profile", WHAT), []
    training = default_training()
    epochs = ["short", "whole"] if training.plan.short_epochs else ["whole"]
    for number, epoch in enumerate(epochs):
        first = number * training.plan.steps_per_epoch + 1
        training.take_step(first)  # the first step sets things up, so it is not timed
        seconds, by_kind, count = step_times(training, range(first + 1, first + 1 + steps))
        parts = {"the step, by the clock": {"ms": 1000 * seconds, "operations": count}}
        for kind, part in by_kind.items():
            parts[kind] = {"ms": 1000 * part, "share": part / sum(by_kind.values())}
        table += [{"epoch": epoch, "part of the step": part, **values} for part, values in parts.items()]
    formats = {"epoch": "", "part of the step": "", "ms": ",.1f", "share": ".0%", "operations": ",.0f"}
    record.write(pd.DataFrame(table), formats)


if __name__ == "__main__":
    typer.run(main)
