"""Which rows form the batches of an epoch."""

import numpy as np


def epoch_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Row numbers of each batch of an epoch: a function of its arguments alone, so that a resumed run is exact. Torch's
    samplers draw from a random state and start an epoch at its beginning only.

    Rows are shuffled, sorted by length within windows of 32 batches (little padding, still random company), and
    the batches shuffled. Within a batch, longest first.
    """
    rng = np.random.default_rng((seed, epoch))
    rows = rng.permutation(len(lengths))
    window = 32 * batch_size
    rows = np.concatenate(
        [
            part[np.argsort(-lengths[part], kind="stable")]
            for part in (rows[start : start + window] for start in range(0, len(rows), window))
        ]
    )
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return [batches[number] for number in rng.permutation(len(batches))]
