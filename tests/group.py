"""Take all steps of a training as one of several processes, for test_processes.py.

    torchrun ... tests/group.py FOLDER

Each rank writes the rows of its shard at each step to FOLDER/RANK.json. Rank 0 writes FOLDER/weights.safetensors too.
"""

import json
import sys
from pathlib import Path

from safetensors.torch import save_file

from classifier.distributed.processes import Processes
from classifier.runner.params import arguments, load_params
from classifier.text.tokens import Tokens, open_tokens
from classifier.training import network as network_module
from classifier.training.state import trained_parameters
from classifier.training.training import Training
from stages.train import train


def take_steps(folder: Path) -> None:
    """Take all steps of the training in the current folder; write rows and weights to `folder`."""
    processes = Processes.connect()
    if not processes.is_rank_0:
        shift_initial_weights()
    training = Training(
        **arguments(train, load_params()),
        train_tokens=open_tokens("train"),
        validation_tokens=open_tokens("validation"),
        processes=processes,
    )
    rows_by_step, get_rows = [], Tokens.__getitem__

    def get_and_note_rows(tokens: Tokens, rows):
        rows_by_step[-1] += rows.tolist()
        return get_rows(tokens, rows)

    Tokens.__getitem__ = get_and_note_rows
    for step in range(1, training.plan.steps + 1):
        rows_by_step.append([])
        training.take_step(step)
    Tokens.__getitem__ = get_rows
    (folder / f"{processes.rank}.json").write_text(json.dumps(rows_by_step))
    if processes.is_rank_0:
        save_file(trained_parameters(training.network), folder / "weights.safetensors")


def shift_initial_weights() -> None:
    """Let the training begin with other weights than on rank 0, as it may on another processor."""
    apply_method = network_module.apply_method

    def with_shifted_weights(*args):
        network = apply_method(*args)
        for parameter in network.parameters():
            parameter.data += parameter.requires_grad
        return network

    network_module.apply_method = with_shifted_weights


if __name__ == "__main__":
    take_steps(Path(sys.argv[1]))
