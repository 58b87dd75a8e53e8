"""All steps of a training as one of several processes, for test_processes.py: `torchrun ... tests/group.py FOLDER`.

Each writes the rows that it took at each step to FOLDER/RANK.json, the first also the weights.
"""

import json
import sys
from pathlib import Path

from safetensors.torch import save_file

from classifier.distributed.processes import Processes
from classifier.runner.params import arguments, load_params
from classifier.text.tokens import Tokens, open_tokens
from classifier.training import training as of_training
from classifier.training.training import Training
from stages.train import train


def take_steps(folder: Path) -> None:
    processes = Processes.connect()
    if not processes.is_rank_0:  # other weights to begin with, as on another processor
        with_method = of_training.with_method

        def moved(*given):
            network = with_method(*given)
            for parameter in network.parameters():
                parameter.data += parameter.requires_grad
            return network

        of_training.with_method = moved
    training = Training(
        **arguments(train, load_params()),
        tokens=open_tokens("train"),
        held_out=open_tokens("validation"),
        processes=processes,
    )
    taken, ids = [], Tokens.__getitem__

    def note(tokens: Tokens, rows):
        taken.append(rows.tolist())
        return ids(tokens, rows)

    Tokens.__getitem__ = note
    rows = []
    for step in range(1, training.plan.steps + 1):
        taken.clear()
        training.take_step(step)
        rows.append([row for part in taken for row in part])
    Tokens.__getitem__ = ids
    (folder / f"{processes.rank}.json").write_text(json.dumps(rows))
    if processes.is_rank_0:
        weights = {name: value.detach() for name, value in training.network.named_parameters() if value.requires_grad}
        save_file(weights, folder / "weights.safetensors")


if __name__ == "__main__":
    take_steps(Path(sys.argv[1]))
