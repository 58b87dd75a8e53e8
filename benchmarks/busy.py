"""Time a training step and a scoring, alone and beside one busy program. Each is timed twice: with OpenMP's threads
waiting actively, which is their default, and with threads that soon sleep, which classifier/runner/environment.py sets.

    make busy
"""

import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from typing import Annotated

import pandas as pd
import typer

from benchmarks.record import Record, in_turn, ratios, seconds
from classifier.model.forward import logits, quiet
from classifier.runner.environment import SPINS
from classifier.runner.params import arguments, load_params
from classifier.text.tokens import open_tokens
from classifier.training.training import Training
from stages.train import train

STEPS, TEXTS = 10, 100


def show_times() -> None:
    """Print the seconds of a step of the whole epoch, and of scoring some texts, alone and beside a program that has
    always something to do.
    """
    quiet()
    settings = arguments(train, load_params())
    training = Training(**settings, train_tokens=open_tokens("train"), validation_tokens=open_tokens("validation"))
    first = training.plan.short_epochs * training.plan.steps_per_epoch + 1
    texts, found = training.validation_tokens.head(TEXTS), {}

    def take_steps() -> None:
        for step in range(first, first + STEPS):
            training.take_step(step)

    take_steps()  # what is set up at the first is not counted
    for beside in ("nothing", "a busy program"):
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if beside != "nothing" else None
        try:
            time.sleep(0.5)  # until it runs
            found[f"a training step, beside {beside}"] = seconds(take_steps) / STEPS
            found[f"{TEXTS} texts scored, beside {beside}"] = seconds(partial(logits, training.network, texts))
        finally:
            if other:
                other.kill()
                other.wait()
    print(json.dumps(found))


def times_with(environment: dict[str, str]) -> dict[str, float]:
    """What show_times prints, in a process of its own: OpenMP reads its environment when torch is loaded."""
    command = [sys.executable, "-c", "from benchmarks.busy import show_times; show_times()"]
    others = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    return json.loads(subprocess.check_output(command, text=True, env=others | environment))


def main(pairs: Annotated[int, typer.Option(min=1)] = 5) -> None:
    """Print the table."""
    record = Record("busy")
    soon, actively = in_turn(pairs, partial(times_with, {"GOMP_SPINCOUNT": SPINS}), partial(times_with, {}))
    table = []
    for what in soon[0]:
        own, others = ([times[what] for times in found] for found in (soon, actively))
        row = {
            "what": what,
            "waiting actively, s": statistics.median(others),
            "sleeping soon, s": statistics.median(own),
        }
        table.append(row | ratios("times that", own, others))
    record.write(pd.DataFrame(table))


if __name__ == "__main__":
    typer.run(main)
