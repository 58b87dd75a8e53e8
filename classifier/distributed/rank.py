"""Which of several processes this one is."""

import os


def rank_and_count() -> tuple[int, int] | None:
    """Of a process that torchrun has started beside others; None of any other."""
    return (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if "TORCHELASTIC_RUN_ID" in os.environ else None
