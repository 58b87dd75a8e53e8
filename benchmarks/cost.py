"""What the pipeline would take for other data and machines: time, memory, disk and price, by arithmetic from few rates.

    python -m benchmarks.cost                    # the table of docs/cost.md
    python -m benchmarks.cost --price 0.1 --price 2.5 --price 20 --price 20 --price 1280

The rates of 2 cores and of one H100 are measured, by the runs that docs/cost.md names; those of more GPUs are assumed.
"""

from dataclasses import dataclass
from typing import Annotated

import pandas as pd
import typer


@dataclass(frozen=True)
class Encoder:
    """A BERT-like encoder, as its config.json describes it, and what LoRA trains of it.

    Floating-point operations: two for each weight of the matrices and each token, and the two products of attention,
    which grow with the square of the length.
    """

    layers: int
    hidden: int
    intermediate: int
    adapted: int  # layers with LoRA, the top ones
    trained: int  # parameters

    def through(self, layers: int, tokens: float, attention: int = 1) -> float:
        """Operations for a text of so many tokens in the top `layers`, attention's products so many times. The last
        layer has keys and values of all tokens, and the rest of the first alone.
        """
        if not layers:
            return 0.0
        keys_values, rest = 2 * self.hidden**2, 2 * self.hidden**2 + 2 * self.hidden * self.intermediate
        each = 2 * (keys_values + rest) * tokens + 4 * self.hidden * tokens**2 * attention
        last = 2 * keys_values * tokens + 2 * rest + 4 * self.hidden * tokens * attention
        return (layers - 1) * each + last

    def forward(self, tokens: float) -> float:
        return self.through(self.layers, tokens)

    def training(self, tokens: float) -> float:
        """Of a text's share of a step with LoRA: forward, and backward to the activations of the layers that have it,
        of the lowest not to its input; attention's backward has twice the products. The gradients of the frozen
        matrices, as much as forward, are not formed.
        """
        queries = tokens if self.adapted > 1 else 1
        not_needed = 2 * self.hidden**2 * (2 * tokens + queries)
        return self.forward(tokens) + self.through(self.adapted, tokens, attention=2) - not_needed


@dataclass(frozen=True)
class Machine:
    """Processes that train and score together; data and tokenize are one process each, on one host."""

    name: str
    processes: int
    batch: int  # texts of a step, by all processes: train.batch_size
    train: float  # floating-point operations a second and process
    score: float
    step: float  # seconds of a step that do not depend on its texts: a GPU's launches, a CPU's small operations
    network: float  # bytes a second between processes
    price: float  # an hour, of all of it, in any currency: an example


MINILM = Encoder(layers=6, hidden=384, intermediate=1536, adapted=4, trained=1_033_346)
TOKENS, SHORT, SCORED = 203, 64, 256  # of a text of the default, mean: in an epoch, in the short one, in its windows
DATA, TOKENIZE = 15_000, 1_800  # texts a second
MEMORY = {"data": (0.3e9, 156), "train, evaluate": (1.29e9, 24)}  # bytes, and bytes of a text
DISK = 4_000  # bytes of a text: the source, data/raw, data/tokens, and DVC's cache of the last two
MACHINES = [
    Machine("2 CPU cores", 1, 16, 90e9, 99e9, 0, 1e9, 0.1),
    Machine("one H100", 1, 16, 49e12, 17e12, 0.0043, 1e11, 2.5),
    # Several processes record no graphs: a step starts its kernels one by one, as an H200 did without graphs.
    Machine("8 H100 (assumed)", 8, 16, 49e12, 17e12, 0.043, 1e11, 20),
    Machine("8 H100 (assumed), batches of 128", 8, 128, 49e12, 17e12, 0.043, 1e11, 20),
    Machine("64 hosts of 8 H100 (assumed), batches of 8,192", 512, 8192, 49e12, 17e12, 0.043, 1e10, 1280),
]


def seconds(
    texts: float,
    machine: Machine,
    encoder: Encoder = MINILM,
    tokens: float = TOKENS,
    short: float = SHORT,
    scored: float = SCORED,
) -> dict[str, float]:
    """Of each stage: so many texts prepared; trained on, once after an epoch on `short` tokens of each; or scored, by
    windows of `scored` tokens together.
    """
    steps = 2 * texts / machine.batch
    trained = encoder.training(short) + encoder.training(tokens)
    # A ring sends each process's gradients out and in once.
    step = machine.step + 2 * 4 * encoder.trained / machine.network * (machine.processes > 1)
    return {
        "data": texts / DATA,
        "tokenize": texts / TOKENIZE,
        "train": texts * trained / machine.train / machine.processes + steps * step,
        "score": texts * encoder.forward(scored) / machine.score / machine.processes,
    }


def span(value: float) -> str:
    """Seconds as one would say them."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if value >= 2 * size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.1f} s"


def main(
    texts: Annotated[list[float], typer.Option(help="Numbers of texts.")] = (25e3, 3.6e6, 1e9),
    price: Annotated[list[float] | None, typer.Option(help="Of each machine, an hour, in their order.")] = None,
) -> None:
    """Print what each machine would take for so many texts."""
    if price and len(price) != len(MACHINES):
        raise typer.BadParameter(f"{len(MACHINES)} are needed, one for each machine", param_hint="--price")
    rows = []
    for number in texts:
        for machine, cost in zip(MACHINES, price or [each.price for each in MACHINES], strict=True):
            taken = seconds(number, machine)
            rows.append(
                {"texts": f"{number:,.0f}", "machine": machine.name}
                | {stage: span(value) for stage, value in taken.items()}
                | {
                    "memory": f"{max(fixed + each * number for fixed, each in MEMORY.values()) / 1e9:,.1f} GB",
                    "disk": f"{number * DISK / 1e9:,.1f} GB",
                    "price of train and score": f"{(taken['train'] + taken['score']) / 3600 * cost:,.2f}",
                }
            )
    print(pd.DataFrame(rows).to_markdown(index=False))


if __name__ == "__main__":
    typer.run(main)
