"""Take all steps of a training as one of several processes: `torchrun ... tests/group.py FOLDER`.

Each process writes the rows that it took at each step to FOLDER/RANK.json. Rank 0 also writes the weights.
"""

import json
import sys
from pathlib import Path

from safetensors.torch import save_file

from classifier.distributed.processes import Processes
from classifier.runner.params import arguments, load_params
from classifier.text.tokens import Tokens, open_tokens
from classifier.training import training as training_module
from classifier.training.training import Training
from stages.train import train


def start_from_other_weights() -> None:
    """Let the training start from other weights, as on a processor that rounds differently."""
    apply_method = training_module.apply_method

    def with_other_weights(*args):
        network = apply_method(*args)
        for parameter in network.parameters():
            parameter.data += parameter.requires_grad
        return network

    training_module.apply_method = with_other_weights


def take_steps(folder: Path) -> None:
    """Train, and write the rows and the weights."""
    processes = Processes.joined()
    if not processes.first:
        start_from_other_weights()
    training = Training(
        **arguments(train, load_params()),
        tokens=open_tokens("train"),
        held_out=open_tokens("validation"),
        processes=processes,
    )
    rows_by_step, read_rows = [], Tokens.__getitem__

    def noted(tokens: Tokens, rows):
        rows_by_step[-1] += rows.tolist()
        return read_rows(tokens, rows)

    Tokens.__getitem__ = noted
    for step in range(1, training.plan.steps + 1):
        rows_by_step.append([])
        training.take_step(step)
    Tokens.__getitem__ = read_rows
    (folder / f"{processes.rank}.json").write_text(json.dumps(rows_by_step))
    if processes.first:
        weights = {name: value.detach() for name, value in training.network.named_parameters() if value.requires_grad}
        save_file(weights, folder / "weights.safetensors")


if __name__ == "__main__":
    take_steps(Path(sys.argv[1]))
