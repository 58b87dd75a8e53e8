"""What a launcher says in the environment of the processes that it starts."""

import os


def place() -> tuple[int, int] | None:
    """(rank, count) of a process that torchrun, or a launcher built on it, has started; None of any other."""
    return (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if "TORCHELASTIC_RUN_ID" in os.environ else None
