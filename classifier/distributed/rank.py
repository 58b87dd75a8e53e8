"""The rank of this process among several."""

import os


def rank_and_count() -> tuple[int, int] | None:
    """Return the rank of this process and the number of processes, or None if torchrun did not start this process."""
    return (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if "TORCHELASTIC_RUN_ID" in os.environ else None
