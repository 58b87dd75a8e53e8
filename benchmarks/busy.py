"""Time a training step and the scoring of some texts, each alone and beside one busy program.

    make busy

Each time is measured twice: with OpenMP threads that wait actively, which is their default, and with threads that soon
sleep, as classifier/runner/environment.py sets them.
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

from benchmarks.default_training import default_training
from benchmarks.record import Record, in_turn, ratios, seconds_of
from classifier.model.forward import logits
from classifier.model.loading import silence_libraries
from classifier.runner.environment import SPINS

STEPS, TEXTS = 10, 100
WHAT = (
    "Time of a training step and of a scoring, alone and beside one busy program, with OpenMP threads that wait "
    "actively and with threads that sleep soon; the medians, and the lowest and highest ratio of the pairs."
)
FORMATS = {
    **{"what": "", "waiting actively, s": ".2f", "sleeping soon, s": ".2f", "times that": ".2f"},
    **{"lowest": ".2f", "highest": ".2f"},
}


def show_times() -> None:
    """Print, as JSON, the seconds of a step and of a scoring, alone and beside a program that never waits.

    The step belongs to the epoch on whole texts, not to the short epoch.
    """
    silence_libraries()
    training = default_training()
    first = training.plan.short_epochs * training.plan.steps_per_epoch + 1
    texts, times = training.validation_tokens.first_texts(TEXTS), {}

    def take_steps() -> None:
        for step in range(first, first + STEPS):
            training.take_step(step)

    take_steps()  # the first steps set things up, so they are not timed
    for neighbour in ("nothing", "a busy program"):
        process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if neighbour != "nothing" else None
        try:
            time.sleep(0.5)  # until the busy program runs
            times[f"a training step, beside {neighbour}"] = seconds_of(take_steps) / STEPS
            times[f"{TEXTS} texts scored, beside {neighbour}"] = seconds_of(partial(logits, training.network, texts))
        finally:
            if process:
                process.kill()
                process.wait()
    print(json.dumps(times))


def times_with(settings: dict[str, str]) -> dict[str, float]:
    """Return what show_times() prints in a new process with these settings of OpenMP in its environment.

    A new process is needed because OpenMP reads its environment when torch is loaded.
    """
    command = [sys.executable, "-c", "from benchmarks.busy import show_times; show_times()"]
    without = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    return json.loads(subprocess.check_output(command, text=True, env=without | settings))


def main(pairs: Annotated[int, typer.Option(min=1, help="Measurements of each kind, in turn.")] = 5) -> None:
    """Compare threads that soon sleep with threads that wait actively, alone and beside a busy program."""
    record = Record("busy", WHAT)
    sleeping, active = in_turn(pairs, partial(times_with, {"GOMP_SPINCOUNT": SPINS}), partial(times_with, {}))
    table = []
    for what in sleeping[0]:
        sleeping_times, active_times = ([times[what] for times in runs] for runs in (sleeping, active))
        row = {
            "what": what,
            "waiting actively, s": statistics.median(active_times),
            "sleeping soon, s": statistics.median(sleeping_times),
        }
        table.append(row | ratios("times that", sleeping_times, active_times))
    record.write(pd.DataFrame(table), FORMATS)


if __name__ == "__main__":
    typer.run(main)
