"""The classifier's forward pass over many rows."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from tqdm import tqdm

from classifier.distributed.processes import ALONE, Processes
from classifier.model.build import last_layer
from classifier.model.padding import batches_by_length, pad_batch, padding_multiple, types_after_of
from classifier.text.tokens import Tokens

# The most tokens of a batch, padding included. On a CPU, a larger batch does not fit into the caches, and is up to a
# tenth slower in fp32. In bf16 the states of a token take half the space. On a GPU, smaller batches leave the GPU idle.
TOKENS_PER_BATCH, TOKENS_PER_BF16_BATCH, TOKENS_PER_GPU_BATCH = 2048, 4096, 32768


def logits(
    model, sequences: Tokens | list[np.ndarray], desc: str | None = None, processes: Processes = ALONE
) -> np.ndarray:
    """Return the logits of each text, (texts, labels) float32, in the order of the texts.

    Args:
        model: A sequence classifier of transformers, wrapped by peft or not.
        sequences: The token ids of each row. In Tokens, a text may have several rows, its windows. The logits of such a
            text are the mean of its windows' logits.
        desc: Label of the progress bar. None: no bar.
        processes: The processes that share the batches; all of them have to call this function.
    """
    return logits_and_features(model, sequences, desc, processes, with_features=False)[0]


def logits_and_features(
    model,
    sequences: Tokens | list[np.ndarray],
    desc: str | None = None,
    processes: Processes = ALONE,
    with_features: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits and the features of each text: the inputs of the last layer, from which the logits come.

    Args:
        model, sequences, desc, processes: As in `logits`. The features of a text are the mean of its windows' features.
        with_features: Whether to keep the features.

    Returns:
        (logits, features): (texts, labels) float32 and (texts, width) float32; a width of 0 without features.
    """
    import torch

    model.eval()
    is_split = isinstance(sequences, Tokens)
    lengths = sequences.lengths if is_split else np.array([len(ids) for ids in sequences])
    layer = last_layer(model) if with_features else None
    scores = np.zeros((len(sequences), model.config.num_labels), dtype=np.float32)
    features = np.zeros((len(sequences), layer.in_features if layer else 0), dtype=np.float32)
    max_tokens, multiple = batch_sizes(model)
    longest = max(lengths.max(initial=0), getattr(model.config, "tokenize", {}).get("max_length", 0))
    batches = processes.shard([*batches_by_length(lengths, max_tokens)])
    with (
        torch.inference_mode(),
        calls_of(layer) as calls,
        tqdm(total=sum(map(len, batches)), desc=desc, unit="row", disable=None if desc else True, leave=False) as bar,
    ):
        for rows in batches:
            ids = sequences[rows] if is_split else [sequences[row] for row in rows]
            inputs = pad_batch(ids, model.config.pad_token_id, multiple, longest, types_after_of(model))
            inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
            outputs = model(**inputs).logits
            scores[rows] = outputs.float().cpu().numpy()
            if layer:
                features[rows] = vectors_behind_logits(*calls.pop(), outputs).float().cpu().numpy()
            bar.update(len(rows))
    scores = processes.all_reduce(torch.from_numpy(scores)).numpy()
    if layer:
        features = processes.all_reduce(torch.from_numpy(features)).numpy()
    if is_split and sequences.texts is not None:
        return mean_by_text(scores, sequences.texts), mean_by_text(features, sequences.texts)
    return scores, features


def batch_sizes(model) -> tuple[int, int]:
    """Return the most tokens of a batch, and the number to whose multiples the lengths of its rows are padded."""
    import torch

    from classifier.model.fast.linear import autocasts_to_bfloat16

    in_bf16 = model.dtype == torch.bfloat16 or autocasts_to_bfloat16(model.device)
    tokens = TOKENS_PER_BF16_BATCH if in_bf16 else TOKENS_PER_BATCH
    if model.device.type == "cuda":
        tokens = TOKENS_PER_GPU_BATCH
    return tokens, padding_multiple(in_bf16, model.device)


@contextmanager
def calls_of(layer) -> Iterator[list]:
    """Yield a list to which each call of a layer adds a pair of tensors: the layer's input and its output.

    layer: A module with one input. None: the list stays empty.
    """
    calls = []
    handle = layer and layer.register_forward_hook(lambda _, inputs, output: calls.append((inputs[0], output)))
    try:
        yield calls
    finally:
        if handle:
            handle.remove()


def vectors_behind_logits(vectors, outputs, logits):
    """Return, for each row, the input vector of the last layer from which the row's logits were computed.

    A decoder's last layer computes logits at all positions of a row, and transformers takes the logits of one position.
    This position is the first one whose output equals the logits.

    Args:
        vectors: The inputs of the last layer, (rows, width) or (rows, positions, width).
        outputs: The outputs of the last layer, (rows, labels) or (rows, positions, labels).
        logits: The logits of the network, (rows, labels).

    Returns:
        (rows, width).
    """
    if vectors.ndim == 2:
        return vectors
    position = (outputs == logits[:, None]).all(dim=2).int().argmax(dim=1)
    return vectors[range(len(vectors)), position]


def mean_by_text(scores: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Return the mean over each text's windows, of logits or of features: (texts, columns).

    Args:
        scores: The logits or the features of each window, (windows, columns).
        texts: The number of each window's text, (windows,), in rising order. A number that is missing gets no row.

    >>> mean_by_text(np.array([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0]]), np.array([0, 0, 1]))
    array([[2., 1.],
           [5., 5.]])
    """
    _, starts, counts = np.unique(texts, return_index=True, return_counts=True)
    return np.add.reduceat(scores, starts) / counts[:, None].astype(scores.dtype)
