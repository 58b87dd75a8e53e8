"""Predict what the pipeline would take for other data and machines: time, memory, disk and price.

    python -m benchmarks.cost                    # the table of docs/evidence/cost.md
    python -m benchmarks.cost --texts 1e6 --price 0.1 --price 2.5 --price 20 --price 20 --price 1280
    python -m benchmarks.cost --out benchmarks/cost.json     # writes the predictions, as benchmarks/record.py describes

The prediction is arithmetic on a few rates. The rates of 2 CPU cores and of one H100 are measured, by the runs that
docs/evidence/cost.md names. The rates of more GPUs are assumed.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.operations import Encoder
from benchmarks.record import current_commit, table
from classifier.files.formats import write_json


@dataclass(frozen=True)
class Machine:
    """Processes that train and score together.

    The stage data runs in one process. The stage tokenize runs in one process on each host.

    Args:
        name: name of the machine.
        hosts: number of hosts.
        processes: number of processes on all hosts together.
        batch: texts of a step in all processes together (train.batch_size).
        train, score: floating-point operations a second of one process, in training and in scoring.
        start: seconds of train or of scoring that do not depend on the texts: the start of Python, the libraries and
            the model. The stages data and tokenize, which load no model, take half.
        step: seconds of a step that do not depend on its texts: kernel launches of a GPU, small operations of a CPU.
        network: bytes a second between processes.
        price: price of an hour of the whole machine, in any currency; an example.
    """

    name: str
    hosts: int
    processes: int
    batch: int
    train: float
    score: float
    start: float
    step: float
    network: float
    price: float


MINILM = Encoder(layers=6, hidden=384, intermediate=1536, adapted=4, trained=1_033_346)
TOKENS, SHORT, SCORED = 203, 64, 256  # mean tokens of a text of the default: in an epoch, the short epoch, all windows
ENOUGH_STEPS = 500  # train.enough_steps: with few texts, the epoch on whole texts is repeated
VALIDATIONS, VALIDATED, CALIBRATED = 4, 400, 1_000  # on the way; at most so many texts in each, and at the end in fp32
DATA, TOKENIZE = 15_000, 3_200  # texts a second
MEMORY = {"data": (0.3e9, 156), "train, evaluate": (1.5e9, 24)}  # bytes of the process, and bytes a text
DISK = 4_000  # bytes a text: the source, data/raw, data/tokens, and the last two again in DVC's cache
MACHINES = [
    Machine("2 CPU cores", 1, 1, 16, 330e9, 300e9, 5, 0, 1e9, 0.1),
    Machine("one H100", 1, 1, 16, 49e12, 17e12, 21, 0.0043, 1e11, 2.5),
    # Several processes record no CUDA graphs, so each step launches its kernels one by one. The time of a step is that
    # of an H200 without graphs.
    Machine("8 H100 (assumed)", 1, 8, 16, 49e12, 17e12, 21, 0.043, 1e11, 20),
    Machine("8 H100 (assumed), batches of 128", 1, 8, 128, 49e12, 17e12, 21, 0.043, 1e11, 20),
    Machine("64 hosts of 8 H100 (assumed), batches of 8,192", 64, 512, 8192, 49e12, 17e12, 21, 0.043, 1e10, 1280),
]


def stage_seconds(
    texts: float,
    machine: Machine,
    encoder: Encoder = MINILM,
    tokens: float = TOKENS,
    short: float = SHORT,
    scored: float = SCORED,
) -> dict[str, float]:
    """Predict the seconds of each stage for a number of texts, from the start of its process to the end.

    Args:
        texts: number of texts that are prepared, trained on and scored.
        machine, encoder: the machine and the encoder that train and score.
        tokens: mean tokens of a text in an epoch on whole texts.
        short: mean tokens of a text in the short epoch, which comes first.
        scored: mean tokens of all windows of a text together.
    """
    steps_per_epoch = texts / machine.batch
    epochs = max(1, round(math.sqrt(ENOUGH_STEPS / steps_per_epoch)))
    steps = (1 + epochs) * steps_per_epoch
    operations = encoder.training(short) + epochs * encoder.training(tokens)
    # In a ring all-reduce, each process sends about all gradients twice, with 4 bytes for each parameter: once while
    # they are summed, and once while the sums are passed on. It receives as much at the same time.
    step = machine.step + 2 * 4 * encoder.trained / machine.network * (machine.processes > 1)
    to_score = encoder.forward(scored)
    validation = texts / 4  # a fifth of the labels
    on_the_way = VALIDATIONS * min(VALIDATED, validation) * to_score
    train = (texts * operations + on_the_way) / machine.train
    train += min(CALIBRATED, validation) * to_score / machine.score
    return {
        "data": machine.start / 2 + texts / DATA,
        "tokenize": machine.start / 2 + texts / TOKENIZE / machine.hosts,
        "train": machine.start + train / machine.processes + steps * step,
        "score": machine.start + texts * to_score / machine.score / machine.processes,
    }


def time_span(seconds: float) -> str:
    """Format seconds in the largest unit of which there are two or more.

    >>> time_span(600)
    '10.0 min'
    """
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def predictions(texts: list[float], prices: list[float]) -> dict:
    """Return the predictions for numbers of texts as a result (see benchmarks/record.py).

    prices: the price of an hour of each machine.
    """
    rows = []
    for number in texts:
        memory = max(fixed + by_text * number for fixed, by_text in MEMORY.values())
        for machine, hour in zip(MACHINES, prices, strict=True):
            seconds = stage_seconds(number, machine)
            rows.append(
                {
                    "texts": round(number),
                    "machine": machine.name,
                    **{stage: time_span(value) for stage, value in seconds.items()},
                    "memory, GB": memory / 1e9,
                    "disk, GB": number * DISK / 1e9,
                    "price of train and score": (seconds["train"] + seconds["score"]) / 3600 * hour,
                }
            )
    sizes = {"texts": ",.0f", "machine": "", "data": "", "tokenize": "", "train": "", "score": ""}
    return {
        "what": "Predicted time, memory, disk and price of the pipeline, by arithmetic from measured rates.",
        "command": "python -m benchmarks.cost --out benchmarks/cost.json",
        "commit": current_commit(),
        "machine": "none: predicted for the machines of the column",
        "columns": sizes | {"memory, GB": ",.1f", "disk, GB": ",.1f", "price of train and score": ",.2f"},
        "rows": rows,
    }


def main(
    texts: Annotated[list[float], typer.Option(help="Numbers of texts.")] = (25e3, 3.6e6, 1e9),
    price: Annotated[list[float] | None, typer.Option(help="Price of an hour, once for each machine.")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file to write the predictions to as well.")] = None,
) -> None:
    """Show what each machine would take for these numbers of texts."""
    if price and len(price) != len(MACHINES):
        raise typer.BadParameter(f"{len(MACHINES)} prices are needed, one for each machine", param_hint="--price")
    result = predictions(texts, price or [machine.price for machine in MACHINES])
    print(table(result))
    if out:
        write_json(out, result)


if __name__ == "__main__":
    typer.run(main)
