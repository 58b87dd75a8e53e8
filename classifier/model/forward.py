"""The classifier's forward pass, shared by train, evaluate and infer."""

from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from classifier.distributed.processes import ALONE, Processes
from classifier.text.tokens import Tokens

# Of a batch, padding included: on a CPU larger ones are no faster and cost memory, on a GPU smaller ones leave it idle.
TOKENS, GPU_TOKENS = 4096, 32768


def quiet() -> None:
    """Leave progress to our own bars; errors still show."""
    import warnings

    import transformers

    # Nothing that a user could fix: peft 0.21 asks transformers for an attribute by its old name, finds AdaLoRA's
    # ranks, which it restores elsewhere, unused, and takes a matrix whose rank is now 0 for a shard of another.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    warnings.filterwarnings("ignore", "The following rank_pattern keys did not match", RuntimeWarning)
    warnings.filterwarnings("ignore", r"Adapter .* LoRA tensor\(s\) have invalid shape", UserWarning)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def pad(sequences: list[np.ndarray], pad_id: int, multiple: int = 1, limit: int | None = None):
    """Token ids of different lengths as a batch: input_ids and attention_mask, both (rows, tokens) int64; tokens are
    those of the longest row, or the next multiple, but not above the limit. The collator of transformers does the same
    by way of lists and the tokenizer.
    """
    import torch
    from torch.nn.functional import pad
    from torch.nn.utils.rnn import pad_sequence

    rows = [torch.tensor(ids, dtype=torch.int64) for ids in sequences]
    ids = pad_sequence(rows, batch_first=True, padding_value=pad_id)
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    more = -ids.shape[1] % multiple
    if limit is not None:
        more = min(more, limit - ids.shape[1])
    return {"input_ids": pad(ids, (0, more), value=pad_id), "attention_mask": pad(mask, (0, more))}


def batches(lengths: np.ndarray, tokens: int) -> Iterator[np.ndarray]:
    """Row numbers by falling length, so that a batch needs little padding and the first shows the peak of memory.

    lengths: (rows,). Each batch has at most `tokens` tokens, padding included, or a single row.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + max(1, tokens // int(lengths[order[start]]))
        yield order[start:stop]
        start = stop


def logits(
    model, sequences: Tokens | list[np.ndarray], desc: str | None = None, processes: Processes = ALONE
) -> np.ndarray:
    """(texts, labels) float32, in their order: of each sequence, or the mean of a text's windows. Leaves the model in
    evaluation mode.

    Several processes share the batches, which are the same for any number of them, and so are the bytes of the result.
    """
    import torch

    model.eval()
    mapped = isinstance(sequences, Tokens)
    lengths = sequences.lengths if mapped else np.array([len(ids) for ids in sequences])
    out = np.zeros((len(sequences), model.config.num_labels), dtype=np.float32)
    mine = processes.shard([*batches(lengths, GPU_TOKENS if model.device.type == "cuda" else TOKENS)])
    with (
        torch.inference_mode(),
        tqdm(total=sum(map(len, mine)), desc=desc, unit="text", disable=None if desc else True, leave=False) as bar,
    ):
        for rows in mine:
            batch = pad(sequences[rows] if mapped else [sequences[row] for row in rows], model.config.pad_token_id)
            batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
            out[rows] = model(**batch).logits.float().cpu().numpy()
            bar.update(len(rows))
    out = processes.all_reduce(torch.from_numpy(out)).numpy()
    return mean_by_text(out, sequences.texts) if mapped and sequences.texts is not None else out


def mean_by_text(scores: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """(texts, labels), of scores (windows, labels). texts: (windows,), the number of each one's text, rising."""
    _, starts, counts = np.unique(texts, return_index=True, return_counts=True)
    return np.add.reduceat(scores, starts) / counts[:, None].astype(scores.dtype)
