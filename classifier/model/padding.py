"""Batches for the network: rows of similar length, padded to one length, with token types for pairs of texts."""

from collections.abc import Iterator

import numpy as np


def pad_batch(
    sequences: list[np.ndarray],
    pad_id: int,
    multiple: int = 1,
    max_length: int | None = None,
    types_after: int | None = None,
):
    """Return token ids of different lengths as one batch of equal lengths.

    transformers' collator does the same, but needs the tokenizer and converts the arrays to lists.

    Args:
        sequences: The token ids of each row, (ids,).
        pad_id: The token id of padding.
        multiple: The batch's length is that of the longest row, rounded up to a multiple of this number.
        max_length: Upper limit of the rounded length, in tokens. No row may be longer. None: no limit.
        types_after: As in `with_token_types`.

    Returns:
        {"input_ids": ids, "attention_mask": mask}, both (rows, tokens) int64; the mask is 1 for tokens, 0 for padding.
        With `types_after` also {"token_type_ids": types}.
    """
    import torch
    from torch.nn import functional
    from torch.nn.utils.rnn import pad_sequence

    rows = [torch.tensor(ids, dtype=torch.int64) for ids in sequences]
    ids = pad_sequence(rows, batch_first=True, padding_value=pad_id)
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    added = -ids.shape[1] % multiple
    if max_length is not None:
        added = min(added, max_length - ids.shape[1])
    ids, mask = functional.pad(ids, (0, added), value=pad_id), functional.pad(mask, (0, added))
    return with_token_types({"input_ids": ids, "attention_mask": mask}, types_after)


def padding_multiple(in_bf16: bool, device) -> int:
    """Return the argument `multiple` of `pad_batch`: 16 in bf16 on a CPU, so that few shapes occur, and else 1.

    On a CPU, oneDNN generates and keeps code for each shape. In bf16 this takes more time and memory than in fp32.
    """
    return 16 if in_bf16 and device.type == "cpu" else 1


def with_token_types(inputs: dict, types_after: int | None) -> dict:
    """Return the inputs of a network with the token types of pairs of texts.

    Args:
        inputs: input_ids and attention_mask, (rows, tokens).
        types_after: The id of the special token after the first text of a pair. The tokens behind this token have the
            type 1. All other tokens, and the padding, have the type 0. None: the network gets no token types.
    """
    if types_after is None:
        return inputs
    is_end = (inputs["input_ids"] == types_after).long()
    return inputs | {"token_type_ids": (is_end.cumsum(1) - is_end).clamp(max=1) * inputs["attention_mask"]}


def types_after_of(model) -> int | None:
    """Return the argument `types_after` of `with_token_types` for a classifier, from its config.

    None: the classifier reads single texts, or its encoder has no token types.
    """
    return getattr(model.config, "token_types_after", None)


def batches_by_length(lengths: np.ndarray, max_tokens: int) -> Iterator[np.ndarray]:
    """Yield the row numbers of each batch, the longest rows first.

    Rows of similar length need little padding, and the first batch shows the peak of memory.

    Args:
        lengths: The number of tokens of each row, (rows,).
        max_tokens: The most tokens of a batch, padding included. A longer row is a batch of its own.

    >>> [rows.tolist() for rows in batches_by_length(np.array([3, 10, 4, 9]), 20)]
    [[1, 3], [2, 0]]
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + max(1, max_tokens // int(lengths[order[start]]))
        yield order[start:stop]
        start = stop
