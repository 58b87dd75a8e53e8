"""Where the time of a training step goes, by torch's profiler: of the default, in its short epoch and in a whole one.

make profile         # after `dvc repro`
"""

import re
import time
from typing import Annotated

import pandas as pd
import typer
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.record import Record
from classifier.distributed.devices import device
from classifier.model.forward import quiet
from classifier.runner.params import arguments, load_params
from classifier.text.tokens import open_tokens
from classifier.training.training import Training
from stages.train import train

# By the names of torch's operations on a CPU, and of the kernels on a GPU.
KINDS = {"matrix products": r"::(add)?mm_?$|gemm|nvjet", "attention": "attention|fmha|flash|sdpa|bmm$|softmax"}
KINDS |= {"GELU": "gelu", "LayerNorm": "layer_norm"}


def kind_of(name: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name, re.IGNORECASE)), "the rest")


def step_times(training: Training, steps: range) -> tuple[float, dict[str, float], int]:
    """(seconds of one of these steps by the clock, seconds of each kind of work in it by the profiler, operations in
    it): half of the steps for either. On a GPU the work is the GPU's alone, and the operations are its kernels.
    """
    if training.gradient.uses_cuda_graphs:
        for step in steps:  # recorded before
            training.take_step(step)
    clocked, profiled = steps[: len(steps) // 2], steps[len(steps) // 2 :]
    started = time.perf_counter()
    for step in clocked:
        training.take_step(step)
    seconds = (time.perf_counter() - started) / len(clocked)
    on_gpu = training.network.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] * on_gpu)]) as found:
        for step in profiled:
            training.take_step(step)
    by_kind, count = dict.fromkeys([*KINDS, "the rest"], 0.0), 0
    for event in found.key_averages():
        if (event.device_type == DeviceType.CUDA) == on_gpu and not event.is_user_annotation:
            taken = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            by_kind[kind_of(event.key)] += taken / 1e6 / len(profiled)
            count += event.count
    return seconds, by_kind, round(count / len(profiled))


def main(steps: Annotated[int, typer.Option(min=2, help="Of each epoch.")] = 24) -> None:
    """Print the table."""
    quiet()
    record, table = Record("profile"), []
    settings = arguments(train, load_params())
    training = Training(**settings, train_tokens=open_tokens("train"), validation_tokens=open_tokens("validation"))
    epochs = ["short", "whole"] if training.plan.short_epochs else ["whole"]
    for number, epoch in enumerate(epochs):
        first = number * training.plan.steps_per_epoch + 1
        training.take_step(first)  # what is set up at the first is not counted
        seconds, by_kind, count = step_times(training, range(first + 1, first + 1 + steps))
        row = {"epoch": epoch, "ms": 1000 * seconds, f"operations on {device().type}": count}
        for kind, taken in by_kind.items():
            row[f"{kind}, ms"] = f"{1000 * taken:.1f} ({taken / sum(by_kind.values()):.0%})"
        table.append(row)
    record.write(pd.DataFrame(table), ".1f")


if __name__ == "__main__":
    typer.run(main)
