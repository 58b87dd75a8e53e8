"""A file of Arrow batches that several processes write together: each writes a share, and rank 0 joins the shares."""

import itertools
from pathlib import Path

from classifier.distributed.processes import Processes


def share_path(folder: Path, split: str, processes: Processes) -> Path:
    """Return the path of this process's share of a split; a process that works alone writes the whole split."""
    return folder / (f"{split}.arrow" if processes.count == 1 else f"{split}.{processes.rank}.arrow")


def join_shares(folder: Path, split: str, count: int) -> None:
    """Write the batches of all processes into one file, in the order of the texts, and remove the shares."""
    import pyarrow as pa

    shares = [share_path(folder, split, Processes(rank, count)) for rank in range(count)]
    readers = [pa.ipc.open_stream(pa.memory_map(str(share))) for share in shares]
    with pa.ipc.new_stream(folder / f"{split}.arrow", readers[0].schema) as out:
        for batches in itertools.zip_longest(*readers):
            for batch in filter(None, batches):
                out.write_batch(batch)
    for share in shares:
        share.unlink()
